from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtp import SequenceWatch, Timeline, parse_rtp
from tests.sdk.media.h264_samples import rtp

FRAME = 3000


def test_reads_the_fields_of_a_packet() -> None:
    packet = parse_rtp(rtp(513, 0x01020304, b"pay", marker=True, payload_type=97, ssrc=0xAABBCCDD))
    assert packet is not None
    assert packet == (True, 97, 513, 0x01020304, 0xAABBCCDD, b"pay")


def test_passes_over_csrc_extension_and_padding() -> None:
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 96, 1, 2, 3)
    packet = parse_rtp(head + bytes(8) + struct.pack("!HH", 0xBEDE, 1) + b"ext!" + b"body" + b"\x00\x00\x03")
    assert packet is not None
    assert packet.payload == b"body"


def test_refuses_what_is_cut_short_or_not_rtp() -> None:
    whole = rtp(1, 2, b"")
    assert parse_rtp(whole) is not None
    assert parse_rtp(whole[:-1]) is None
    assert parse_rtp(b"\x40" + whole[1:]) is None
    assert parse_rtp(b"\x82" + whole[1:]) is None, "two sources announced, none there"
    assert parse_rtp(b"\x90" + whole[1:]) is None, "an extension announced, none there"
    assert parse_rtp(b"\xb0" + whole[1:] + b"\x00\x00\x00\x09") is None
    assert parse_rtp(b"\xa0" + whole[1:] + b"\x00") is None, "padding of zero bytes"
    assert parse_rtp(b"\xa0" + whole[1:] + b"\x05") is None, "more padding than packet"


@given(st.binary(max_size=80))
def test_never_raises_on_any_bytes(data: bytes) -> None:
    packet = parse_rtp(data)
    assert packet is None or len(packet.payload) <= len(data) - 12


def test_sequence_numbers_wrap() -> None:
    watch = SequenceWatch()
    assert [watch.accept(number) for number in (65534, 65535, 0, 1)] == [(True, False)] * 4
    assert watch.lost_packets == 0


def test_a_gap_is_told_and_counted() -> None:
    watch = SequenceWatch()
    watch.accept(10)
    assert watch.accept(14) == (True, True)
    assert watch.lost_packets == 3


def test_an_old_or_repeated_packet_is_not_used() -> None:
    watch = SequenceWatch()
    watch.accept(10)
    watch.accept(11)
    assert watch.accept(10) == (False, False)
    assert watch.accept(11) == (False, False)
    assert watch.accept(12) == (True, False)
    assert watch.old_packets == 2


def test_a_sender_that_starts_again_lower_is_followed() -> None:
    watch = SequenceWatch()
    watch.accept(30000)
    assert watch.accept(5) == (False, False)
    assert watch.accept(6) == (True, True)
    assert watch.accept(7) == (True, False)


def test_after_a_reset_any_number_is_right() -> None:
    watch = SequenceWatch()
    watch.accept(1)
    watch.reset()
    assert watch.accept(900) == (True, False)


def test_the_timeline_starts_at_zero_and_survives_the_wrap() -> None:
    timeline = Timeline()
    start = 0xFFFFFFFF - FRAME
    assert [timeline.pts_90k((start + step * FRAME) & 0xFFFFFFFF, step / 30) for step in range(4)] == [
        0, FRAME, 2 * FRAME, 3 * FRAME,
    ]  # fmt: skip


def test_the_timeline_runs_for_days() -> None:
    timeline = Timeline()
    step_90k = 4 * 90_000
    raw = pts = 0
    for step in range(60_000):  # 66 hours: the 32 bits wrap five times
        pts = timeline.pts_90k(raw & 0xFFFFFFFF, step * 4.0)
        assert pts == step * step_90k
        raw += step_90k
    assert pts > 1 << 32


def test_two_fields_share_a_stamp_and_steps_back_become_the_smallest_ahead() -> None:
    timeline = Timeline()
    stamps = [0, 9000, 9000, 3000, 6000, 12000, 12000]
    assert [timeline.pts_90k(stamp, 0.0) for stamp in stamps] == [0, 9000, 9000, 9001, 9002, 12000, 12000]
    assert timeline.steps_back == 2


def test_a_stamp_that_stands_still_is_no_clock() -> None:
    timeline = Timeline()
    stood = [timeline.pts_90k(77, step / 25) for step in range(5)]
    assert stood == [0, 0, 3600, 7200, 10800]
    assert [timeline.pts_90k(77 + 3600 * step, (4 + step) / 25) for step in (1, 2)] == [14400, 18000]
    assert (timeline.jumps, timeline.steps_back) == (0, 0)


def test_a_new_timeline_that_persists_goes_on_after_the_time_that_passed() -> None:
    timeline = Timeline()
    timeline.pts_90k(1000, 0.0)
    timeline.pts_90k(1000 + FRAME, 1.0)
    base = 0x80000000
    given_pts = [timeline.pts_90k(base + step * FRAME, 3.0 + step / 30) for step in range(4)]
    first = FRAME + 2 * 90_000
    assert given_pts == [first, first + FRAME, first + 2 * FRAME, first + 3 * FRAME]
    assert timeline.jumps == 1


def test_one_stray_stamp_does_not_move_the_timeline() -> None:
    timeline = Timeline()
    for step in range(3):
        timeline.pts_90k(step * FRAME, step / 30)
    stray = timeline.pts_90k(3600 * 90_000, 3 / 30)
    assert 2 * FRAME < stray <= 4 * FRAME
    assert timeline.pts_90k(4 * FRAME, 4 / 30) == 4 * FRAME
    assert timeline.jumps == 0


@given(st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.floats(0, 100))))
def test_the_timeline_never_goes_back(steps: list[tuple[int, float]]) -> None:
    timeline = Timeline()
    now_s, last = 0.0, 0
    for stamp, pause_s in steps:
        now_s += pause_s
        pts = timeline.pts_90k(stamp, now_s)
        assert pts >= last
        last = pts


def test_a_clock_set_back_goes_on_after_the_time_that_passed() -> None:
    line = Timeline()
    assert line.pts_90k(900_000, 0.0) == 0
    back = 900_000 - 90_000
    assert [line.pts_90k(back + 3000 * step, 0.04 * (step + 1)) for step in range(4)] == [3600, 6600, 9600, 12600]
    assert (line.jumps, line.steps_back) == (1, 0)


@given(st.lists(st.integers(1, 5 * 90_000), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_over_any_wrap_the_timeline_is_the_sum_of_its_steps(steps: list[int], first: int) -> None:
    line = Timeline()
    stamp, total, now_s = first, 0, 0.0
    line.pts_90k(stamp, now_s)
    for step in steps:
        stamp, total, now_s = (stamp + step) % 2**32, total + step, now_s + step / 90_000
        assert line.pts_90k(stamp, now_s) == total
