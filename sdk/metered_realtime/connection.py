"""The connection to one remote peer: inputs in a row, `negotiation` decides, a `Performer` does. One task."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable
from importlib import import_module
from ssl import SSLContext
from typing import Any

from metered_realtime.connection_performer import (
    ConnectionEvents,
    Input,
    OfferMade,
    PathState,
    Performer,
    SessionOptions,
    SessionState,
)
from metered_realtime.description import DescriptionError, read_description
from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.frames import Description, IceCandidate
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalTrack
from metered_realtime.negotiation import Negotiation
from metered_realtime.negotiation_actions import Action, RemoteDescription, Report
from metered_realtime.options import PeerConnectionState
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.scrub import scrub
from metered_realtime.stats import ConnectionSample, PeerLink
from metered_realtime.turnstile import Turnstile

MAX_WAITING_SIGNALS = 512
CLOSE_GRACE_S = 3.0

_log = logging.getLogger(__name__)

_PUBLIC_STATES: dict[str, PeerConnectionState] = {
    "connecting": "connecting",
    "connected": "connected",
    "failed": "reconnecting",
    "closed": "reconnecting",
}

__all__ = ["CLOSE_GRACE_S", "MAX_WAITING_SIGNALS", "Connection", "ConnectionEvents"]


class Connection:
    """Keeps one peer connected for as long as it is a member.

    `wanted` tells what to send, `send` posts an envelope and calls back with whether the service took it. Without
    `receives` the other side is told not to send media. `relay_only`: media goes through TURN servers or not at all.
    `ssl_context` is for TURN over TLS. `turnstile`: shared with others whose work comes at once.
    """

    def __init__(
        self,
        *,
        polite: bool,
        wanted: Callable[[], Iterable[LocalTrack]],
        ice_servers: Callable[[], Iterable[IceServerConfig]],
        send: Callable[[Description | IceCandidate, Callable[[], None]], None],
        events: ConnectionEvents,
        receives: bool = True,
        relay_only: bool = False,
        ssl_context: SSLContext | None = None,
        turnstile: Turnstile | None = None,
    ) -> None:
        self._core = Negotiation(polite=polite)
        self._wanted = wanted
        self._events = events
        self._turnstile = turnstile if turnstile is not None else Turnstile()
        self._inputs: deque[Input] = deque()
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._tasks = OwnedTasks()
        self._performer = Performer(
            self._core,
            wanted=wanted,
            options=SessionOptions(ice_servers, relay_only=relay_only, receives=receives, ssl_context=ssl_context),
            send=send,
            events=events,
            put=self._put,
            tasks=self._tasks,
        )
        self.dropped_signals = 0

    # For the owner -----------------------------------------------------------------------------------

    @property
    def polite(self) -> bool:
        """Whether this side gives way when two offers cross."""
        return self._core.polite

    @property
    def is_connected(self) -> bool:
        """Whether media and data can flow at this moment."""
        session = self._performer.session
        return session is not None and session.state == "connected" and self._core.recovery.is_connected

    @property
    def pc(self) -> Any:
        """aiortc's RTCPeerConnection; a new one after every renewal."""
        return self._performer.open_session().pc

    @property
    def link(self) -> PeerLink | None:
        """What is known of the way to the other side at this moment."""
        session = self._performer.session
        return session.link if session is not None else None

    def create_data_channel(self, label: str, **parameters: Any) -> Any:
        """Return a new data channel of the present connection."""
        channel = self.pc.createDataChannel(label, **parameters)
        self._put(self._local_changed)
        return channel

    def sync(self) -> None:
        """What is wanted has changed."""
        session = self._performer.session
        if session is not None:
            session.sync(self._wanted())
            if session.need != "nothing":
                self._put(self._local_changed)
        elif any(True for _ in self._wanted()):
            self._put(self._local_changed)

    def replace(self, old: LocalTrack, new: LocalTrack) -> Exception | None:
        """Send `new` in the place of `old`: in the same section where its codec allows, else in a new one.

        Returns why it is not sent, where that is known already.
        """
        session = self._performer.session
        if session is not None and session.senders.replace(old, new):
            return None
        self.sync()
        return session.senders.refusal(new) if session is not None else None

    async def stats(self) -> ConnectionSample:
        """Return what the present connection has counted."""
        session = self._performer.session
        return await session.sample() if session is not None else ConnectionSample()

    def receive(self, signal: Description | IceCandidate) -> None:
        """Take in a description or candidate of the other side."""
        if len(self._inputs) >= MAX_WAITING_SIGNALS:
            self.dropped_signals += 1
            if self.dropped_signals == 1:
                _log.warning("a peer sends session descriptions and candidates faster than they can be handled")
            return
        self._put(signal)

    def signalling_lost(self) -> None:
        """The service is not connected: what needs it waits."""
        if self._runner is not None:
            self._put(self._core.signalling_lost)

    def signalling_up(self) -> None:
        """The service is connected again."""
        if self._runner is not None:
            self._put(lambda: self._core.signalling_up(self._now()))

    def network_changed(self) -> None:
        """Addresses or routes of this machine changed: look for the best path anew. What still works goes on."""
        if self._runner is not None:
            self._put(lambda: self._core.network_changed(self._now()))

    def returned(self) -> None:
        """The service lists the other side anew: the same program, or another under its id. What works goes on."""
        if self._runner is not None:
            self._put(lambda: self._core.returned(self._now()))

    def renew(self, *, polite: bool) -> None:
        """Start over: the other side knows us under another id now."""

        def start_over() -> list[Action]:
            self._core.polite = polite
            return self._core.renew(self._now())

        if self._performer.session is None:
            self._core.polite = polite
            return
        self._put(start_over)

    def abandon(self) -> None:
        """End at once for the outside: nothing is emitted or sent any more. `aclose` must follow."""
        self._performer.is_closed = True
        if self._runner is not None:
            self._runner.cancel()
        if self._performer.session is not None:
            self._performer.session.abandon()

    async def aclose(self) -> None:
        """Close the connection and everything that belongs to it."""
        self.abandon()
        if self._performer.session is not None:
            await self._performer.session.aclose()
        await self._tasks.aclose(grace_s=CLOSE_GRACE_S)

    # The row of inputs -------------------------------------------------------------------------------

    def _put(self, item: Input) -> None:
        if self._performer.is_closed:
            return
        self._inputs.append(item)
        self._arrived.set()
        if self._runner is None:
            self._runner = self._tasks.start(self._run(), "connection to a peer")

    async def _run(self) -> None:
        await _load_aiortc()
        await self._turnstile.turn()
        while True:
            actions = deque(await self._next_actions())
            while actions:
                await self._turnstile.turn()
                actions.extend(await self._performer.perform(actions.popleft()))

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
            case OfferMade():
                return self._core.offer_created(item.token, item.facts, self._now())
            case SessionState():
                return await self._state_changed(item)
            case PathState():
                return self._path_changed(item)
        return item()

    def _local_changed(self) -> list[Action]:
        need = self._performer.open_session().need
        return self._core.want_offer(need, self._now()) if need != "nothing" else []

    def _description(self, description: Description) -> list[Action]:
        try:
            remote = RemoteDescription(description.sdp, read_description(description.sdp))
        except DescriptionError as error:
            return [Report(str(error))]
        if description.type == "offer":
            return self._core.remote_offer(remote, self._now())
        return self._core.remote_answer(remote, self._now())

    async def _state_changed(self, change: SessionState) -> list[Action]:
        if change.session is not self._performer.session:
            return []
        if change.state == "connected":
            await change.session.start_media()
        public = _PUBLIC_STATES.get(change.state)
        if public is not None:
            self._events.state_changed(public)
        return self._core.connection_changed(change.state, self._now())  # type: ignore[arg-type]

    def _path_changed(self, change: PathState) -> list[Action]:
        """aiortc knows a path only as up or dead; to the application a lost one is interrupted."""
        if change.session is not self._performer.session or change.session.state != "connected":
            return []
        if not change.is_found:
            self._events.state_changed("reconnecting")
            return self._core.path_lost(self._now())
        self._events.state_changed("connected")
        return self._core.path_found()

    async def _candidate(self, init: dict[str, Any] | None) -> None:
        if self._performer.session is None:
            return
        try:
            await self._performer.session.add_candidate(init)
        except ValueError as error:
            self._events.candidate_failed(MeteredRealtimeError(f"a candidate could not be read: {scrub(str(error))}"))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _load_aiortc() -> None:
    """Import what takes up to a second on a small board, in a thread, so that nothing else waits for it."""
    if "metered_realtime.rtc_session" in sys.modules:
        return
    await asyncio.to_thread(import_module, "metered_realtime.rtc_session")
