"""Figures as people read them."""

import pytest

from edged.status.words import printable, size, span, titled, worded


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.034, "34 ms"), (1, "1 s"), (2.94, "2.9 s"), (59, "59 s"), (60, "1 min"), (95, "1 min 35 s"),
     (3600, "1 h"), (7384, "2 h 3 min"), (86400, "1 d"), (300_000, "3 d 11 h")],
)  # fmt: skip
def test_a_length_of_time_has_its_two_largest_units(seconds, words):
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 kB"), (268435456, "256.0 MB"), (1 << 31, "2.0 GB")]
)
def test_bytes_have_a_fitting_unit(count, words):
    assert size(count) == words


@pytest.mark.parametrize(
    ("name", "title"),
    [("rtt_ms", "rtt"), ("oldest_age_s", "oldest age"), ("max_bytes", "max"), ("kbps", "kbps"), ("fps", "fps"),
     ("rate_bytes_per_s", "rate"), ("s", "s"), ("last_time_ms", "last"), ("missed_by_viewers", "missed by viewers")],
)  # fmt: skip
def test_a_title_has_no_unit(name, title):
    assert titled(name) == title


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rtt_ms", 34, "34 ms"),
        ("age_s", 95, "1 min 35 s"),
        ("on_disk_bytes", 2048, "2.0 kB"),
        ("rate_per_s", 12.34, "12.3/s"),
        ("rate_bytes_per_s", 2048, "2.0 kB/s"),
        ("used_percent", 12.0, "12 %"),
        ("kbps", 1500, "1,500 kbit/s"),
        ("fps", 24.96, "25"),
        ("waiting", 1203, "1,203"),
        ("last_time_ms", 1_800_000_000_000, "2027-01-15 08:00:00Z"),
        ("codec", "H264", "H264"),
        ("codec", None, "-"),
        ("detail", "", "-"),
        ("ready", True, "yes"),
        ("ready", False, "no"),
        ("dropped", {}, "0"),
        ("dropped", {"no_route": 2, "expired": 0}, "2 (no_route 2)"),
        ("budget", {"used": 2, "state": "ok"}, "used 2, state ok"),
    ],
)
def test_a_value_has_the_unit_its_name_tells(name, value, words):
    assert worded(name, value) == words


def test_words_from_the_network_cannot_steer_a_terminal():
    assert printable("a\x1b[31mb\nc\u202ed") == "a?[31mb?c?d"
    assert worded("topic", "farm\x1b]0;x\x07") == "farm?]0;x?"
    assert worded("dropped", {"\x1b": 1}) == "1 (? 1)"
