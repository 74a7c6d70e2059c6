"""Ids and account together, on one file."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edged.settings import BudgetSettings
from edged.telemetry.budget import Budget
from edged.telemetry.entries import TelemetryStats
from edged.telemetry.memory import Memory
from edged.telemetry.moments import Moment


@dataclass
class Sent:
    """A message that counts its acknowledgements."""

    packet_id: int
    topic: str = "t"
    payload: bytes = b"21.5"
    repeated: bool = False
    acks: list = field(default_factory=list)

    def ack(self):
        self.acks.append(self.packet_id)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "run"


def stats(delivered=0, waiting=0, **dropped):
    received = delivered + waiting + sum(dropped.values())
    return TelemetryStats(received, 0, delivered, waiting, 0, dropped)


def test_a_message_that_comes_again_to_the_next_process_keeps_its_id(place):
    memory = Memory("g", place)
    memory.connecting()
    first = memory.reading_id(Sent(1))
    memory.close(stats())
    again = Memory("g", place)
    again.connecting()
    assert again.reading_id(Sent(1, repeated=True)) == first
    assert again.reading_id(Sent(2)) != first
    again.session_lost()
    assert again.reading_id(Sent(1, repeated=True)) != first
    again.close(stats())


def test_only_a_repeat_is_owed(place):
    memory = Memory("g", place)
    memory.connecting()
    for packet_id in (1, 2):
        memory.reading_id(Sent(packet_id))
    memory.acknowledge(Sent(2))
    memory.close(stats())
    again = Memory("g", place)
    again.connecting()
    assert again.is_owed(Sent(1, repeated=True))
    assert not again.is_owed(Sent(1)), "a new message of the same words"
    assert not again.is_owed(Sent(2, repeated=True))
    again.close(stats())


def test_messages_are_acknowledged_whether_they_become_readings_or_not():
    memory = Memory("g", None)
    for packet_id in (0, 1):
        refused, taken = Sent(packet_id), Sent(packet_id)
        memory.acknowledge(refused)
        settle = memory.acknowledgement(taken)
        assert (refused.acks, taken.acks) == ([packet_id], [])
        settle()
        assert taken.acks == [packet_id]


def test_what_qos_0_loses_with_the_process_is_counted(place):
    memory = Memory("g", place)
    memory.acknowledgement(Sent(0))
    memory.acknowledgement(Sent(0))()
    memory.acknowledgement(Sent(1))
    memory.note(stats(delivered=1, expired=2))
    memory.close(stats(delivered=1, expired=2))
    again = Memory("g", place)
    assert again.totals(stats(delivered=4, waiting=3)) == {
        "received": 11,
        "delivered": 5,
        "waiting": 3,
        "dropped": {"expired": 2, "killed": 1},
        "most_received": 11,
        "this_life": {"received": 7, "recovered": 0, "delivered": 4, "waiting": 3, "dropped": {}},
    }
    again.close(stats())


NOW = Moment("boot", 1_000_000, 1_793_577_600_000, is_set=True)


def budget_of(memory):
    return Budget(BudgetSettings(), state=memory.account.memo)


def test_what_the_budget_has_counted_is_known_to_the_next_process(place):
    memory = Memory("g", place)
    budget = budget_of(memory)
    budget.take(NOW)
    memory.remember(budget)
    memory.close(stats())
    again = Memory("g", place)
    budget = budget_of(again)
    assert budget.used == 1
    budget.take(NOW)
    again.remember(budget)
    again.remember(budget)
    assert budget.used == 2


@pytest.mark.parametrize("sent_before_it_is_read", [0, 1])
def test_what_the_budget_has_counted_before_a_reboot_is_added_once_it_is_read(place, sent_before_it_is_read):
    memory = Memory("g", place / "before")
    budget = budget_of(memory)
    budget.take(NOW)
    memory.remember(budget)
    kept = memory.account.text()
    memory.close(stats())
    again = Memory("g", place / "after")
    budget = budget_of(again)
    for _ in range(sent_before_it_is_read):
        budget.take(NOW)
    again.remember(budget)
    for _ in range(2):
        again.account.restore(kept, 0)
        again.remember(budget)
    assert budget.used == 1 + sent_before_it_is_read
    budget.take(NOW)
    for _ in range(3):
        again.remember(budget)
    assert budget.used == 2 + sent_before_it_is_read
    assert again.account.memo == budget.state()
