"""Options that cannot work are refused where they are written."""

from __future__ import annotations

import pytest

from metered_realtime import ReconnectOptions, SignallingClientOptions


def test_defaults_are_those_of_the_protocol():
    options = ReconnectOptions()
    assert (options.initial_delay, options.multiplier, options.max_delay) == (0.5, 2.0, 30.0)
    assert (options.jitter_ratio, options.max_attempts, options.retry_first_connect) == (0.2, 100, False)
    assert SignallingClientOptions(api_key="k").inactivity_timeout == 60.0


@pytest.mark.parametrize(
    "wrong",
    [{"initial_delay": 0}, {"multiplier": 0.5}, {"max_delay": 0.1}, {"jitter_ratio": 1.5}, {"max_attempts": -1}],
)
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReconnectOptions(**wrong)
