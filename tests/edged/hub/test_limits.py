"""Budgets that refill."""

from __future__ import annotations

from edged.hub.limits import AttemptLimit, Budget


def test_budget_allows_the_burst_then_the_rate():
    budget = Budget(100, 200, 0)

    assert [budget.spend(0) for _ in range(201)] == [True] * 200 + [False]
    assert [budget.spend(0.05) for _ in range(6)] == [True] * 5 + [False]


def test_budget_never_grows_above_the_burst():
    budget = Budget(100, 3, 0)

    assert sum(budget.spend(1000) for _ in range(10)) == 3


def test_attempts_are_counted_per_address():
    limit = AttemptLimit(60)

    assert [limit.allows("192.0.2.1", 0) for _ in range(61)] == [True] * 60 + [False]
    assert limit.allows("192.0.2.2", 0)
    assert limit.allows("192.0.2.1", 1)


def test_addresses_of_one_ipv6_network_count_together_and_mapped_ones_as_ipv4():
    limit = AttemptLimit(2)

    assert limit.allows("2001:db8::1", 0)
    assert limit.allows("2001:db8::2", 0)
    assert not limit.allows("2001:db8::3%eth0", 0)
    assert limit.allows("::ffff:192.0.2.9", 0)
    assert limit.allows("192.0.2.9", 0)
    assert not limit.allows("::ffff:192.0.2.9", 0)


def test_this_machine_and_a_hub_without_the_limit_are_never_refused():
    limit = AttemptLimit(1)

    assert all(limit.allows(address, 0) for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for _ in range(5))
    assert all(AttemptLimit(0).allows("192.0.2.1", 0) for _ in range(5))
    assert len(limit) == 0


def test_address_without_an_ip_is_counted_by_its_name():
    limit = AttemptLimit(1)

    assert limit.allows("pipe", 0)
    assert not limit.allows("pipe", 0)


def test_memory_is_bounded_and_the_oldest_address_is_forgotten():
    limit = AttemptLimit(1, max_addresses=3)
    for last in range(1, 5):
        assert limit.allows(f"192.0.2.{last}", 0)

    assert len(limit) == 3
    assert limit.allows("192.0.2.1", 0)
    assert not limit.allows("192.0.2.4", 0)
