"""The account across restarts and reboots: received = delivered + waiting + dropped."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged.telemetry.account import AREA_BYTES, MAX_MEMO_BYTES, Account


@pytest.fixture
def area():
    return memoryview(bytearray(AREA_BYTES))


def test_counts_go_on_after_a_restart(area):
    Account(area).note(5, {"no_route": 2})
    again = Account(area)
    again.note(1, {"no_route": 1, "expired": 4})
    assert again.delivered == 6
    assert Account(area).dropped() == {"no_route": 3, "expired": 4}


def test_figures_add_up(area):
    account = Account(area)
    account.note(5, {"no_route": 2})
    assert account.figures(waiting=3) == {
        "received": 10,
        "delivered": 5,
        "waiting": 3,
        "dropped": {"no_route": 2},
        "most_received": 10,
    }


def test_what_nobody_brings_again_is_counted_as_killed_by_the_next_start(area):
    account = Account(area)
    releases = [account.hold() for _ in range(3)]
    releases[0]()
    assert Account(area).dropped() == {"killed": 2}
    assert Account(area).dropped() == {"killed": 2}


def test_after_a_reboot_the_text_is_taken(area):
    account = Account(area)
    account.note(5, {"expired": 1})
    account.remember("budget")
    fresh = Account(memoryview(bytearray(AREA_BYTES)))
    fresh.note(1, {"expired": 2})
    fresh.restore(account.text(), 0)
    assert (fresh.delivered, fresh.dropped(), fresh.memo) == (6, {"expired": 3}, "budget")


def test_after_a_restart_the_text_is_older_and_changes_nothing(area):
    account = Account(area)
    account.note(5, {"expired": 1})
    text = account.text()
    account.note(9, {"expired": 2})
    again = Account(area)
    again.restore(text, 0)
    assert (again.delivered, again.dropped()) == (9, {"expired": 2})


@pytest.mark.parametrize("is_reboot", [False, True])
def test_what_does_not_add_up_shows_in_all_later_lives(area, is_reboot):
    account = Account(area)
    account.note(5, {"expired": 1}, unexplained=2)
    assert account.figures(1)["received"] == 9
    again = Account(memoryview(bytearray(AREA_BYTES)) if is_reboot else area)
    for _opened in range(2):
        again.restore(account.text(), 0)
    assert again.figures(1)["received"] == 9
    again.note(6, {}, unexplained=-2)
    assert again.figures(0)["received"] == 12 == again.delivered + 1


def test_what_was_on_disk_and_is_not_found_there_is_dropped(area):
    account = Account(area)
    account.restore("", 0)
    account.note(0, {}, stored=7)
    again = Account(area)
    again.note(0, {}, stored=0)  # not opened yet
    assert again.restore("", 4) == 3
    assert again.dropped() == {"store_lost": 3}
    # The outbox counts by itself what it loses while it runs.
    again.note(0, {"store_corrupt": 4}, stored=0)
    assert again.restore("", 0) == 0
    assert Account(area).restore("", 1) == 0
    assert Account(area).dropped() == {"store_lost": 3, "store_corrupt": 4}


def test_a_counter_does_not_go_back_while_the_broker_brings_messages_again(area):
    account = Account(area)
    account.note(5, {})
    assert account.figures(3)["most_received"] == 8
    again = Account(area)
    found = again.figures(0)
    assert (found["received"], found["most_received"]) == (5, 8)
    assert again.figures(4)["most_received"] == 9


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"delivered":-1}', '{"delivered":true,"dropped":7,"memo":3}', "[" * 9000,
     '{"unexplained":"7"}', '{"unexplained":99999999999999999999}',
     '{"delivered":1e400,"dropped":{"a":"b","":-3}}', json.dumps({"memo": "x" * 500}), "9" * 20000],
)  # fmt: skip
def test_a_text_that_is_not_ours_counts_nothing(area, text):
    account = Account(area)
    account.restore(text, 0)
    assert account.figures(0) == {"received": 0, "delivered": 0, "waiting": 0, "dropped": {}, "most_received": 0}
    assert account.memo == ""


def test_reasons_beyond_the_room_are_counted_together(area):
    account = Account(area)
    dropped = {f"reason{n}": 1 for n in range(100)} | {"": 1, "x" * 99: 1}
    account.note(0, dropped)
    assert sum(account.dropped().values()) == 102
    again = Account(area)
    assert again.dropped() == account.dropped()
    again.note(0, dropped)
    assert sum(again.dropped().values()) == 204
    assert again.dropped()["other"] > 2


def test_a_memo_survives_and_has_a_bound(area):
    account = Account(area)
    assert account.memo == ""
    account.remember("2026-11 97531")
    assert Account(area).memo == "2026-11 97531"
    account.remember("")
    assert Account(area).memo == ""
    with pytest.raises(ValueError, match="at most 200"):
        account.remember("x" * (MAX_MEMO_BYTES + 1))


def test_a_torn_memo_is_none(area):
    Account(area).remember("2026-11 97531")
    area[AREA_BYTES - MAX_MEMO_BYTES : AREA_BYTES - MAX_MEMO_BYTES + 2] = b"\xff\xff"
    assert Account(area).memo == ""


class Lives(RuleBasedStateMachine):
    """An outbox with memory and disk, a broker that brings again what was not acknowledged; kills and reboots."""

    def __init__(self):
        super().__init__()
        self.area = memoryview(bytearray(AREA_BYTES))
        self.text = ""
        self.on_disk = 0
        self.true = Counter()
        self.start()

    def start(self):
        self.account = Account(self.area)
        self.account.restore(self.text, self.on_disk)
        self.delivered = 0
        self.dropped = Counter()
        self.memory = 0
        self.volatile = []

    @rule()
    def take_with_qos_1(self):
        self.memory += 1

    @rule()
    def take_with_qos_0(self):
        self.volatile.append(self.account.hold())

    @rule(reason=st.sampled_from(["no_route", "too_large"]))
    def refuse(self, reason):
        self.drop(reason)

    def drop(self, reason):
        self.dropped[reason] += 1
        self.true[reason] += 1
        self.note()

    def note(self):
        self.account.note(self.delivered, self.dropped, stored=self.on_disk)

    @rule()
    def deliver(self):
        if self.volatile:
            self.volatile.pop()()
        elif self.memory:
            self.memory -= 1
        else:
            return
        self.delivered += 1
        self.true["delivered"] += 1
        self.note()

    @rule()
    def write(self):
        self.on_disk += self.memory + len(self.volatile)
        self.memory = 0
        for release in self.volatile:
            release()
        self.volatile = []
        self.text = self.account.text()
        self.note()

    @rule()
    def kill(self):
        self.true["killed"] += len(self.volatile)
        self.start()

    @rule()
    def stop_and_reboot(self):
        self.write()
        self.area = memoryview(bytearray(AREA_BYTES))
        self.start()

    @invariant()
    def the_account_is_true(self):
        waiting = self.on_disk + self.memory + len(self.volatile)
        figures = self.account.figures(waiting)
        assert figures["received"] == figures["delivered"] + waiting + sum(figures["dropped"].values())
        kept = {"delivered": figures["delivered"], **figures["dropped"]}
        assert {name: count for name, count in kept.items() if count} == dict(+self.true)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
