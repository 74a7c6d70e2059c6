from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.recorder_formats import StreamFormat
from metered_realtime.media.recorder_samples import MAX_BYTES, MAX_SAMPLES, Interleaver, Sample

FORMATS: dict[int, Any] = {0: StreamFormat("video", "h264", 64, 48), 1: StreamFormat("audio", "aac")}


def sample(slot: int, ticks: int, *, key: bool = True) -> Sample:
    return Sample(slot, b"x", ticks, 1000, 10, key, FORMATS[slot])


def all_of(interleaver: Interleaver, active: set[int], *, is_last: bool = False) -> list[tuple[int, int]]:
    out = []
    while (each := interleaver.pop(active, is_last=is_last)) is not None:
        out.append((each.slot, each.ticks))
    return out


def test_a_sample_waits_until_no_earlier_one_can_come() -> None:
    both = Interleaver()
    both.push(sample(0, 100))
    assert all_of(both, {0, 1}) == []
    both.push(sample(1, 50))
    assert all_of(both, {0, 1}) == [(1, 50)]
    assert both.formats == {0: FORMATS[0]}
    assert all_of(both, {0}) == [(0, 100)]


def test_pictures_come_before_sound_of_the_same_moment() -> None:
    both = Interleaver()
    both.push(sample(1, 100))
    both.push(sample(0, 100))
    assert all_of(both, {0, 1}, is_last=True) == [(0, 100), (1, 100)]


def test_a_stream_that_brings_nothing_holds_the_others_back_for_a_second() -> None:
    both = Interleaver()
    for ticks in range(0, 1600, 100):
        both.push(sample(0, ticks))
    assert all_of(both, {0, 1}) == [(0, ticks) for ticks in range(0, 500, 100)]


def test_what_waits_is_bounded_in_number() -> None:
    both = Interleaver()
    for _ in range(MAX_SAMPLES + 5):
        both.push(sample(0, 0))
    all_of(both, {0, 1})
    assert len(both) == MAX_SAMPLES


def test_what_waits_is_bounded_in_bytes() -> None:
    both = Interleaver()
    for number in range(3):
        both.push(Sample(0, bytes(MAX_BYTES // 2), number, 1000, 10, True, FORMATS[0]))
    assert len(all_of(both, {0, 1})) == 1


@given(st.lists(st.integers(0, 5000), max_size=30).map(sorted), st.lists(st.integers(0, 5000), max_size=30).map(sorted))
def test_all_that_was_given_comes_out_in_order_of_time(pictures: list[int], sounds: list[int]) -> None:
    both = Interleaver()
    for slot, times in ((0, pictures), (1, sounds)):
        for ticks in times:
            both.push(sample(slot, ticks))
    out = all_of(both, {0, 1}, is_last=True)
    assert [ticks for _, ticks in out] == sorted(pictures + sounds)
    assert len(both) == 0
