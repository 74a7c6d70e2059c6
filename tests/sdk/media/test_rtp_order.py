from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtp_order import MAX_HELD_PACKETS, MAX_WAIT_S, ReorderBuffer
from tests.sdk.media.h264_samples import rtp


def packet(sequence: int, ssrc: int = 7) -> bytes:
    return rtp(sequence, 0, b"x", ssrc=ssrc)


def numbers(packets: object) -> list[int]:
    return [int.from_bytes(data[2:4]) for data in packets]  # type: ignore[attr-defined]


def fed(buffer: ReorderBuffer, *sequences: int, now_s: float = 0.0) -> list[int]:
    return [number for sequence in sequences for number in numbers(buffer.push(packet(sequence), now_s))]


def test_what_comes_in_order_goes_straight_through() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 65534, 65535, 0, 1) == [65534, 65535, 0, 1]
    assert buffer.reordered == 0


def test_a_packet_that_overtook_others_waits_for_them() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 65534, 0, 1) == [65534]
    assert fed(buffer, 65535) == [65535, 0, 1]
    assert buffer.reordered == 2


def test_what_is_lost_is_passed_over_after_a_moment() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 1, 3) == [1]
    assert fed(buffer, 4, now_s=MAX_WAIT_S) == [3, 4]
    assert fed(buffer, 2, now_s=MAX_WAIT_S) == [2]
    assert fed(buffer, 5, now_s=MAX_WAIT_S) == [5]


def test_no_more_than_the_bound_waits() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 1, *range(3, 3 + MAX_HELD_PACKETS)) == [1]
    assert fed(buffer, 3 + MAX_HELD_PACKETS) == list(range(3, 4 + MAX_HELD_PACKETS))


def test_a_second_loss_behind_the_first_waits_on() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 1, 3, 5) == [1]
    assert fed(buffer, 6, now_s=MAX_WAIT_S) == [3]
    assert fed(buffer, 4, now_s=MAX_WAIT_S) == [4, 5, 6]


def test_a_sender_that_starts_again_is_followed() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 40_000, 40_002) == [40_000]
    assert fed(buffer, 60_000) == [40_002, 60_000]
    assert fed(buffer, *range(100, 110)) == list(range(100, 110))
    assert fed(buffer, 111, 110) == [110, 111]


def test_a_sender_that_starts_again_lower_is_followed_after_a_few_packets() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 40_000, 40_002) == [40_000]
    assert fed(buffer, *range(20_000, 20_007)) == list(range(20_000, 20_007))
    assert fed(buffer, 20_007) == [40_002, 20_007]
    assert fed(buffer, 20_009, 20_008) == [20_008, 20_009]


def test_another_sender_begins_anew_and_what_waited_is_given_first() -> None:
    buffer = ReorderBuffer()
    assert fed(buffer, 1, 3) == [1]
    assert numbers(buffer.push(packet(500, ssrc=8), 0.0)) == [3, 500]
    assert numbers(buffer.push(packet(501, ssrc=8), 0.0)) == [501]


def test_what_is_no_packet_is_for_others_to_judge() -> None:
    assert list(ReorderBuffer().push(b"short", 0.0)) == [b"short"]


@given(st.integers(0, 65535), st.integers(0, 2**32))
def test_any_small_disorder_is_put_right(first: int, seed: int) -> None:
    sent = [(first + index) & 0xFFFF for index in range(200)]
    noise = random.Random(seed)
    arriving = sorted(range(1, 200), key=lambda index: index + noise.uniform(0, 5))
    assert fed(ReorderBuffer(), sent[0], *(sent[index] for index in arriving)) == sent


@given(st.lists(st.binary(max_size=40), max_size=100))
def test_any_bytes_are_survived_and_none_is_given_twice(packets: list[bytes]) -> None:
    buffer = ReorderBuffer()
    given_back = [data for number, item in enumerate(packets) for data in buffer.push(item, number * 0.01)]
    assert len(given_back) <= len(packets)
