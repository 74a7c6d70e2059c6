"""Carries out what `negotiation` decided for one peer: descriptions made, sent and applied, connections replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from metered_realtime.description import SessionFacts, read_description
from metered_realtime.errors import IceRestartExhaustedError, MeteredRealtimeError
from metered_realtime.frames import Description, IceCandidate
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalTrack
from metered_realtime.negotiation import Negotiation
from metered_realtime.negotiation_actions import (
    Action,
    Answer,
    ApplyAnswer,
    CreateOffer,
    Rebuild,
    RemoteDescription,
    Report,
    ReportExhausted,
    SendAnswer,
    SendOffer,
    TakeBackOffer,
)
from metered_realtime.options import PeerConnectionState
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.scrub import scrub
from metered_realtime.stats import PeerLink

if TYPE_CHECKING:
    from metered_realtime.receivers import MediaChange
    from metered_realtime.rtc_session import RtcSession

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionEvents:
    """Whom a connection tells."""

    state_changed: Callable[[PeerConnectionState], None]
    media_changed: Callable[[MediaChange], None]
    session_replaced: Callable[[], None]
    channel_opened: Callable[[Any], None]
    failed: Callable[[Exception], None]
    candidate_failed: Callable[[Exception], None]
    link_changed: Callable[[PeerLink], None]
    codecs_agreed: Callable[[frozenset[str]], None]


@dataclass(frozen=True, slots=True)
class OfferMade:
    """An offer of ours is ready; `token` as in `CreateOffer`."""

    token: int
    facts: SessionFacts


@dataclass(frozen=True, slots=True)
class SessionState:
    """What became of a session's connection."""

    session: RtcSession
    state: str


@dataclass(frozen=True, slots=True)
class PathState:
    """A session's path was lost, or found again, while its connection lives on."""

    session: RtcSession
    is_found: bool


Input = Description | IceCandidate | OfferMade | SessionState | PathState | Callable[[], list[Action]]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What every session of one connection is made with; `ice_servers` are asked for again at every restart.

    `ssl_context` is for TURN over TLS; None: the certificates of the system.
    """

    ice_servers: Callable[[], Iterable[IceServerConfig]]
    relay_only: bool = False
    receives: bool = True
    ssl_context: SSLContext | None = None


class Performer:
    """Owns the present session. `put` appends to the connection's row of inputs, `send` posts an envelope."""

    def __init__(
        self,
        core: Negotiation,
        *,
        wanted: Callable[[], Iterable[LocalTrack]],
        options: SessionOptions,
        send: Callable[[Description | IceCandidate, Callable[[], None]], None],
        events: ConnectionEvents,
        put: Callable[[Input], None],
        tasks: OwnedTasks,
    ) -> None:
        self.session: RtcSession | None = None
        self.is_closed = False
        self._core = core
        self._wanted = wanted
        self._options = options
        self._send = send
        self._events = events
        self._put = put
        self._tasks = tasks
        self._offer_sdp = self._answer_sdp = ""
        self._mids = 0

    async def perform(self, action: Action) -> Iterable[Action]:
        """Do one thing; returns what follows from it."""
        match action:
            case CreateOffer():
                return await self._create_offer(action)
            case SendOffer():
                self._post(Description("offer", self._offer_sdp), _ignore)
            case SendAnswer():
                self._post(Description("answer", self._answer_sdp), self._answer_lost)
            case TakeBackOffer():
                if self.session is not None:
                    self.session.take_back_offer()
            case Answer():
                return await self._answer(action)
            case ApplyAnswer():
                return await self._apply_answer(action.answer)
            case Rebuild():
                session = self._replace_session(keep_layout=action.keep_layout, layout=action.layout)
                return self._core.rebuilt(need=session.need, now_s=self._now())
            case Report():
                self._events.failed(MeteredRealtimeError(scrub(action.sentence)))
            case ReportExhausted():
                self._events.failed(IceRestartExhaustedError(action.attempts))
        return []

    async def _create_offer(self, action: CreateOffer) -> Iterable[Action]:
        session = self.open_session()
        try:
            sdp, refused = await session.make_offer(
                action.channel_mid, with_channel=action.with_channel, restart=action.restart
            )
            facts = read_description(sdp) if sdp is not None else None
        except Exception as error:  # noqa: BLE001 - aiortc and the application's track; reported to the application
            return self._core.offer_failed(action.token, self._explain(error), self._now())
        self._report_refused(refused)
        if sdp is None or facts is None:
            return self._core.nothing_to_offer(action.token)
        self._offer_sdp = sdp
        # Behind what arrived meanwhile: an offer that waits there already goes first.
        self._put(OfferMade(action.token, facts))
        return []

    async def _answer(self, action: Answer) -> Iterable[Action]:
        session = self.open_session()
        restart = action.restart and session.can_restart
        is_other = action.rebuild or (action.restart and not restart)
        if is_other or not session.is_usable or session.offered_layout:
            session, restart = self._replace_session(keep_layout=False), False
        offer = action.offer
        try:
            self._answer_sdp, refused = await session.take_offer(offer.sdp, offer.facts, restart=restart)
        except Exception as error:  # noqa: BLE001 - hostile text meets aiortc's parser; reported to the application
            if session.pc.signalingState != "stable":
                self._replace_session(keep_layout=False)
            return self._core.offer_refused(self._explain(error), self._now())
        self._post(Description("answer", self._answer_sdp), self._answer_lost)
        self._report_refused(refused)
        self._events.codecs_agreed(session.senders.codecs)
        return self._core.answered(offer, need=session.need, now_s=self._now())

    async def _apply_answer(self, answer: RemoteDescription) -> Iterable[Action]:
        session = self.open_session()
        try:
            refused = await session.take_answer(answer.sdp, answer.facts)
        except Exception as error:  # noqa: BLE001 - as above
            return self._core.answer_refused(self._explain(error), self._now())
        self._report_refused(refused)
        self._events.codecs_agreed(session.senders.codecs)
        return self._core.answer_applied(answer, need=session.need, now_s=self._now())

    def _report_refused(self, refused: Iterable[Any]) -> None:
        for sender in refused:
            codec = sender.mime_type or "any codec we have"
            sentence = f"the {sender.kind} track {sender.track_id} is not sent: the other side does not take {codec}"
            self._events.failed(MeteredRealtimeError(sentence))

    def _explain(self, error: Exception) -> str:
        _log.debug("negotiation with a peer failed", exc_info=error)
        return f"{type(error).__name__}: {scrub(str(error))}"[:300]

    # What is sent ------------------------------------------------------------------------------------

    def _post(self, description: Description, on_lost: Callable[[], None]) -> None:
        self._send(description, on_lost)
        for candidate in self.open_session().described(description.sdp):
            self._send(IceCandidate(candidate), _ignore)

    def _candidate_found(self, session: RtcSession, candidate: dict[str, Any] | None) -> None:
        if session is not self.session or self.is_closed:
            return
        self._send(IceCandidate(candidate), _ignore)
        if candidate is not None and session.lacks_candidates:
            self._tasks.start(session.connect(), "connection over a late candidate")

    def _link_changed(self, session: RtcSession, link: PeerLink) -> None:
        if session is self.session and not self.is_closed:
            self._events.link_changed(link)

    def _answer_lost(self) -> None:
        self._put(self._core.answer_lost)

    # Sessions ----------------------------------------------------------------------------------------

    def open_session(self) -> RtcSession:
        """Return the present session, made if there is none. Raises MeteredRealtimeError after the end."""
        if self.session is None:
            if self.is_closed:
                raise MeteredRealtimeError("the peer has left")
            self.session = self._new_session()
            self.session.sync(self._wanted())
        return self.session

    def _replace_session(self, *, keep_layout: bool, layout: tuple[tuple[str, str], ...] = ()) -> RtcSession:
        before = self.session
        if before is None:
            return self.open_session()
        layout = (layout or before.layout) if keep_layout else ()
        after = self._new_session(layout, before.descriptions if keep_layout else ())
        after.senders.adopt(before.senders)
        after.sync(self._wanted())
        self.session = after
        before.abandon()
        self._tasks.start(before.aclose(), "close of a replaced peer connection")
        self._events.session_replaced()
        return after

    def _new_session(self, layout: Iterable[tuple[str, str]] = (), earlier: Iterable[str] = ()) -> RtcSession:
        from metered_realtime.rtc_session import RtcSession, SessionEvents  # noqa: PLC0415 - loads aiortc

        events = SessionEvents(
            state_changed=lambda session, state: self._put(SessionState(session, state)),
            media_changed=self._events.media_changed,
            channel_opened=self._events.channel_opened,
            candidate_found=self._candidate_found,
            path_changed=lambda session, is_found: self._put(PathState(session, is_found)),
            link_changed=self._link_changed,
        )
        return RtcSession(self._options, events, self._new_mid, layout=tuple(layout), earlier=tuple(earlier))

    def _new_mid(self) -> str:
        # Never a number: browsers count, and one that took back an offer keeps the mid of its data channel.
        self._mids += 1
        return f"e{self._mids}"

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _ignore() -> None:
    """A lost offer or candidate is covered by the offer's own timeout."""
