"""The connection to one remote peer: inputs in a row, `negotiation` decides, an `RtcSession` does. One task."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from metered_realtime.description import DescriptionError, SessionFacts, read_description
from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.frames import Description, IceCandidate
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalTrack
from metered_realtime.negotiation import (
    Action,
    Answer,
    ApplyAnswer,
    CreateOffer,
    Negotiation,
    Rebuild,
    RemoteDescription,
    Report,
    SendAnswer,
    SendOffer,
    TakeBackOffer,
)
from metered_realtime.options import PeerConnectionState
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.scrub import scrub

if TYPE_CHECKING:
    from metered_realtime.receivers import MediaChange
    from metered_realtime.rtc_session import RtcSession

MAX_WAITING_SIGNALS = 512
CLOSE_GRACE_S = 3.0

_log = logging.getLogger(__name__)

_PUBLIC_STATES: dict[str, PeerConnectionState] = {
    "connecting": "connecting",
    "connected": "connected",
    "failed": "reconnecting",
    "closed": "reconnecting",
}


@dataclass(frozen=True, slots=True)
class ConnectionEvents:
    """Whom a connection tells."""

    state_changed: Callable[[PeerConnectionState], None]
    media_changed: Callable[[MediaChange], None]
    session_replaced: Callable[[], None]
    channel_opened: Callable[[Any], None]
    failed: Callable[[Exception], None]
    candidate_failed: Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class _OfferMade:
    token: int
    facts: SessionFacts


@dataclass(frozen=True, slots=True)
class _SessionState:
    session: RtcSession
    state: str


_Input = Description | IceCandidate | _OfferMade | _SessionState | Callable[[], list[Action]]


class Connection:
    """Keeps one peer connected for as long as it is a member.

    `wanted` tells what to send, `send` posts an envelope and calls back with whether the service took it.
    """

    def __init__(
        self,
        *,
        polite: bool,
        wanted: Callable[[], Iterable[LocalTrack]],
        ice_servers: Callable[[], Iterable[IceServerConfig]],
        send: Callable[[Description | IceCandidate, Callable[[], None]], None],
        events: ConnectionEvents,
    ) -> None:
        self._core = Negotiation(polite=polite)
        self._wanted = wanted
        self._ice_servers = ice_servers
        self._send = send
        self._events = events
        self._session: RtcSession | None = None
        self._offer_sdp = self._answer_sdp = ""
        self._mids = 0
        self._inputs: deque[_Input] = deque()
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._tasks = OwnedTasks()
        self._is_closed = False
        self.dropped_signals = 0

    # For the owner -----------------------------------------------------------------------------------

    @property
    def polite(self) -> bool:
        """Whether this side gives way when two offers cross."""
        return self._core.polite

    @property
    def is_connected(self) -> bool:
        """Whether media and data can flow at this moment."""
        return self._session is not None and self._session.state == "connected"

    @property
    def pc(self) -> Any:
        """aiortc's RTCPeerConnection; a new one after every renewal."""
        return self._open_session().pc

    def create_data_channel(self, label: str, **parameters: Any) -> Any:
        """Return a new data channel of the present connection."""
        channel = self._open_session().pc.createDataChannel(label, **parameters)
        self._put(self._local_changed)
        return channel

    def sync(self) -> None:
        """What is wanted has changed."""
        if self._session is not None:
            self._session.sync(self._wanted())
            if self._session.need != "nothing":
                self._put(self._local_changed)
        elif any(True for _ in self._wanted()):
            self._put(self._local_changed)

    def replace(self, old: LocalTrack, new: LocalTrack) -> None:
        """Send `new` in the place of `old`: in the same section where its codec allows, else in a new one."""
        if self._session is None or not self._session.senders.replace(old, new):
            self.sync()

    def receive(self, signal: Description | IceCandidate) -> None:
        """Take in a description or candidate of the other side."""
        if len(self._inputs) >= MAX_WAITING_SIGNALS:
            self.dropped_signals += 1
            if self.dropped_signals == 1:
                _log.warning("a peer sends session descriptions and candidates faster than they can be handled")
            return
        self._put(signal)

    def signalling_up(self) -> None:
        """The service is connected again."""
        if self._runner is not None:
            self._put(lambda: self._core.signalling_up(self._now()))

    def renew(self, *, polite: bool) -> None:
        """Start over: the other side knows us under another id now."""

        def start_over() -> list[Action]:
            self._core.polite = polite
            return self._core.renew(self._now())

        if self._session is None:
            self._core.polite = polite
            return
        self._put(start_over)

    def abandon(self) -> None:
        """End at once for the outside: nothing is emitted or sent any more. `aclose` must follow."""
        self._is_closed = True
        if self._runner is not None:
            self._runner.cancel()
        if self._session is not None:
            self._session.abandon()

    async def aclose(self) -> None:
        """Close the connection and everything that belongs to it."""
        self.abandon()
        if self._session is not None:
            await self._session.aclose()
        await self._tasks.aclose(grace_s=CLOSE_GRACE_S)

    # The row of inputs -------------------------------------------------------------------------------

    def _put(self, item: _Input) -> None:
        if self._is_closed:
            return
        self._inputs.append(item)
        self._arrived.set()
        if self._runner is None:
            self._runner = self._tasks.start(self._run(), "connection to a peer")

    async def _run(self) -> None:
        await _load_aiortc()
        while True:
            actions = deque(await self._next_actions())
            while actions:
                actions.extend(await self._perform(actions.popleft()))

    async def _next_actions(self) -> list[Action]:
        while not self._inputs:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(self._core.next_timer()):
                    await self._arrived.wait()
            except TimeoutError:
                return self._core.tick(self._now())
        item = self._inputs.popleft()
        match item:
            case Description():
                return self._description(item)
            case IceCandidate():
                await self._candidate(item.candidate)
                return []
            case _OfferMade():
                return self._core.offer_created(item.token, item.facts, self._now())
            case _SessionState():
                return await self._state_changed(item)
        return item()

    def _local_changed(self) -> list[Action]:
        need = self._open_session().need
        return self._core.want_offer(need, self._now()) if need != "nothing" else []

    def _description(self, description: Description) -> list[Action]:
        try:
            remote = RemoteDescription(description.sdp, read_description(description.sdp))
        except DescriptionError as error:
            return [Report(str(error))]
        if description.type == "offer":
            return self._core.remote_offer(remote, self._now())
        return self._core.remote_answer(remote, self._now())

    async def _state_changed(self, change: _SessionState) -> list[Action]:
        if change.session is not self._session:
            return []
        if change.state == "connected":
            await change.session.start_media()
        public = _PUBLIC_STATES.get(change.state)
        if public is not None:
            self._events.state_changed(public)
        return self._core.connection_changed(change.state, self._now())  # type: ignore[arg-type]

    async def _candidate(self, init: dict[str, Any] | None) -> None:
        if self._session is None:
            return
        try:
            await self._session.add_candidate(init)
        except ValueError as error:
            self._events.candidate_failed(MeteredRealtimeError(f"a candidate could not be read: {scrub(str(error))}"))

    # Actions -----------------------------------------------------------------------------------------

    async def _perform(self, action: Action) -> Iterable[Action]:
        match action:
            case CreateOffer():
                return await self._create_offer(action)
            case SendOffer():
                self._post(Description("offer", self._offer_sdp), _ignore)
            case SendAnswer():
                self._post(Description("answer", self._answer_sdp), self._answer_lost)
            case TakeBackOffer():
                if self._session is not None:
                    self._session.take_back_offer()
            case Answer():
                return await self._answer(action)
            case ApplyAnswer():
                return await self._apply_answer(action.answer)
            case Rebuild():
                session = self._replace_session(keep_layout=action.keep_layout)
                return self._core.rebuilt(need=session.need, now_s=self._now())
            case Report():
                self._events.failed(MeteredRealtimeError(scrub(action.sentence)))
        return []

    async def _create_offer(self, action: CreateOffer) -> Iterable[Action]:
        session = self._open_session()
        try:
            sdp, refused = await session.make_offer(action.channel_mid, with_channel=action.with_channel)
            facts = read_description(sdp) if sdp is not None else None
        except Exception as error:  # noqa: BLE001 - aiortc and the application's track; reported to the application
            return self._core.offer_failed(action.token, self._explain(error))
        self._report_refused(refused)
        if sdp is None or facts is None:
            return self._core.nothing_to_offer(action.token)
        self._offer_sdp = sdp
        # Behind what arrived meanwhile: an offer that waits there already goes first.
        self._put(_OfferMade(action.token, facts))
        return []

    async def _answer(self, action: Answer) -> Iterable[Action]:
        session = self._open_session()
        if action.rebuild or not session.is_usable or session.offered_layout:
            session = self._replace_session(keep_layout=False)
        offer = action.offer
        try:
            self._answer_sdp, refused = await session.take_offer(offer.sdp, offer.facts)
        except Exception as error:  # noqa: BLE001 - hostile text meets aiortc's parser; reported to the application
            if session.pc.signalingState != "stable":
                self._replace_session(keep_layout=False)
            return self._core.offer_refused(self._explain(error), self._now())
        self._post(Description("answer", self._answer_sdp), self._answer_lost)
        self._report_refused(refused)
        return self._core.answered(offer, need=session.need, now_s=self._now())

    async def _apply_answer(self, answer: RemoteDescription) -> Iterable[Action]:
        session = self._open_session()
        try:
            refused = await session.take_answer(answer.sdp, answer.facts)
        except Exception as error:  # noqa: BLE001 - as above
            return self._core.answer_refused(self._explain(error))
        self._report_refused(refused)
        return self._core.answer_applied(answer, need=session.need, now_s=self._now())

    def _report_refused(self, refused: Iterable[Any]) -> None:
        for sender in refused:
            codec = sender.mime_type or "any codec we have"
            sentence = f"the {sender.kind} track {sender.track_id} is not sent: the other side does not take {codec}"
            self._events.failed(MeteredRealtimeError(sentence))

    def _explain(self, error: Exception) -> str:
        _log.debug("negotiation with a peer failed", exc_info=error)
        return f"{type(error).__name__}: {scrub(str(error))}"[:300]

    def _post(self, description: Description, on_lost: Callable[[], None]) -> None:
        self._send(description, on_lost)
        # Every candidate is in the description already.
        self._send(IceCandidate(None), _ignore)

    def _answer_lost(self) -> None:
        self._put(self._core.answer_lost)

    # Sessions ----------------------------------------------------------------------------------------

    def _open_session(self) -> RtcSession:
        if self._session is None:
            if self._is_closed:
                raise MeteredRealtimeError("the peer has left")
            self._session = self._new_session()
            self._session.sync(self._wanted())
        return self._session

    def _replace_session(self, *, keep_layout: bool) -> RtcSession:
        before = self._session
        if before is None:
            return self._open_session()
        layout = before.layout if keep_layout else ()
        after = self._new_session(layout, before.descriptions if keep_layout else ())
        after.senders.adopt(before.senders)
        after.sync(self._wanted())
        self._session = after
        before.abandon()
        self._tasks.start(before.aclose(), "close of a replaced peer connection")
        self._events.session_replaced()
        return after

    def _new_session(self, layout: Iterable[tuple[str, str]] = (), earlier: Iterable[str] = ()) -> RtcSession:
        from metered_realtime.rtc_session import RtcSession, SessionEvents  # noqa: PLC0415 - loads aiortc

        events = SessionEvents(
            state_changed=lambda session, state: self._put(_SessionState(session, state)),
            media_changed=self._events.media_changed,
            channel_opened=self._events.channel_opened,
        )
        return RtcSession(self._ice_servers(), events, self._new_mid, layout=tuple(layout), earlier=tuple(earlier))

    def _new_mid(self) -> str:
        # Never a number: browsers count, and one that took back an offer keeps the mid of its data channel.
        self._mids += 1
        return f"e{self._mids}"

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _ignore() -> None:
    """A lost offer or candidate is covered by the offer's own timeout."""


async def _load_aiortc() -> None:
    """Import what takes up to a second on a small board, in a thread, so that nothing else waits for it."""
    if "metered_realtime.rtc_session" in sys.modules:
        return
    await asyncio.to_thread(import_module, "metered_realtime.rtc_session")
