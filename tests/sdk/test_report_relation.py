from __future__ import annotations

import pytest

from metered_realtime.report_relation import (
    CHANGED_INTERVAL_S,
    CHANGED_REPORTS,
    FIRST_REPORTS_S,
    REPORT_INTERVAL_S,
    UNKNOWN_INTERVAL_S,
    ReportRelation,
)

WRAP = 1 << 32


def test_nothing_is_said_before_anything_was_sent() -> None:
    assert ReportRelation(90_000).rtp_at(100.0) is None


def test_a_report_says_which_rtp_time_is_now() -> None:
    relation = ReportRelation(90_000)
    relation.note(5_000, 99.5)
    assert relation.rtp_at(100.0) == 5_000 + 45_000


def test_what_was_taken_after_it_came_is_said_as_well() -> None:
    relation = ReportRelation(8_000)
    relation.note(5_000, 100.3)
    assert relation.rtp_at(100.0) == 5_000 - 2_400


def test_rtp_time_wraps() -> None:
    relation = ReportRelation(90_000)
    relation.note(WRAP - 1, 99.0)
    assert relation.rtp_at(100.0) == 89_999
    relation.note(2, 101.5)
    assert relation.rtp_at(101.0) == WRAP - 44_998


def waits(relation: ReportRelation, count: int, *, begin_s: float = 100.0, late_s: float = 0.0) -> list[float]:
    """Report `count` times of a stream that is `late_s` under way; return the waits before the reports after them."""
    waits_s, now_s = [], begin_s
    for _ in range(count):
        relation.note(round(now_s * 8_000) % WRAP, now_s - late_s)
        relation.rtp_at(now_s)
        waits_s.append(relation.wait_s())
        now_s += waits_s[-1]
    return waits_s


def test_reports_are_rare_after_the_first() -> None:
    assert waits(ReportRelation(8_000), len(FIRST_REPORTS_S) + 2) == [
        *FIRST_REPORTS_S,
        REPORT_INTERVAL_S,
        REPORT_INTERVAL_S,
    ]


def test_the_first_reports_wait_for_a_camera_that_is_being_opened() -> None:
    relation = ReportRelation(8_000)
    assert [relation.wait_s() for _ in range(20)] == [UNKNOWN_INTERVAL_S] * 20
    assert waits(relation, len(FIRST_REPORTS_S)) == list(FIRST_REPORTS_S)


def test_a_relation_that_has_changed_is_told_until_the_receiver_has_forgotten_the_old_one() -> None:
    relation = ReportRelation(8_000)
    waits(relation, len(FIRST_REPORTS_S))
    changed = waits(relation, CHANGED_REPORTS + 2, begin_s=120.0, late_s=0.4)
    assert changed == [*[CHANGED_INTERVAL_S] * CHANGED_REPORTS, REPORT_INTERVAL_S, REPORT_INTERVAL_S]


@pytest.mark.parametrize("late_s", [0.03, -0.03])
def test_drift_is_followed_in_passing(late_s: float) -> None:
    relation = ReportRelation(8_000)
    waits(relation, len(FIRST_REPORTS_S))
    assert waits(relation, 1, begin_s=120.0, late_s=late_s) == [REPORT_INTERVAL_S]
