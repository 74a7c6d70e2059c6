"""What was published is known after a restart; a disk that is of no use costs a warning, nothing else."""

import json

import pytest

from edged.site.memory import FILE_NAME, TopicMemory


def test_the_next_life_knows_the_topics(tmp_path):
    TopicMemory(tmp_path).write({"edged/a/state", "edged/a/info"})
    assert TopicMemory(tmp_path).read() == {"edged/a/state", "edged/a/info"}


def test_nothing_is_written_when_nothing_changed(tmp_path):
    memory = TopicMemory(tmp_path)
    memory.write({"a"})
    (tmp_path / FILE_NAME).unlink()
    memory.write({"a"})
    assert not (tmp_path / FILE_NAME).exists()


def test_the_first_life_knows_none_and_says_nothing(tmp_path, caplog):
    assert TopicMemory(tmp_path).read() == frozenset()
    assert not caplog.text


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"a"', "\x00"])
def test_a_damaged_file_is_none(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    assert TopicMemory(tmp_path).read() == frozenset()


def test_what_is_no_topic_is_not_published_to(tmp_path):
    (tmp_path / FILE_NAME).write_text(json.dumps(["a", "b/#", "+", "", 7, "c\x00"]))
    assert TopicMemory(tmp_path).read() == {"a"}


def test_a_disk_that_takes_nothing_is_said_once(tmp_path, caplog):
    memory = TopicMemory(tmp_path / "gone")
    memory.write({"a"})
    memory.write({"a"})
    assert caplog.text.count("cannot be written") == 1
