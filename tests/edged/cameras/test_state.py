from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cameras.state import CameraStatus, idle, next_status

STATES = ["idle", "connecting", "live", "lost", "failed"]


def walk(*reports: tuple[str, str]) -> list[tuple[str, str, int]]:
    """Return the status after each report, one millisecond apart."""
    status = idle(0)
    seen = []
    for now_ms, (state, detail) in enumerate(reports, start=1):
        status = next_status(status, state, detail, now_ms)
        seen.append((status.state, status.reason, status.since_ms))
    return seen


def test_a_good_life() -> None:
    assert walk(("connecting", ""), ("live", "1280x720"), ("idle", "")) == [
        ("connecting", "", 1), ("live", "", 2), ("idle", "", 3),
    ]  # fmt: skip


def test_a_camera_in_trouble_stays_so_while_it_is_tried_again() -> None:
    assert walk(("live", ""), ("lost", "gone"), ("connecting", ""), ("lost", "gone"), ("live", "x")) == [
        ("live", "", 1), ("lost", "gone", 2), ("lost", "gone", 2), ("lost", "gone", 2), ("live", "", 5),
    ]  # fmt: skip


def test_a_new_reason_is_news_but_no_new_state() -> None:
    assert walk(("failed", "a"), ("failed", "b"), ("lost", "b")) == [
        ("failed", "a", 1), ("failed", "b", 1), ("lost", "b", 3),
    ]  # fmt: skip


def test_nothing_new_is_the_same_value() -> None:
    status = CameraStatus("live", "", 5)
    assert next_status(status, "live", "other words", 9) is status


def test_an_unknown_state_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no camera state"):
        next_status(idle(0), "asleep", "", 1)


def test_the_message_has_the_agreed_shape() -> None:
    assert CameraStatus("lost", "it is gone", 1790000000000).message("yard") == {
        "type": "edged/camera",
        "camera": "yard",
        "quality": "main",
        "state": "lost",
        "reason": "it is gone",
        "since_ms": 1790000000000,
    }


@given(st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from(["", "a", "b"]))))
def test_only_trouble_has_a_reason_and_time_only_goes_forward(reports: list[tuple[str, str]]) -> None:
    before = 0
    for state, reason, since_ms in walk(*reports):
        assert reason == "" or state in {"lost", "failed"}
        assert since_ms >= before
        before = since_ms
