"""The soak runs, and its verdict tells growth from the coming and going of viewers."""

from __future__ import annotations

import pytest

from scripts.lib.soak import Effort, soak
from scripts.lib.soak_judge import PERIOD_90K, Sample, Tally, judge, lost_between


def hour(*, growth_mb: float = 0.0, more_fds: int = 0) -> list[Sample]:
    """Return an hour's samples: a warm-up, then so much growth, evenly, under a load that goes up and down."""
    return [
        Sample(
            at_s=minute * 60.0,
            rss_mb=80.0 + min(minute, 6) * 3 + growth_mb * minute / 60,
            pss_mb=50.0,
            private_dirty_mb=40.0,
            fds=45 + (minute % 3) * 5 + more_fds * minute // 60,
            threads=2,
            present=8 + minute % 3,
            joined=minute * 33,
        )
        for minute in range(61)
    ]


def said(**fields: object) -> dict[str, object]:
    usual = {"number": 1, "wish": "main", "pictures": 90, "lost": 0, "width": 320, "first_ms": 80, "idle_s": 0.1}
    return {**usual, "is_served_unasked": False, **fields}


def verdict(samples: list[Sample], tally: Tally | None = None) -> tuple[str, ...]:
    idle = samples[0]._replace(fds=15)
    return judge(samples, tally or Tally(320, 160), empty_before=idle, empty_after=idle).faults


def test_warm_up_and_load_are_no_growth() -> None:
    assert verdict(hour()) == ()
    tally = Tally(320, 160)
    tally.take(said(pictures=90, lost=2), 5.0)
    idle = hour()[0]
    for samples, is_long in ((hour(), True), (hour()[:8], False)):
        found = judge(samples, tally, empty_before=idle, empty_after=idle)
        assert (found.is_growth_judged, found.pictures, found.lost) == (is_long, 90, 2)


def test_growth_is_a_fault() -> None:
    (fault,) = verdict(hour(growth_mb=8.0))
    assert "memory grew by" in fault
    assert verdict(hour(growth_mb=8.0)[:8]) == (), "too few viewers came to say so"
    (fault,) = verdict(hour(more_fds=40))
    assert "open files grew" in fault


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, ""),
        ({"pictures": 0, "first_ms": None, "idle_s": None}, "saw no picture"),
        ({"idle_s": 3.5}, "saw no picture in its last 3.5 s"),
        ({"wish": "sub", "width": 160}, ""),
        ({"wish": "sub", "width": 320}, "asked for the second picture"),
        ({"wish": "none", "idle_s": 9.0}, ""),
        ({"wish": "none", "is_served_unasked": True}, "asked for none"),
    ],
)
def test_every_viewer_is_judged_by_what_it_asked_for(fields: dict[str, object], fault: str) -> None:
    tally = Tally(320, 160)
    tally.take(said(**fields), 5.0)
    assert [fault in one for one in tally.faults] == ([True] if fault else [])


def test_lost_pictures_are_counted_by_the_time_between_two() -> None:
    assert lost_between(None, 5) == 0
    assert [lost_between(0, steps * PERIOD_90K) for steps in (0, 1, 2, 5)] == [0, 0, 1, 4]
    assert lost_between(0, 31 * PERIOD_90K) == 30, "a whole group of pictures"
    assert lost_between(0, 200 * PERIOD_90K) == 0, "another clock"


@pytest.mark.system
@pytest.mark.timeout(120)
async def test_a_short_soak_of_real_parts() -> None:
    found = await soak(Effort(seconds=4.0, joins=8, seed=3))
    assert [fault for fault in found.faults if fault.startswith("viewer")] == []
    assert found.threads[1] < 10
