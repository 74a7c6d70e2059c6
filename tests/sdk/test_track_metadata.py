"""What peers say about their tracks, before the tracks come."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from metered_realtime.description import Direction, Section
from metered_realtime.frames import TrackMetadata
from metered_realtime.track_metadata import MAX_BYTES, MAX_ENTRIES, TrackMetadataCache


def cache(*messages: TrackMetadata) -> TrackMetadataCache:
    filled = TrackMetadataCache()
    for message in messages:
        filled.take(message)
    return filled


def find(known: TrackMetadataCache, track_id: str | None = None, stream_id: str | None = None, **more: Any) -> Any:
    return known.find(track_id=track_id, stream_id=stream_id, kind="video", **more)


def section(
    mid: str,
    track_id: str,
    stream_id: str | None = "s",
    *,
    direction: Direction = "sendonly",
    kind: Literal["video", "audio"] = "video",
) -> Section:
    return Section(kind, mid, direction, stream_id=stream_id, track_id=track_id)


def test_found_by_the_id_of_the_description() -> None:
    assert find(cache(TrackMetadata("t", {"a": 1})), "t") == {"a": 1}
    assert find(cache(TrackMetadata("t", {"a": 1})), "other") is None


def test_the_newest_word_counts_and_may_be_taken_back() -> None:
    known = cache(TrackMetadata("t", {"a": 1}), TrackMetadata("t", {"a": 2}))
    assert find(known, "t") == {"a": 2}
    known.take(TrackMetadata("t", None))
    known.take(TrackMetadata("never known", None))
    assert find(known, "t") is None
    assert len(known) == 0


def test_a_track_under_a_made_up_id_is_found_by_stream_and_kind() -> None:
    known = cache(TrackMetadata("t", {"a": 1}, "video", "s"), TrackMetadata("u", {"a": 2}, "audio", "s"))
    assert find(known, "made-up", "s") == {"a": 1}
    assert find(known, "made-up", "other stream") is None
    assert find(known, "made-up") is None


def test_two_that_disagree_are_no_answer_but_two_alike_are() -> None:
    one, two = TrackMetadata("t", {"a": 1}, "video", "s"), TrackMetadata("u", {"a": 2}, "video", "s")
    assert find(cache(one, two), "made-up", "s") is None
    assert find(cache(one, TrackMetadata("u", {"a": 1}, "video", "s")), "made-up", "s") == {"a": 1}


def test_what_belongs_to_another_section_is_not_borrowed() -> None:
    sections = (section("0", "t"), section("1", "made-up"))
    assert find(cache(TrackMetadata("t", {"a": 1}, "video", "s")), "made-up", "s", sections=sections) is None


@pytest.mark.parametrize("stream_id", ["s", None])
def test_a_section_that_fell_silent_still_tells_which_stream_its_track_is_of(stream_id: str | None) -> None:
    known = cache(TrackMetadata("t", {"a": 1}), TrackMetadata("sound", {"a": 2}))
    sections = (
        section("0", "t", stream_id, direction="recvonly"),
        section("1", "sound", stream_id, direction="inactive", kind="audio"),
        section("2", "made-up", stream_id),
        section("3", "nothing was said of this", "other"),
    )
    assert find(known, "made-up", stream_id, sections=sections) == {"a": 1}
    assert find(known, "nothing was said of this", "other", sections=sections) is None


def test_two_of_one_stream_that_fell_silent_must_agree() -> None:
    silent = (section("0", "t", direction="recvonly"), section("1", "u", direction="recvonly"))
    sections = (*silent, section("2", "x"), section("3", "y"))
    differ = cache(TrackMetadata("t", {"a": 1}), TrackMetadata("u", {"a": 2}))
    assert find(differ, "x", "s", sections=sections) is None
    alike = cache(TrackMetadata("t", {"a": 1}), TrackMetadata("u", {"a": 1}))
    assert find(alike, "y", "s", sections=sections) == {"a": 1}


def test_the_only_word_without_a_section_is_of_the_only_section_without_a_word() -> None:
    known = cache(TrackMetadata("t", {"a": 1}), TrackMetadata("u", {"a": 2}))
    sections = (section("0", "u"), section("1", "made-up", "other"))
    assert find(known, "made-up", "other", sections=sections) == {"a": 1}
    another = section("2", "made-up as well", "third")
    assert find(known, "made-up", "other", sections=(*sections, another)) is None
    known.take(TrackMetadata("v", {"a": 3}))
    assert find(known, "made-up", "other", sections=(*sections, another)) is None
    known.take(TrackMetadata("v", {"a": 1}))
    assert find(known, "made-up", "other", sections=(*sections, another)) == {"a": 1}


def test_the_oldest_entries_go_when_there_are_too_many() -> None:
    known = cache(*(TrackMetadata(f"t{n}", {}) for n in range(MAX_ENTRIES + 1)))
    assert len(known) == MAX_ENTRIES
    assert find(known, "t0") is None
    assert find(known, "t1") == {}


def test_the_oldest_entries_go_when_they_are_too_large() -> None:
    big = {"x": "y" * (MAX_BYTES // 3)}
    known = cache(*(TrackMetadata(f"t{n}", big) for n in range(4)))
    assert len(known) == 2
    assert find(known, "t3") == big


def test_one_entry_larger_than_everything_replaces_nothing_but_its_own() -> None:
    known = cache(TrackMetadata("t", {"a": 1}), TrackMetadata("t", {"x": "y" * MAX_BYTES}))
    assert len(known) == 0
