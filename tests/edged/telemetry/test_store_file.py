"""The outbox file from outside: it is told from others, goes out of the way whole, and trouble is one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.errors import StoreCorruptError, StoreError
from edged.telemetry import store_file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "outbox.db"
    path.write_text("rows")
    path.with_name("outbox.db-wal").write_text("newer rows")
    path.with_name("outbox.db-shm").write_text("")
    return path


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def refuse(*_args, **_options):
    raise OSError(30, "Read-only file system")


def test_its_folder_is_made_with_those_above_it(tmp_path):
    path = tmp_path / "a" / "b" / "outbox.db"
    for _ in range(2):
        store_file.make_folder(path)
    assert path.parent.is_dir()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(StoreError, match=r"the folder of .* cannot be made: Not a directory"):
        store_file.make_folder(tmp_path / "a" / "b" / "outbox.db")


def test_a_file_that_has_gone_is_another_thing_than_a_disk_that_does_not_answer(path, monkeypatch):
    store_file.must_exist(path)
    path.unlink()
    with pytest.raises(StoreCorruptError, match="is gone"):
        store_file.must_exist(path)
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(StoreError, match="Read-only file system") as caught:
        store_file.must_exist(path)
    assert not isinstance(caught.value, StoreCorruptError)


def test_a_disk_that_takes_nothing_is_told_and_the_file_is_not_touched(path, monkeypatch):
    before = names(path)
    store_file.must_be_writable(path)
    assert names(path) == before
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreError, match="cannot be written: Read-only file system"):
        store_file.must_be_writable(path)


def test_another_file_of_the_same_name_is_told_from_the_first(path):
    known = store_file.identity(path)
    assert known == store_file.identity(path)
    other = path.with_name("other")
    other.write_text("rows")
    os.replace(other, path)  # noqa: PTH105 - a rename over a file that is there
    assert store_file.identity(path) not in {known, None}
    path.unlink()
    assert store_file.identity(path) is None


def test_a_damaged_file_replaces_the_damaged_one_before(path):
    path.with_name("outbox.db.corrupt-20200101T000000").write_text("old")
    aside = store_file.set_aside(path, "corrupt")
    assert aside.read_text() == "rows"
    assert "outbox.db.corrupt-20200101T000000" not in names(path)


def test_a_file_of_another_format_is_kept_whole(path):
    path.with_name("outbox.db.format-7-20200101T000000").write_text("older")
    aside = store_file.set_aside(path, "format-9")
    assert (aside.read_text(), Path(f"{aside}-wal").read_text()) == ("rows", "newer rows")
    assert "outbox.db.format-7-20200101T000000" in names(path)
    assert "outbox.db" not in names(path)


def test_a_file_that_has_gone_already_can_be_set_aside(path):
    store_file.remove(path)
    aside = store_file.set_aside(path, "format-9")
    assert not aside.exists()


def test_a_file_that_cannot_be_renamed_or_removed_is_told(path, monkeypatch):
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="cannot be set aside: Read-only file system"):
        store_file.set_aside(path, "format-9")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match="cannot be removed: Read-only file system"):
        store_file.remove(path)


def test_all_that_belongs_to_it_is_removed(path):
    store_file.remove(path)
    store_file.remove(path)
    assert names(path) == []


def test_the_disk_says_what_is_free_for_us(path):
    disk = os.statvfs(path.parent)
    assert abs(store_file.free_bytes(path) - disk.f_bavail * disk.f_frsize) < disk.f_blocks * disk.f_frsize / 10
    with pytest.raises(StoreError, match="does not answer: No such file"):
        store_file.free_bytes(path.parent / "no" / "outbox.db")


def test_what_this_thread_wrote_is_counted_where_the_kernel_counts_it(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda _path: "rchar: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n")
    assert store_file.written_bytes() == 4096
    monkeypatch.setattr(Path, "read_text", refuse)
    assert store_file.written_bytes() == 0
