"""The gate: for what a message waits, and that whatever waits is asked for again."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged.settings import BudgetSettings, TelemetrySettings
from edged.telemetry.gate import Go, Wait, make_gate
from edged.telemetry.moments import Moment
from edged.telemetry.pace import Pace
from edged.telemetry.reading import HIGH, LOW, NORMAL, Reading
from edged.telemetry.verdict import Hold

QUOTA = Hold("over_message_quota", "used up", 60.0, 900.0)


def moment(now_s):
    return Moment("boot", int(now_s * 1000), 1_793_491_200_000 + int(now_s * 1000), is_set=True)


def reading(lane=NORMAL, delay_s=0.0, channel="farm"):
    return Reading("id", channel, "x", 100, lane=lane, batch_delay_s=delay_s)


def doubling(first_s, longest_s):
    while True:
        yield min(first_s, longest_s)
        first_s *= 2


def gate(*, gather_s=0.0, limit=0, state="", pace=None):
    chosen = TelemetrySettings(gather_s=gather_s, budget=BudgetSettings(messages_per_month=limit))
    return make_gate(chosen, state, pace=pace or Pace(1000, 1000), delays=doubling)


def ask(each, now_s, *, is_behind=False):
    return each.ask(now_s, moment(now_s), is_behind=is_behind)


def test_a_reading_may_go_at_once():
    each = gate()
    assert each.arrived(reading(), 0.0)
    go = ask(each, 0.0)
    assert isinstance(go, Go)
    assert go.lane == LOW
    assert "farm" not in go.not_yet


def test_nothing_to_send_costs_nothing():
    each = gate(pace=Pace(1, 1))
    for _ in range(3):
        assert each.nothing_to_send(ask(each, 0.0), moment(0)) == Wait("readings")
    assert each.budget.used == 0


def test_readings_that_keep_coming_wait_for_their_round_and_wake_nobody():
    each = gate(gather_s=0.05)
    each.arrived(reading(), 0.0)
    ask(each, 0.0)
    each.sent(0.0)
    each.nothing_to_send(ask(each, 0.0), moment(0))
    assert each.arrived(reading(), 0.01)
    assert ask(each, 0.01) == Wait("company", 0.05)
    assert not each.arrived(reading(), 0.02)
    assert isinstance(ask(each, 0.05), Go)


def test_a_whole_message_ends_the_wait():
    each = gate(gather_s=9.0)
    each.arrived(reading(), 0.0)
    ask(each, 0.0)
    each.sent(0.0)
    each.nothing_to_send(ask(each, 0.0), moment(0))
    each.arrived(reading(), 0.0)
    ask(each, 0.0)
    assert [each.arrived(reading(), 0.0) for _ in range(199)] == [False] * 198 + [True]
    assert isinstance(ask(each, 0.0), Go)


def test_a_reading_that_waits_for_company_is_asked_for_when_it_is_due():
    each = gate()
    assert each.arrived(reading(delay_s=5.0), 0.0)
    go = ask(each, 0.0)
    assert "farm" in go.not_yet
    assert each.nothing_to_send(go, moment(0)) == Wait("readings", 5.0)
    assert not each.arrived(reading(delay_s=9.0, channel="barn"), 1.0)
    assert each.arrived(reading(delay_s=1.0, channel="shed"), 1.0), "due before the look that is planned"
    assert "shed" not in ask(each, 2.0).not_yet


def test_a_backlog_waits_for_no_company():
    each = gate()
    each.arrived(reading(delay_s=60.0), 0.0)
    assert "farm" not in ask(each, 0.0, is_behind=True).not_yet


def test_after_an_outage_nobody_waits_for_company():
    each = gate()
    each.arrived(reading(delay_s=60.0), 0.0)
    each.link_up()
    assert "farm" not in ask(each, 0.0).not_yet


def test_the_pace_is_kept_and_a_complaint_slows_it():
    each = gate(pace=Pace(10, 1))
    assert isinstance(ask(each, 0.0), Go)
    assert ask(each, 0.0) == Wait("pace", pytest.approx(0.1))
    assert not each.arrived(reading(), 0.0)
    each.too_fast(0.0)
    figures = each.figures()
    assert (figures["pace_per_s"], figures["pace_slowed"], figures["waits_for"]) == (5, 1, "pace")


def test_a_hub_that_takes_nothing_is_tried_ever_more_seldom():
    each, now_s, waits = gate(), 0.0, []
    for _ in range(6):
        ask(each, now_s)
        each.hold(QUOTA, now_s, moment(now_s))
        each.hold(QUOTA, now_s, moment(now_s))  # another one that was on its way too
        answer = ask(each, now_s)
        assert answer.reason == "hub"
        waits.append(answer.until_s - now_s)
        now_s = answer.until_s
    assert waits == pytest.approx([60, 120, 240, 480, 900, 900])
    assert each.figures()["held"] == "over_message_quota"
    assert each.budget.used == 0
    each.taken()
    assert isinstance(ask(each, now_s), Go)
    assert each.figures()["held"] == ""


def test_another_reason_begins_with_its_own_delay():
    each = gate()
    each.hold(QUOTA, 0.0, moment(0))
    each.hold(Hold("backend_error", "trouble", 0.5, 30.0), 100.0, moment(100))
    assert ask(each, 100.0).until_s == 100.5


def test_urgent_readings_go_where_the_budget_stops_the_others():
    each = gate(limit=1000, state="1 2026-11-01 800 0")
    go = ask(each, 0.0)
    assert go.lane == HIGH
    answer = each.nothing_to_send(go, moment(0))
    assert answer.reason == "budget"
    assert not each.arrived(reading(), 0.0)
    assert each.arrived(reading(HIGH), 0.0)
    assert each.budget.used == 800


def test_a_budget_that_is_used_up_stops_all():
    each = gate(limit=1000, state="1 2026-11-01 1000 0", pace=Pace(1, 1))
    assert [ask(each, 0.0).reason for _ in range(3)] == ["budget"] * 3, "and no token of the pace is lost"


def test_without_a_link_or_room_arrivals_change_nothing():
    each = gate()
    each.blocked("answer")
    assert not each.arrived(reading(), 0.0)
    assert each.figures()["waits_for"] == "answer"


class Life(RuleBasedStateMachine):
    """A forwarder in small: readings come, messages go or fail; it sleeps until what it was told, or is woken."""

    def __init__(self):
        super().__init__()
        self.gate = gate(gather_s=0.025, limit=100_000, pace=Pace(80, 10))
        self.now_s = 0.0
        self.waiting = []  # (reading, came in)
        self.until_s = float("inf")
        self.sent = 0
        self.refused_s = 0.0

    @rule(delay_s=st.sampled_from([0.0, 0.0, 5.0]), channel=st.sampled_from(["a", "b"]), lane=st.sampled_from([1, 2]))
    def arrive(self, delay_s, channel, lane):
        one = reading(lane, delay_s, channel)
        self.waiting.append((one, self.now_s))
        if self.gate.arrived(one, self.now_s):
            self.look()

    @rule(by_s=st.floats(0.001, 3))
    def time_passes(self, by_s):
        end_s = self.now_s + by_s
        while self.until_s <= end_s:
            self.now_s = max(self.now_s, self.until_s)
            self.look()
        self.now_s = end_s

    @rule()
    def complain(self):
        self.gate.too_fast(self.now_s)

    @rule()
    def refuse(self):
        self.gate.hold(Hold("backend_error", "trouble", 0.5, 2.0), self.now_s, moment(self.now_s))
        self.refused_s = self.now_s
        self.look()

    def look(self):
        while isinstance(answer := ask(self.gate, self.now_s), Go):
            ready = [(one, came_s) for one, came_s in self.waiting if one.channel not in answer.not_yet]
            ready = [(one, came_s) for one, came_s in ready if one.lane >= answer.lane]
            if not ready:
                answer = self.gate.nothing_to_send(answer, moment(self.now_s))
                break
            channel = ready[0][0].channel
            self.waiting = [each for each in self.waiting if each[0].channel != channel]
            self.gate.sent(self.now_s)
            self.gate.taken()
            self.sent += 1
        self.until_s = max(answer.until_s, self.now_s + 1e-4)

    @invariant()
    def whatever_waits_will_be_looked_at(self):
        if self.waiting:
            assert self.until_s < float("inf")

    @invariant()
    def nothing_is_forgotten(self):
        for one, came_s in self.waiting:
            # After the last refusal at most 2 s, then a message a second at the slowest pace.
            assert self.now_s <= max(came_s + one.batch_delay_s, self.refused_s) + 6.0

    @invariant()
    def what_is_counted_was_sent(self):
        assert self.gate.budget.used <= self.sent


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
