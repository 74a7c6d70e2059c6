"""Descriptions as values, cores brought somewhere, and a core with a model of the shell around it."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from metered_realtime.description import Section, SessionFacts
from metered_realtime.negotiation import FIRST_OFFER_GRACE_S, Negotiation
from metered_realtime.negotiation_actions import (
    Answer,
    ApplyAnswer,
    CreateOffer,
    Rebuild,
    RemoteDescription,
    SendAnswer,
    SendOffer,
    TakeBackOffer,
)


def facts(
    *sections: tuple[str, str], session: str = "a", ufrag: str | None = None, trickles: bool = False
) -> SessionFacts:
    listed = tuple(Section(kind, mid) for kind, mid in sections or (("video", "e1"),))
    return SessionFacts(session if ufrag is None else ufrag, session, listed, trickles)


def remote(sdp: str, *sections: tuple[str, str], session: str = "b", **more: Any) -> RemoteDescription:
    return RemoteDescription(sdp, facts(*sections, session=session, **more))


def theirs(ufrag: str = "b", *sections: tuple[str, str], session: str = "b", sdp: str = "") -> RemoteDescription:
    """A description of a peer that trickles."""
    return remote(sdp or f"{session}:{ufrag}", *sections, session=session, ufrag=ufrag, trickles=True)


def offering(core: Negotiation, now_s: float = 0.0) -> SessionFacts:
    """Bring the core to where its first offer has been sent."""
    (create,) = core.want_offer("media", now_s)
    assert isinstance(create, CreateOffer)
    ours = facts()
    actions = core.offer_created(create.token, ours, now_s)
    assert (actions or core.tick(now_s + FIRST_OFFER_GRACE_S)) == [SendOffer()]
    return ours


def settled(core: Negotiation, now_s: float = 0.0) -> None:
    """Bring the core to stable after its own offer."""
    offering(core, now_s)
    answer = remote("answer", ("video", "e1"))
    assert core.remote_answer(answer, now_s) == [ApplyAnswer(answer)]
    assert core.answer_applied(answer, need="nothing", now_s=now_s) == []


@dataclass
class Pc:
    """What of a peer connection matters here: sections both sides hold, those only wanted, and ICE generations.

    `told`: the sections of the last description, which the other side may hold without our knowing. `network`: which of
    its side's networks each generation was gathered on.
    """

    session: str
    generation: int = 0
    network: dict[str, int] = field(default_factory=dict)
    agreed: list[tuple[str, str]] = field(default_factory=list)
    layout: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    peer_session: str = ""
    peer_ufrag: str = ""
    is_new: bool = True

    @property
    def ufrag(self) -> str:
        return f"{self.session}.{self.generation}"


@dataclass(frozen=True)
class Sent:
    """A description under way."""

    kind: str
    sdp: str
    sections: tuple[tuple[str, str], ...]
    session: str
    ufrag: str
    trickles: bool

    @property
    def description(self) -> RemoteDescription:
        return remote(self.sdp, *self.sections, session=self.session, ufrag=self.ufrag, trickles=self.trickles)


class Side:
    """A core with a model of its shell: a peer connection, tracks to send, a network, a row of inputs.

    `takes_back`: it can give way with an offer that it has sent; not every browser can.
    """

    _numbers = itertools.count()

    def __init__(self, *, polite: bool) -> None:
        self.core = Negotiation(polite=polite)
        self.name = "p" if polite else "i"
        self.trickles = self.takes_back = True
        self.wanted = 0
        self.network = 0
        self.pc = self._new_pc()
        self.pending: list[tuple[str, str]] = []
        self.generation_before: int | None = None
        self.offer: Sent | None = None
        self.answer: Sent | None = None
        self.outgoing: deque[Sent] = deque()
        self.later: deque[CreateOffer] = deque()
        self.offers = self.answers = 0
        self.closed_sessions: list[str] = []

    def _new_pc(self, layout: list[tuple[str, str]] | None = None) -> Pc:
        pc = Pc(f"{self.name}{next(self._numbers)}", layout=layout or [])
        pc.network[pc.ufrag] = self.network
        return pc

    def _replace_pc(self, *, keep_layout: bool, layout: tuple[tuple[str, str], ...] = ()) -> None:
        self.closed_sessions.append(self.pc.session)
        told = self.pc.told if self.pc.told[: len(self.held)] == self.held else self.held
        self.pc = self._new_pc((list(layout) or told) if keep_layout else [])

    def _restart(self) -> None:
        self.pc.generation = next(self._numbers)
        self.pc.network[self.pc.ufrag] = self.network

    @property
    def has_sent_offer(self) -> bool:
        return not self.core.is_stable and not self.later

    @property
    def held(self) -> list[tuple[str, str]]:
        return self.pc.agreed or self.pc.layout

    @property
    def mine(self) -> int:
        return sum(mid.startswith(self.name) for _, mid in self.held)

    @property
    def need(self) -> str:
        layout_is_open = bool(self.pc.layout) and not self.pc.agreed
        return "media" if layout_is_open or self.mine < self.wanted else "nothing"

    def perform(self, actions: list, now_s: float) -> None:
        row = deque(actions)
        while row:
            row.extend(self._perform(row.popleft(), now_s))

    def _perform(self, action: object, now_s: float) -> list:
        match action:
            case CreateOffer():
                return self._create_offer(action)
            case SendOffer():
                assert self.offer is not None
                self.offers += 1
                self.pc.told = list(self.offer.sections)
                self.outgoing.append(self.offer)
            case TakeBackOffer():
                self.pending = []
                if self.generation_before is not None:
                    self.pc.generation, self.generation_before = self.generation_before, None
            case Answer():
                return self._answer(action, now_s)
            case SendAnswer():
                assert self.answer is not None
                self.outgoing.append(self.answer)
            case ApplyAnswer():
                assert action.answer.facts.layout == tuple(self.pending)
                self.pc.agreed, self.pending = list(self.pending), []
                self.pc.peer_session = action.answer.facts.fingerprint
                if self.generation_before is not None or not self.pc.peer_ufrag:
                    self.pc.peer_ufrag = action.answer.facts.ufrag
                self.generation_before = None
                return self.core.answer_applied(action.answer, need=self.need, now_s=now_s)
            case Rebuild():
                self.generation_before = None
                self._replace_pc(keep_layout=action.keep_layout, layout=action.layout)
                return self.core.rebuilt(need=self.need, now_s=now_s)
        return []

    def _create_offer(self, action: CreateOffer) -> list:
        new = [("video", f"{self.name}{self.mine + n}") for n in range(self.wanted - self.mine)]
        self.pending = [*self.held, *new]
        if not self.pending:
            assert not action.restart
            return self.core.nothing_to_offer(action.token)
        if action.restart:
            self.generation_before = self.pc.generation
            self._restart()
        sdp = f"{self.pc.ufrag}:{self.pending}"
        self.offer = Sent("offer", sdp, tuple(self.pending), self.pc.session, self.pc.ufrag, self.trickles)
        self.later.append(action)
        return []

    def _answer(self, action: Answer, now_s: float) -> list:
        self.answers += 1
        if action.rebuild or self.pc.layout:
            self._replace_pc(keep_layout=False)
        elif action.restart:
            self._restart()
        # No browser takes an offer whose sections are others, or in another order, than those it holds.
        assert list(action.offer.facts.layout[: len(self.pc.agreed)]) == self.pc.agreed
        self.pc.peer_session = action.offer.facts.fingerprint
        self.pc.peer_ufrag = action.offer.facts.ufrag
        self.pc.agreed = self.pc.told = list(action.offer.facts.layout)
        sdp = f"{self.pc.ufrag}>{action.offer.sdp}"
        self.answer = Sent("answer", sdp, tuple(self.pc.agreed), self.pc.session, self.pc.ufrag, self.trickles)
        self.outgoing.append(self.answer)
        return self.core.answered(action.offer, need=self.need, now_s=now_s)

    def receive(self, message: Sent, now_s: float) -> None:
        if message.kind == "offer" and not self.takes_back and self.has_sent_offer:
            return
        heard = self.core.remote_offer if message.kind == "offer" else self.core.remote_answer
        self.perform(heard(message.description, now_s), now_s)

    def finish_creating(self, now_s: float) -> None:
        while self.later:
            create = self.later.popleft()
            made = facts(*self.pending, session=self.pc.session, ufrag=self.pc.ufrag, trickles=self.trickles)
            self.perform(self.core.offer_created(create.token, made, now_s), now_s)
