"""Transport-wide feedback, read from bytes, and what a sender makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.rtcp_feedback import rtcp_parts
from metered_realtime.transport_feedback import BACK_OFF, HEADROOM, Arrivals, TransportEstimate, arrivals


def feedback(first: int, reported: int, chunks: Sequence[int], times: bytes, reference: int = 0) -> bytes:
    body = pack("!IIHHI", 1, 2, first, reported, reference << 8) + b"".join(pack("!H", chunk) for chunk in chunks)
    body += times
    body += bytes(-len(body) % 4)
    return pack("!BBH", 0x8F, 205, len(body) // 4) + body


def read(data: bytes) -> Arrivals | None:
    (part,) = rtcp_parts(data)
    return arrivals(data, part)


def test_a_run_of_packets_that_came() -> None:
    found = read(feedback(65_535, 3, [0x2003], bytes([4, 8, 12]), reference=100))
    assert found is not None
    assert found.sequences == [65_535, 0, 1]
    assert found.arrived_s == pytest.approx([6.401, 6.403, 6.406])
    assert found.reported == 3


def test_packets_that_did_not_come_have_no_time() -> None:
    found = read(feedback(10, 5000, [0x0000 | 4998, 0x2002], bytes([1, 1])))
    assert found is not None
    assert found.sequences == [5008, 5009]


def test_a_vector_of_single_bits() -> None:
    found = read(feedback(0, 14, [0x8000 | 0b10100000000001], bytes([1, 2, 3])))
    assert found is not None
    assert found.sequences == [0, 2, 13]


def test_a_vector_of_pairs_has_wide_and_negative_times() -> None:
    found = read(feedback(0, 7, [0xC000 | 0b01_10_00_00_00_00_10], bytes([4]) + pack("!hh", -4, 400)))
    assert found is not None
    assert found.sequences == [0, 1, 6]
    assert found.arrived_s == pytest.approx([0.001, 0.0, 0.1])


@pytest.mark.parametrize(
    "data",
    [
        feedback(0, 7, [0x2007], b"")[:-4] + b"",
        feedback(0, 8191, [0x3FFF], bytes(4)),
        feedback(0, 8191, [0x5FFF], bytes(40)),
        feedback(0, 20, [0x8000], b""),
        feedback(0, 14, [0xBFFF], bytes(4)),
    ],
)
def test_feedback_cut_short_is_none(data: bytes) -> None:
    data = data[:2] + pack("!H", len(data) // 4 - 1) + data[4:]
    assert read(data) is None


def test_feedback_without_a_body_is_none() -> None:
    assert read(pack("!BBHII", 0x8F, 205, 2, 1, 2)) is None


@given(st.binary(min_size=16, max_size=1400))
def test_nothing_hostile_raises_or_grows(body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    found = read(pack("!BBH", 0x8F, 205, len(body) // 4) + body)
    if found is not None:
        assert len(found.sequences) == len(found.arrived_s) <= len(body)
        TransportEstimate().take(found, 1.0)


class Link:
    """Takes `bps`, reports every 100 ms; its clock has an offset of its own."""

    def __init__(self, bps: float) -> None:
        self.bps = bps
        self.estimate = TransportEstimate()
        self.now_s = 50.0
        self.free_s = 0.0
        self.told: float | None = None

    def run(self, duration_s: float, sent_bps: float) -> None:
        for _ in range(round(duration_s / 0.1)):
            sequences, times = [], []
            for number in range(round(sent_bps * 0.1 / 8000)):
                at_s = self.now_s + number * 8000 / sent_bps
                sequences.append(self.estimate.number(1, 1000, at_s))
                self.free_s = max(self.free_s, at_s) + 8000 / self.bps
                times.append(self.free_s + 1000.0)
            self.now_s += 0.1
            self.told = self.estimate.take(Arrivals(sequences, times, len(sequences)), self.now_s)


def test_a_link_that_takes_all_is_known_to_take_somewhat_more() -> None:
    link = Link(10_000_000)
    link.run(5, 1_000_000)
    assert link.told == pytest.approx(HEADROOM * 1_000_000, rel=0.05)


def test_a_queue_that_grows_is_a_link_that_takes_less() -> None:
    link = Link(500_000)
    link.run(3, 1_000_000)
    assert link.told == pytest.approx(BACK_OFF * 500_000, rel=0.05)


def test_sending_less_does_not_lower_what_is_known() -> None:
    link = Link(10_000_000)
    link.run(5, 1_000_000)
    before = link.told
    link.run(5, 100_000)
    assert link.told == before


def test_what_is_known_rises_again_when_the_queue_is_gone() -> None:
    link = Link(500_000)
    link.run(3, 1_000_000)
    low = link.told
    link.bps = 10_000_000
    link.run(5, 1_000_000)
    assert low is not None
    assert link.told is not None
    assert link.told > 1.3 * low


def test_numbers_wrap_and_so_does_the_clock() -> None:
    estimate = TransportEstimate()
    estimate._next = 65_535
    assert [estimate.number(2, 200, 1.0), estimate.number(1, 100, 2.0)] == [65_535, 1]
    wrap_s = (1 << 24) * 0.064
    assert estimate.take(Arrivals([65_535, 0], [wrap_s - 0.1, wrap_s - 0.1], 2), 1.1) is None
    assert estimate.take(Arrivals([1], [0.9], 1), 2.1) == pytest.approx(HEADROOM * 200 * 8 / 1.0, rel=1)


def test_arrivals_of_packets_not_ours_say_nothing() -> None:
    assert TransportEstimate().take(Arrivals([1, 2, 3], [1.0, 2.0, 3.0], 3), 1.0) is None
