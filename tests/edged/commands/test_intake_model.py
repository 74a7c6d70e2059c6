"""Whatever senders, broker, clock and crashes do: never twice, never late, one answer for each id that was heard."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edged.commands.audit import Audit
from edged.commands.intake import Execute, Intake, Tell
from edged.commands.ledger import LEDGER_BYTES, Ledger
from edged.commands.messages import DONE, Answer, refused
from edged.commands.policy import Now, Order, Policy, Sender
from edged.commands.schema import anything
from edged.settings_commands import CommandRuleSettings, SenderSettings

MAX_AGE_S = 10.0
RULES = [
    (
        CommandRuleSettings(
            topics=("farm/+",), sender=SenderSettings(anyone=True), burst=3, rate_per_s=1, max_age_s=MAX_AGE_S
        ),
        anything,
    )
]
IDS = st.sampled_from(["a", "b", "c", "d"])
SENDERS = st.sampled_from(["p", "q"])
OUTCOMES = st.sampled_from(
    [DONE, Answer(ok=True, reply="5"), refused("unknown", "x"), refused("broker_unreachable", "y")]
)


class Model(RuleBasedStateMachine):
    """Plays everybody; `begun` are the ids that were ever carried out, `answers` the last answer of each repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = bytearray(LEDGER_BYTES)
        self.now_s = 100.0
        self.begun: dict[str, tuple[str, str]] = {}
        self.flying: dict[tuple[str, str], Order] = {}
        self.answers: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.start()

    def start(self) -> None:
        ledger = Ledger(self.memory, keep_s=70, now_s=self.now_s)
        self.audit = Audit()
        self.intake = Intake("g", Policy(RULES), ledger, self.audit)

    def now(self) -> Now:
        return Now(self.now_s, round(self.now_s * 1000), True)

    @rule(
        command_id=IDS,
        sender=SENDERS,
        topic=st.sampled_from(["farm/x", "farm/y", "house/x"]),
        ttl_s=st.none() | st.floats(0.1, 30),
        expires_in_s=st.none() | st.floats(-5, 30),
        waited_s=st.sampled_from([0.0, 0.0, 0.0, 3.0, 60.0]),
    )
    def command(
        self,
        command_id: str,
        sender: str,
        topic: str,
        ttl_s: float | None,
        expires_in_s: float | None,
        waited_s: float,
    ) -> None:
        message: dict[str, Any] = {"type": "edged/command", "id": command_id, "topic": topic, "payload": 1}
        if ttl_s is not None:
            message["ttl_s"] = ttl_s
        if expires_in_s is not None:
            message["expires_ms"] = (self.now_s + expires_in_s) * 1000
        taken = self.intake.take(Sender(sender), message, self.now(), waited_s)
        if isinstance(taken, Execute):
            assert command_id not in self.begun, "never twice, whoever asks"
            life_s = min(MAX_AGE_S, ttl_s or MAX_AGE_S) - waited_s
            assert life_s > 0, "never late"
            if expires_in_s is not None:
                life_s = min(life_s, expires_in_s)
            assert taken.order.expires_at_s <= self.now_s + life_s + 0.001
            self.begun[command_id] = (sender, topic)
            self.flying[taken.key] = taken.order
        elif isinstance(taken, Tell):
            self.heard(taken, sender, topic)
        else:
            assert (sender, command_id) in self.flying, "silence is for what is under way"

    def heard(self, tell: Tell, sender: str, topic: str) -> None:
        message = dict(tell.message)
        assert tell.peer_id == sender
        if message.get("reason") == "duplicate":
            return
        before = self.answers.setdefault((sender, str(message["id"]), topic), message)
        assert before == message, "the same answer again"

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=OUTCOMES)
    def outcome(self, data: st.DataObject, outcome: Answer) -> None:
        key = data.draw(st.sampled_from(sorted(self.flying)))
        self.flying.pop(key)
        tell = self.intake.finished(key, outcome, self.now())
        assert tell.message["id"] == key[1]
        assert tell.message["ok"] is outcome.ok
        self.heard(tell, key[0], self.begun[key[1]][1])

    @rule(seconds=st.floats(0, 30))
    def time(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def crash(self) -> None:
        self.flying.clear()
        self.answers.clear()
        self.start()

    @invariant()
    def all_that_flies_is_pending(self) -> None:
        assert self.intake.pending == len(self.flying)
        figures: dict[str, Any] = self.audit.figures()
        settled = sum(figures["outcomes"].values()) + figures["repeated"]
        assert figures["received"] == settled + self.intake.pending, "the account adds up"


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
