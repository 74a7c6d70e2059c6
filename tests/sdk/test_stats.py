"""Rates from two samples, and what is put together for the application."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.stats import (
    MIN_INTERVAL_S,
    CandidatePairStats,
    ConnectionSample,
    PeerStats,
    StatsMeter,
    TrackStats,
    peer_stats,
)

PAIR = CandidatePairStats(
    local_type="host", remote_type="relay", protocol="udp", local_address="a:1", remote_address="b:2", rtt_s=0.02
)


def track(**more: Any) -> TrackStats:
    given: dict[str, Any] = {
        "direction": "send", "kind": "video", "track_id": "t", "codec": "video/VP8", "ssrc": 1, "bytes": 0,
        "packets": 0,
    }  # fmt: skip
    return TrackStats(**{**given, **more})


def test_the_rate_is_of_what_came_between_two_calls() -> None:
    meter = StatsMeter()
    (first,) = meter.take([track(bytes=1000, packets=10)], 100.0)
    (second,) = meter.take([track(bytes=3000, packets=20)], 102.0)
    (third,) = meter.take([track(bytes=3000, packets=20)], 103.0)
    assert (first.bitrate_bps, second.bitrate_bps, third.bitrate_bps) == (None, 8000.0, 0.0)


def test_a_call_right_after_another_repeats_the_rate() -> None:
    meter = StatsMeter()
    meter.take([track(bytes=0)], 0.0)
    (early,) = meter.take([track(bytes=9000, packets=9)], MIN_INTERVAL_S / 2)
    assert early.bitrate_bps is None
    meter.take([track(bytes=1000, packets=10)], 1.0)
    (hurried,) = meter.take([track(bytes=1500, packets=12)], 1.1)
    assert (hurried.bitrate_bps, hurried.bytes) == (8000.0, 1500)
    (later,) = meter.take([track(bytes=3000, packets=20)], 2.0)
    assert later.bitrate_bps == 16_000.0


def test_a_track_of_another_connection_begins_anew() -> None:
    meter = StatsMeter()
    meter.take([track(bytes=5000, packets=50)], 0.0)
    assert meter.take([track(bytes=5000, packets=60, ssrc=2)], 1.0)[0].bitrate_bps is None
    assert meter.take([track(bytes=100, packets=1, ssrc=2)], 2.0)[0].bitrate_bps is None
    assert meter.take([], 3.0) == ()
    assert meter.take([track(bytes=9000, packets=99, ssrc=2)], 4.0)[0].bitrate_bps is None


def test_the_loss_of_a_received_track_is_computed_and_that_of_a_sent_one_reported() -> None:
    meter = StatsMeter()
    received = {"direction": "receive", "ssrc": 2}
    meter.take([track(packets=100, lost=0, **received), track(fraction_lost=0.5)], 0.0)
    now = meter.take([track(packets=175, lost=25, **received), track(fraction_lost=0.25)], 1.0)
    assert [each.fraction_lost for each in now] == [0.25, 0.25]
    hurried = meter.take([track(packets=175, lost=25, **received), track()], 1.1)
    assert [each.fraction_lost for each in hurried] == [0.25, 0.25]
    still = meter.take([track(packets=175, lost=25, **received)], 2.0)
    assert still[0].fraction_lost == 0.0
    unknown = meter.take([track(packets=175, lost=None, **received)], 3.0)
    assert unknown[0].fraction_lost is None


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6), st.floats(0, 10)), max_size=20))
def test_rates_are_never_negative_and_nothing_raises(calls: list[tuple[int, int, float]]) -> None:
    meter, now_s = StatsMeter(), 0.0
    for payload_bytes, packets, passed_s in calls:
        now_s += passed_s
        (rated,) = meter.take([track(direction="receive", bytes=payload_bytes, packets=packets, lost=packets)], now_s)
        assert rated.bitrate_bps is None or rated.bitrate_bps >= 0
        assert rated.fraction_lost is None or 0 <= rated.fraction_lost <= 1


def test_the_round_trip_is_that_of_the_path_or_else_of_the_reports() -> None:
    tracks = (track(rtt_s=0.3), track(ssrc=2, rtt_s=0.2), track(ssrc=3))
    sample = ConnectionSample(pair=PAIR, bytes_sent=1, bytes_received=2, packets_sent=3, packets_received=4)
    stats = peer_stats("connected", sample, tracks, dropped_signals=5)
    assert stats == PeerStats(
        state="connected", pair=PAIR, rtt_s=0.02, bytes_sent=1, bytes_received=2, packets_sent=3, packets_received=4,
        tracks=tracks, dropped_signals=5,
    )  # fmt: skip
    assert peer_stats("connected", ConnectionSample(), tracks, dropped_signals=0).rtt_s == 0.2
    assert peer_stats("idle", ConnectionSample(), (), dropped_signals=0) == PeerStats(state="idle")


def test_values_are_frozen() -> None:
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        PAIR.rtt_s = 0.0  # type: ignore[misc]
