import pytest

from edged.telemetry.pace import Pace


def test_a_burst_goes_at_once_and_then_the_rate_holds():
    pace = Pace(10, 3)
    assert [pace.take(0.0) for _ in range(3)] == [0, 0, 0]
    assert pace.take(0.0) == pytest.approx(0.1)
    assert pace.take(0.05) == pytest.approx(0.05)
    assert pace.take(0.1) == 0
    assert pace.take(0.1) > 0


def test_tokens_do_not_pile_up_beyond_the_burst():
    pace = Pace(10, 2)
    pace.take(0.0)
    assert [pace.take(100.0) for _ in range(3)] == [0, 0, pytest.approx(0.1)]


def test_a_token_can_be_given_back():
    pace = Pace(10, 1)
    assert pace.take(0.0) == 0
    pace.give_back()
    assert pace.take(0.0) == 0
    pace.give_back()
    pace.give_back()
    assert [pace.take(0.0), pace.take(0.0)] == [0, pytest.approx(0.1)]
