from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.recorder_clock import MAX_DRIFT_S, ArrivalClock

RATE = 1000


def test_timestamps_are_kept_and_the_unrest_of_arrival_is_not() -> None:
    clock = ArrivalClock(RATE)
    arrivals = [10.0, 10.06, 10.08, 10.15, 10.16]
    assert [clock.place(500 + 40 * n, at_s) for n, at_s in enumerate(arrivals)] == [
        10_000,
        10_040,
        10_080,
        10_120,
        10_160,
    ]


def test_a_burst_at_the_start_does_not_make_a_track_late() -> None:
    clock = ArrivalClock(RATE)
    for number in range(10):
        clock.place(number * 100, 5.0 + number / 1000)
    live = [clock.place(1000 + number * 100, 5.1 + number / 10) for number in range(5)]
    assert live[-1] == 5500
    assert live == sorted(set(live))


def test_a_stall_on_the_way_leaves_no_gap() -> None:
    clock = ArrivalClock(RATE)
    assert clock.place(0, 1.0) == 1000
    stalled = [clock.place(100 * number, 4.0) for number in range(1, 31)]
    assert stalled[0] in (1100, 1101, 1102, 1103)
    assert stalled[-1] < 4020


def test_a_sender_whose_clock_runs_slow_is_followed() -> None:
    clock = ArrivalClock(RATE)
    placed = [clock.place(round(second * 1000 * 0.9995), float(second)) for second in range(600)]
    assert abs(placed[-1] - 599_000) <= 1


def test_another_timeline_begins_at_its_arrival() -> None:
    clock = ArrivalClock(RATE)
    clock.place(90_000, 1.0)
    assert clock.place(10, 2.0) == 2000, "timestamps that go back"
    assert clock.place(10 + round(MAX_DRIFT_S * RATE) + 2000, 3.0) == 3000, "and that leap ahead"
    clock.restart()
    assert clock.place(9000, 4.0) == 4000


def test_what_has_no_timestamp_is_placed_by_its_arrival() -> None:
    clock = ArrivalClock(RATE)
    assert [clock.place(None, 1.0), clock.place(None, 1.0), clock.place(None, 2.0)] == [1000, 1001, 2000]


@given(st.lists(st.tuples(st.none() | st.integers(0, 10**6), st.floats(0, 3)), max_size=50))
def test_time_never_goes_back(pieces: list[tuple[int | None, float]]) -> None:
    clock, now_s, out = ArrivalClock(RATE), 0.0, []
    for ticks, step_s in pieces:
        now_s += step_s
        out.append(clock.place(ticks, now_s))
    assert out == sorted(set(out))
