"""Every command gets one answer; nothing is done twice, and nothing late."""

from __future__ import annotations

from typing import Any

from edged.commands.audit import Audit
from edged.commands.intake import (
    BURST,
    MAX_PENDING,
    MAX_PENDING_PER_SENDER,
    MAX_REMEMBERED,
    MAX_REMEMBERED_REPLIES,
    SENDER_BURST,
    Execute,
    Intake,
    Tell,
)
from edged.commands.ledger import LEDGER_BYTES, Ledger
from edged.commands.messages import DONE, Answer, refused
from edged.commands.policy import Now, Policy, Sender
from edged.commands.schema import anything
from edged.settings_commands import CommandRuleSettings, SenderSettings

RULE = CommandRuleSettings(topics=("farm/#",), sender=SenderSettings(anyone=True), burst=100, rate_per_s=50)


class Desk:
    """An intake, its clock and its memory."""

    def __init__(self, memory: bytearray | None = None, *, blind_until_s: float = 0.0) -> None:
        self.now_s = 1000.0
        self.memory = bytearray(LEDGER_BYTES) if memory is None else memory
        self.audit = Audit()
        ledger = Ledger(self.memory, keep_s=70, now_s=self.now_s)
        self.intake = Intake("g", Policy([(RULE, anything)]), ledger, self.audit, blind_until_s=blind_until_s)

    def now(self) -> Now:
        return Now(self.now_s, 1_700_000_000_000, True)

    def take(
        self,
        command_id: Any = "c1",
        sender: str = "peer-1",
        *,
        topic: str = "farm/x",
        waited_s: float = 0.0,
        **fields: Any,
    ) -> Execute | Tell | None:
        message = {"type": "edged/command", "id": command_id, "topic": topic, "payload": "on", **fields}
        return self.intake.take(Sender(sender), message, self.now(), waited_s)

    def outcomes(self) -> dict[str, int]:
        found = self.audit.figures()["outcomes"]
        assert isinstance(found, dict)
        return found

    def finish(self, taken: Execute | Tell | None, answer: Answer = DONE) -> Tell:
        assert isinstance(taken, Execute), taken
        return self.intake.finished(taken.key, answer, self.now())


def told(taken: Execute | Tell | None) -> dict[str, Any]:
    assert isinstance(taken, Tell), taken
    return dict(taken.message)


def reason(taken: Execute | Tell | None) -> str:
    return str(told(taken)["reason"])


def test_a_command_is_carried_out_and_answered_to_its_sender() -> None:
    desk = Desk()
    tell = desk.finish(desk.take())

    assert tell.peer_id == "peer-1"
    assert told(tell) == {"type": "edged/command-result", "gateway": "g", "id": "c1", "ok": True}
    assert tell.line == "command of peer-1 farm/x id c1: ok"
    assert desk.intake.pending == 0


def test_other_messages_and_those_for_other_gateways_are_left_alone() -> None:
    desk = Desk()

    assert desk.intake.take(Sender("p"), {"type": "edged/readings"}, desk.now(), 0) is None
    assert desk.take(gateway="another") is None
    assert desk.audit.figures()["received"] == 0


def test_what_has_no_id_is_answered_without_one() -> None:
    found = told(Desk().take(None))

    assert (found["id"], found["reason"]) == (None, "bad_command")


def test_the_same_command_again_gets_the_same_answer_and_is_not_done_again() -> None:
    desk = Desk()
    first = told(desk.finish(desk.take(), Answer(ok=True, reply='{"t": 1}')))
    desk.now_s += 60

    assert told(desk.take()) == first
    assert told(desk.take(ttl_s=5)) == first, "another life is the same command"
    refusal = desk.take("c2", topic="house/x")
    assert told(desk.take("c2", topic="house/x")) == told(refusal)


def test_a_repeat_while_it_is_under_way_waits_for_the_one_answer() -> None:
    desk = Desk()
    taken = desk.take()

    assert desk.take() is None
    assert told(desk.finish(taken))["ok"]
    assert desk.audit.figures() == {"received": 2, "repeated": 1, "unanswered": 0, "outcomes": {"ok": 1}}


def test_an_id_is_used_for_one_command_of_one_sender() -> None:
    desk = Desk()
    taken = desk.take()

    assert reason(desk.take(topic="farm/y")) == "duplicate"
    assert reason(desk.take(sender="peer-2")) == "duplicate"
    desk.finish(taken)
    assert reason(desk.take(topic="farm/y")) == "duplicate"
    assert reason(desk.take(sender="peer-2")) == "duplicate"


def test_an_id_that_was_refused_may_be_used_by_another_sender() -> None:
    desk = Desk()
    assert reason(desk.take(topic="house/x")) == "unknown_topic"

    assert isinstance(desk.take(sender="peer-2"), Execute)


def test_the_next_life_does_nothing_again_that_was_begun() -> None:
    first = Desk()
    first.finish(first.take("done"))
    first.take("begun")
    first.finish(first.take("lost"), refused("unknown", "the broker went away"))
    second = Desk(first.memory)

    assert told(second.take("done"))["ok"]
    assert reason(second.take("begun")) == "unknown"
    assert reason(second.take("lost")) == "unknown"
    assert (second.outcomes(), second.audit.figures()["repeated"]) == ({}, 3), "a repeat is no second outcome"
    assert reason(second.take("done", "peer-2")) == "duplicate"
    assert reason(second.take("done", topic="farm/y")) == "duplicate"
    assert isinstance(second.take("new"), Execute)


def test_a_life_without_memory_does_nothing_until_no_command_can_be_an_old_one() -> None:
    desk = Desk(blind_until_s=1010)

    assert reason(desk.take("a")) == "starting"
    desk.now_s = 1010
    assert reason(desk.take("a")) == "starting", "the same answer again"
    assert isinstance(desk.take("b"), Execute)


def test_what_is_late_stays_late() -> None:
    desk = Desk()

    assert reason(desk.take(waited_s=60)) == "late"
    assert reason(desk.take(waited_s=0)) == "late"


def test_only_so_many_are_under_way_of_one_sender_and_in_all() -> None:
    desk = Desk()
    own = [desk.take(f"a{number}") for number in range(MAX_PENDING_PER_SENDER + 1)]
    assert reason(own[-1]) == "too_many"

    for number in range(MAX_PENDING):
        desk.now_s += 0.1
        last = desk.take(f"b{number}", f"peer-{number}")
    assert reason(last) == "too_many"
    assert desk.intake.pending == MAX_PENDING
    desk.finish(own[0])
    assert isinstance(desk.take("c", "peer-c"), Execute)


def test_a_flood_of_one_sender_is_met_with_silence_and_costs_nobody_else() -> None:
    desk = Desk()
    answers = [desk.take(f"c{number}", topic="house/x") for number in range(10_000)]

    assert sum(answer is not None for answer in answers) == SENDER_BURST
    assert desk.outcomes()["flood"] == 10_000 - SENDER_BURST
    assert isinstance(desk.take("mine", "peer-2"), Execute)


def test_a_flood_of_many_senders_leaves_room_for_answers_to_what_is_done() -> None:
    desk = Desk()
    taken = desk.take("mine", "honest")
    refusals = [desk.take(f"c{number}", f"peer-{number}", topic="house/x") for number in range(10_000)]

    assert sum(refusal is not None for refusal in refusals) == BURST
    assert desk.audit.figures()["unanswered"] == 10_000 - BURST
    assert told(desk.finish(taken))["ok"]
    assert sum(desk.outcomes().values()) == desk.audit.figures()["received"] == 10_001


def test_only_so_many_are_carried_out_in_all() -> None:
    desk = Desk()
    for number in range(BURST):
        desk.finish(desk.take(f"c{number}", f"peer-{number}"))

    assert reason(desk.take("one more", "peer-x")) == "too_many"
    desk.now_s += 1
    assert isinstance(desk.take("later", "peer-x"), Execute)


def test_memory_is_bounded_and_what_was_done_is_known_beyond_it() -> None:
    desk = Desk()
    for number in range(MAX_REMEMBERED + MAX_REMEMBERED_REPLIES):
        desk.now_s += 0.05
        desk.finish(desk.take(f"c{number}"), Answer(ok=True, reply='"x"'))

    assert "reply" in told(desk.take(f"c{MAX_REMEMBERED + MAX_REMEMBERED_REPLIES - 1}"))
    oldest = told(desk.take("c0"))
    assert oldest["ok"]
    assert "reply" not in oldest


def test_long_payloads_are_not_kept_with_the_answers() -> None:
    desk = Desk()
    desk.finish(desk.take("a", payload="x" * 4000))
    desk.take("b", topic="house/x", payload="x" * 60_000)

    assert [entry.command.payload for entry in desk.intake._answered.values()] == [None, None]


def test_nothing_is_carried_out_that_cannot_be_remembered() -> None:
    desk = Desk()
    desk.memory[:] = bytes(LEDGER_BYTES)
    desk.intake._ledger._times_ms[:] = [round(desk.now_s * 1000)] * len(desk.intake._ledger._times_ms)

    assert reason(desk.take()) == "too_many"
