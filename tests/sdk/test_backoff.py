"""Delays between attempts."""

from __future__ import annotations

from itertools import islice

from metered_realtime.backoff import delays, jittered


def test_delays_double_to_the_cap():
    assert list(islice(delays(random=lambda: 0.5), 8)) == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_jitter_is_a_share_of_the_delay_either_way():
    assert jittered(10.0, 0.2, lambda: 0.0) == 8.0
    assert jittered(10.0, 0.2, lambda: 1.0) == 12.0


def test_every_delay_stays_within_its_jitter():
    for base_s, delay_s in zip([0.5, 1, 2, 4, 8, 16, 30, 30], delays(), strict=False):
        assert 0.8 * base_s <= delay_s <= 1.2 * base_s
