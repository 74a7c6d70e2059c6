"""Takes messages in and decides what becomes of each: published, refused, answered again, or not even answered. Pure.

Every command gets one answer. The same id of the same sender gets the same answer again and nothing is done; that of
another sender, or with other content, is refused. Only a flood is met with silence.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edged.commands.audit import Audit
from edged.commands.ledger import Ledger, digest
from edged.commands.messages import (
    Answer,
    Command,
    Malformed,
    is_for_us,
    read_command,
    refused,
    result_message,
)
from edged.commands.policy import Now, Order, Policy, Sender
from edged.commands.rates import Rates

MAX_PENDING = 64
MAX_PENDING_PER_SENDER = 8
MAX_REMEMBERED = 1024
MAX_REMEMBERED_REPLIES = 64
# A hub takes 100 messages a second of us, and 200 at once: half for what is carried out, half for all other answers.
PER_S, BURST = 40.0, 80
SENDER_PER_S, SENDER_BURST = 20.0, 40

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tell:
    """An answer to be sent. `line` is for the log, if any."""

    peer_id: str
    message: Mapping[str, Any]
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Execute:
    """An order to be carried out; `Intake.finished(key, ...)` is to be called once, whatever comes of it."""

    key: _Key
    order: Order


@dataclass(slots=True)
class _Entry:
    command: Command
    content: bytes
    answer: Answer | None = None
    """None while it is under way."""


class Intake:
    """What is under way and what was answered. The ledger knows, beyond our own life, what was carried out."""

    def __init__(
        self, gateway: str, policy: Policy, ledger: Ledger, audit: Audit, *, blind_until_s: float = 0.0
    ) -> None:
        """`blind_until_s`: until then nobody knows what was carried out in an earlier life, so nothing is."""
        self._gateway = gateway
        self._policy = policy
        self._ledger = ledger
        self._audit = audit
        self._blind_until_s = blind_until_s
        self._pending: dict[_Key, _Entry] = {}
        self._answered: OrderedDict[_Key, _Entry] = OrderedDict()
        self._with_reply: OrderedDict[_Key, None] = OrderedDict()
        self._floods = Rates()
        self._totals = Rates()

    @property
    def pending(self) -> int:
        """How many commands are under way."""
        return len(self._pending)

    def take(self, sender: Sender, data: Any, now: Now, waited_s: float) -> Execute | Tell | None:
        """Take one message of the hub. `waited_s`: how long it may have been under way unseen."""
        if not is_for_us(data, self._gateway):
            return None
        self._audit.count("received")
        if not self._floods.take(sender.peer_id, per_s=SENDER_PER_S, burst=SENDER_BURST, now_s=now.uptime_s):
            self._audit.count("flood")
            return None
        command = read_command(data)
        if isinstance(command, Malformed):
            # Not remembered: nobody can repeat what has no id, and what has one is just as malformed again.
            answer = refused("bad_command", command.sentence)
            return self._tell(sender.peer_id, None, command.id, answer, now.uptime_s)
        key = (sender.peer_id, command.id)
        content = _content(command)
        known = self._pending.get(key) or self._answered.get(key)
        if known is not None:
            return self._again(key, command, known, content, now.uptime_s)
        answer_before = self._before(sender.peer_id, command, content)
        if answer_before is not None:
            is_news = answer_before.reason == "duplicate"
            if not is_news:
                self._audit.count("repeated")
            return self._tell(sender.peer_id, command, command.id, answer_before, now.uptime_s, is_news=is_news)
        decided = self._decide(command, content, sender, now, waited_s)
        return self._begin(key, command, content, decided, now.uptime_s)

    def finished(self, key: _Key, answer: Answer, now: Now) -> Tell:
        """An order has been carried out, or not."""
        entry = self._pending.pop(key)
        self._ledger.end(key[1], answer)
        self._remember(key, entry, answer)
        # Never kept back for want of room: orders have been counted when they began.
        return self._told(key[0], entry.command, key[1], answer, now.uptime_s)

    # Before it is carried out ------------------------------------------------------------------------

    def _again(self, key: _Key, command: Command, known: _Entry, content: bytes, now_s: float) -> Tell | None:
        if known.content != content:
            answer = refused("duplicate", "this id was used for another command; a new one needs a new id")
            return self._tell(key[0], command, key[1], answer, now_s)
        self._audit.count("repeated")
        if known.answer is None:
            return None  # the answer that is to come is the answer to both
        return self._tell(key[0], None, key[1], known.answer, now_s, is_news=False)

    def _before(self, peer_id: str, command: Command, content: bytes) -> Answer | None:
        """Return the answer to an id that was carried out for another sender, or in an earlier life."""
        record = self._ledger.find(command.id)
        if record is None:
            return None
        if record.sender != digest(peer_id):
            sentence = "another connection used this id: it is not carried out again; a new command needs a new id"
            return refused("duplicate", sentence)
        if record.content != content:
            return refused("duplicate", "this id was used for another command; a new one needs a new id")
        return record.answer()

    def _decide(self, command: Command, content: bytes, sender: Sender, now: Now, waited_s: float) -> Order | Answer:
        decided = self._policy.decide(command, sender, now, waited_s)
        if isinstance(decided, Answer):
            return decided
        if now.uptime_s < self._blind_until_s:
            return refused("starting", "the gateway has just started and does not know what it did before; try again")
        own = sum(1 for peer_id, _ in self._pending if peer_id == sender.peer_id)
        if own >= MAX_PENDING_PER_SENDER or len(self._pending) >= MAX_PENDING:
            return refused("too_many", "too many commands are under way; wait for their answers")
        if not self._totals.take("orders", per_s=PER_S, burst=BURST, now_s=now.uptime_s):
            return refused("too_many", "the gateway has too many commands to carry out; try later")
        if not self._ledger.begin(command.id, digest(sender.peer_id), content, now.uptime_s):
            return refused("too_many", "the gateway remembers as many commands as it can; try later")
        return decided

    def _begin(
        self, key: _Key, command: Command, content: bytes, decided: Order | Answer, now_s: float
    ) -> Execute | Tell | None:
        entry = _Entry(replace(command, payload=None), content)  # which may be long, and is not needed again
        if isinstance(decided, Order):
            self._pending[key] = entry
            return Execute(key, decided)
        self._remember(key, entry, decided)
        return self._tell(key[0], command, key[1], decided, now_s)

    # Answers --------------------------------------------------------------------------------------

    def _tell(
        self,
        peer_id: str,
        command: Command | None,
        command_id: str | None,
        answer: Answer,
        now_s: float,
        *,
        is_news: bool = True,
    ) -> Tell | None:
        if not self._totals.take("answers", per_s=PER_S, burst=BURST, now_s=now_s):
            self._audit.count("unanswered")
            if is_news:
                self._audit.unsaid(answer)
            return None
        return self._told(peer_id, command, command_id, answer, now_s, is_news=is_news)

    def _told(
        self,
        peer_id: str,
        command: Command | None,
        command_id: str | None,
        answer: Answer,
        now_s: float,
        *,
        is_news: bool = True,
    ) -> Tell:
        line = self._audit.line(peer_id, command, answer, now_s) if is_news else None
        return Tell(peer_id, result_message(self._gateway, command_id, answer), line)

    def _remember(self, key: _Key, entry: _Entry, answer: Answer) -> None:
        """Keep the newest answers; of replies, which may be long, fewer. The ledger keeps what was carried out."""
        entry.answer = answer
        self._answered[key] = entry
        if answer.reply:
            self._with_reply[key] = None
        if len(self._with_reply) > MAX_REMEMBERED_REPLIES:
            self._forget(next(iter(self._with_reply)))
        if len(self._answered) > MAX_REMEMBERED:
            self._forget(next(iter(self._answered)))

    def _forget(self, key: _Key) -> None:
        self._answered.pop(key, None)
        self._with_reply.pop(key, None)


def _content(command: Command) -> bytes:
    return digest(json.dumps([command.topic, command.payload], sort_keys=True))
