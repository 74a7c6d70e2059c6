"""What is kept of refused messages: a little of the last ones, and seldom something for the disk."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.moments import Moment
from edged.telemetry.quarantine import HEAD_BYTES, KEPT, Quarantine

WALL_MS = 1_790_000_000_000


def at(uptime_s):
    return Moment("6c1f", uptime_s * 1000, WALL_MS, True)


def add(quarantine, payload=b"x", *, topic="t", now=None):
    return quarantine.add(topic, "not_json", payload, now or at(1000))


def test_a_record_tells_topic_reason_size_time_and_the_beginning():
    quarantine = Quarantine()
    add(quarantine, b'{"t": 21' + b" " * 20_000_000, topic="barn/t")
    (kept,) = quarantine.kept
    assert kept.as_json() == {
        "topic": "barn/t",
        "reason": "not_json",
        "size_bytes": 20_000_008,
        "head": '{"t": 21' + " " * (HEAD_BYTES - 8),
        "time_ms": WALL_MS,
    }


def test_bytes_that_are_no_text_are_base64_and_a_halved_character_is_left_out():
    quarantine = Quarantine()
    add(quarantine, b"\xff\x00")
    add(quarantine, b"x" + "ü".encode() * 1000)
    add(quarantine, b"ab\xc3")
    bytes_, text, cut = quarantine.kept
    assert base64.b64decode(bytes_.as_json()["head_base64"]) == b"\xff\x00"
    assert text.as_json()["head"] == "x" + "ü" * 511
    assert "head_base64" in cut.as_json()


def test_before_the_clock_is_set_the_uptime_is_told():
    quarantine = Quarantine()
    add(quarantine, now=Moment("6c1f", 5000, 0, False))
    assert quarantine.kept[0].as_json() | {"head": ""} == {
        "topic": "t", "reason": "not_json", "size_bytes": 1, "head": "", "clock": "unset", "uptime_ms": 5000
    }  # fmt: skip


def test_memory_holds_the_last_ones_only():
    quarantine = Quarantine()
    for number in range(10_000):
        add(quarantine, str(number).encode() * 10_000, topic="t" * 60_000)
    assert len(quarantine.kept) == KEPT
    assert quarantine.kept[-1].head.startswith(b"9999")
    assert all(len(kept.topic) + len(kept.head) <= 256 + HEAD_BYTES for kept in quarantine.kept)


def test_the_disk_gets_ten_at_once_and_then_one_a_minute():
    quarantine = Quarantine()
    assert [add(quarantine) for _ in range(1000)].count(True) == 10
    assert quarantine.take_lines().count("\n") == 10
    assert quarantine.take_lines() == ""
    goes = [add(quarantine, now=at(1000 + second)) for second in range(1, 601)]
    assert goes.count(True) == 10


def test_the_record_after_a_gap_tells_how_many_are_missing():
    quarantine = Quarantine()
    for _ in range(25):
        add(quarantine)
    quarantine.take_lines()
    assert add(quarantine, now=at(1060))
    assert json.loads(quarantine.take_lines())["skipped"] == 15


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=2000))
def test_a_line_is_one_line_of_ascii(topic, payload):
    quarantine = Quarantine()
    quarantine.add(topic, "too_large", payload, at(1000))
    line = quarantine.take_lines()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert line.isascii()
    assert json.loads(line)["size_bytes"] == len(payload)
