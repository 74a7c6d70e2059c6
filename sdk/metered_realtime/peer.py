"""`MeteredPeer`: be a member of a channel, see the others, and exchange messages, media and data channels with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, Self

from metered_realtime import errors, events, wire
from metered_realtime.emitter import own_handler
from metered_realtime.fatal import fatal_close, fatal_error
from metered_realtime.ice_servers import IceServerConfig, check_ice_servers
from metered_realtime.logger import Logger
from metered_realtime.member_link import MemberLink
from metered_realtime.membership import Membership
from metered_realtime.options import (
    MediaDirections,
    MeteredPeerState,
    ReconnectOptions,
    SignallingClientOptions,
    SubscribeOptions,
    TokenProviderFn,
    options_of,
)
from metered_realtime.outbox import SignalOutbox
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.peer_media import RECEIVING, MediaSender
from metered_realtime.remote_peer import RemotePeer
from metered_realtime.signalling import SignallingClient
from metered_realtime.turnstile import Turnstile

CLOSE_GRACE_S = 5.0
# What the client under it emits and the peer emits as well.
FORWARDED = (events.Connected, events.Disconnected, events.ServerError, events.GoingAway)


class MeteredPeer(MediaSender):
    """One member of one channel.

    Emits `Joined`, `Left`, `StateChange`, `PeerJoined`, `PeerLeft`, `PeerLinkChange`, `Data`, `FatalError`, and what
    happens to the connection to the service: `Connected`, `Disconnected`, `ServerError`, `GoingAway`. Takes
    `SignallingClientOptions`, or its fields as keywords; and, ours: `relay_only`, to reach other members through TURN
    servers only; `ice_servers`, used beside those of the service. Raises ValueError or TypeError for options that
    cannot work.
    """

    def __init__(
        self,
        options: SignallingClientOptions | None = None,
        *,
        api_key: str | None = None,
        token_provider: TokenProviderFn | None = None,
        url: str | None = None,
        token_provider_timeout: float = 10.0,
        logger: Logger | None = None,
        reconnect: ReconnectOptions | bool = True,
        inactivity_timeout: float = 60.0,
        auto_resubscribe: bool = True,
        ssl: SSLContext | None = None,
        allow_insecure: bool = False,
        relay_only: bool = False,
        ice_servers: Sequence[IceServerConfig] | None = None,
        _client: SignallingClient | None = None,
    ) -> None:
        options = options_of(locals())
        if not options.auto_resubscribe:
            raise ValueError("auto_resubscribe=False is not possible for a MeteredPeer: it could not stay a member")
        super().__init__(logger=options.logger)
        self._logger = options.logger
        self._client = _client if _client is not None else SignallingClient(options)
        self._state: MeteredPeerState = "idle"
        self._channel: str | None = None
        self._subscription = SubscribeOptions()
        self._relay_only, self._ssl = relay_only, options.ssl
        self._own_ice_servers = check_ice_servers(ice_servers)
        self._ice_servers: tuple[IceServerConfig, ...] = ()
        self._turnstile = Turnstile()
        self._members = Membership(
            open_link=self._open_link,
            joined=lambda remote: self.emit(events.PeerJoined(remote)),
            left=lambda remote: self.emit(events.PeerLeft(remote)),
            is_open=lambda: self._state == "joined",
        )
        self._outbox = SignalOutbox(self._client.send, self._log)
        self._tasks = OwnedTasks()
        self._watch: asyncio.Task[None] | None = None
        self._end: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"MeteredPeer({self._state}, channel={self._channel!r}, {len(self._members)} remote peers)"

    # State -------------------------------------------------------------------------------------------

    @property
    def state(self) -> MeteredPeerState:
        """`idle`, `joining`, `joined`, `reconnecting`, `leaving` or `closed`."""
        return self._state

    @property
    def peer_id(self) -> str | None:
        """Our id as the service knows us; with a publishable key another one after every reconnect."""
        return self._members.own_id

    @property
    def channel(self) -> str | None:
        """The channel joined, or None."""
        return self._channel

    @property
    def remote_peers(self) -> list[RemotePeer]:
        """The other members, in the order they came."""
        return [link.remote for link in self._members.links]

    # Life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @asynccontextmanager
    async def joined(
        self, channel: str, *, include_sender_metadata: bool = False, media: MediaDirections = "both"
    ) -> AsyncIterator[Self]:
        """Return an asynchronous context: join on entry, close on exit."""
        await self.join(channel, include_sender_metadata=include_sender_metadata, media=media)
        async with self:
            yield self

    async def join(
        self, channel: str, *, include_sender_metadata: bool = False, media: MediaDirections = "both"
    ) -> None:
        """Connect and become a member; returns when the service has accepted the subscription.

        `media` (ours): `send`, the others are told to send us no media, and none is decoded; `receive`, we send none,
        and `add_track` is refused; `none`, messages and data channels only.

        After a failure the state is `idle` again and `join` may be repeated; cancelled at the moment of success, it
        closes the peer. Raises MeteredPeerStateError unless idle, or where tracks were added that `media` does not
        send; MeteredPeerSendError (`reserved_channel`), ValueError or TypeError for a bad name, and whatever
        `SignallingClient.connect` and `subscribe` raise.
        """
        if self._state != "idle":
            raise errors.MeteredPeerStateError(
                "invalid_state", "join", f"join: not possible in state {self._state}", self._state
            )
        wire.check_channel(channel)
        if wire.is_reserved_channel(channel):
            raise errors.MeteredPeerSendError("reserved_channel", f"join: channel {channel!r} belongs to the service")
        self._check_directions(media)
        self._set_state("joining")
        self._channel, self._directions = channel, media
        self._subscription = SubscribeOptions(include_sender_metadata=include_sender_metadata)
        try:
            self._listen()
            if self._client.state in ("idle", "closed"):
                await self._client.connect()
            await self._client.subscribe(channel, self._subscription)
        except BaseException:
            await self._undo_join()
            raise
        self._enter_joined()

    async def _undo_join(self) -> None:
        if self._state in ("joined", "reconnecting"):
            # The list of members was read before `join` went on: whoever saw us come must see us go.
            await self.close("join was given up")
        if self._state != "joining":
            return
        try:
            await self._client.close()
        finally:
            if self.state == "joining":  # else somebody has closed us meanwhile
                self._members.clear()
                self._channel, self._directions = None, "both"
                self._set_state("idle")

    def _listen(self) -> None:
        """Hear the client; its end drops all its handlers."""
        handlers: list[tuple[Any, Callable[[Any], None]]] = [
            *((event_type, self.emit) for event_type in FORWARDED),
            (events.Connected, self._on_connected),
            (events.Disconnected, self._on_disconnected),
            (events.Presence, self._on_presence),
            (events.Direct, self._on_direct),
            (events.Message, self._on_message),
            (events.ServerError, self._on_server_error),
            (events.TokenProviderError, self._on_token_provider_error),
        ]
        for event_type, handler in handlers:
            self._client.off(event_type, handler)
            self._client.on(event_type, handler)

    def _enter_joined(self) -> None:
        if self._state == "joining" and self._channel is not None and self.peer_id is not None:
            self._set_state("joined")
            self.emit(events.Joined(self.peer_id, self._channel))

    async def close(self, reason: str | None = None) -> None:
        """Leave the channel and end everything: connections, streams of events, handlers. May be called again.

        Returns when that is done; in a handler, where the end has begun already, at once. A caller who is cancelled
        does not stop it.
        """
        if self._state not in ("leaving", "closed"):
            self._leave(reason)
        elif (handler := own_handler.get()) is not None and not handler.done():
            return  # the end waits for handlers
        if self._end is not None:
            await asyncio.wait([self._end])

    def _leave(self, reason: str | None) -> None:
        self._set_state("leaving")
        self._end = asyncio.get_running_loop().create_task(self._finish(reason), name="end of a MeteredPeer")

    async def _finish(self, reason: str | None) -> None:
        await self._members.aclose(CLOSE_GRACE_S)
        await self._media.aclose()
        await self._outbox.aclose()
        if self._client.state != "idle":
            await self._client.close()
        await self._tasks.aclose()
        channel, self._channel = self._channel, None
        self._set_state("closed")
        self.emit(events.Left(self.peer_id, channel, reason))
        await self._end_handlers()

    # The service ---------------------------------------------------------------------------------------

    def _on_connected(self, event: events.Connected) -> None:
        if event.ice_servers is not None:
            self._ice_servers = event.ice_servers
        now_s = asyncio.get_running_loop().time()
        is_known = self._members.welcomed(event.peer_id, now_s, is_reconnect=event.is_reconnect)
        if self._state not in ("joined", "reconnecting"):
            return
        if is_known:
            self._set_state("joined")
        elif self._watch is None or self._watch.done():  # one that still runs watches over this reconnect as well
            watch = self._members.await_snapshot(self._subscribe_again, self._give_up)
            self._watch = self._tasks.start(watch, "wait for the roster after a reconnect")

    def _subscribe_again(self) -> None:
        self._tasks.start(self._renew_subscription(), "another subscription")

    async def _renew_subscription(self) -> None:
        if self._channel is None:
            return
        try:
            await self._client.subscribe(self._channel, self._subscription)
        except errors.SignallingError as error:
            self._log.warning("the channel could not be subscribed again", {"error": str(error)})

    def _give_up(self) -> None:
        self.emit(events.FatalError(errors.ReconcileTimeoutError()))

    def _on_disconnected(self, event: events.Disconnected) -> None:
        if self._state in ("idle", "leaving", "closed"):
            return
        fatal = None if event.will_reconnect else fatal_close(event.code, event.reason)
        if fatal is not None:
            self.emit(events.FatalError(fatal))
        if self._state == "joining":
            return  # join() sees it, and may be repeated
        if event.will_reconnect:
            self._members.signalling_lost()
            self._set_state("reconnecting")
            return
        self._leave(event.reason or f"disconnected (code {event.code})")

    def _on_presence(self, event: events.Presence) -> None:
        if event.channel != self._channel or self._state not in ("joining", "joined", "reconnecting"):
            return
        self._enter_joined()  # the snapshot can be read before the coroutine of join() runs again
        change = self._members.take(event.joined, event.left)
        if change.is_snapshot:
            self._set_state("joined")
        self._members.admit(change)

    def _open_link(self, member: wire.PresencePeer, polite: bool) -> MemberLink:
        peer_id = member.peer_id
        link = MemberLink(
            peer_id,
            polite=polite,
            metadata=member.metadata,
            local_tracks=lambda: self._media,
            ice_servers=lambda: (*self._own_ice_servers, *self._ice_servers),
            send=lambda data: self.send_to(peer_id, data),
            post=lambda envelope, on_lost: self._outbox.post(peer_id, envelope, on_lost),
            receives=self._directions in RECEIVING,
            relay_only=self._relay_only,
            ssl_context=self._ssl,
            turnstile=self._turnstile,
            logger=self._logger,
        )
        link.remote.on(events.PeerLinkChange, self.emit)
        return link

    def _on_server_error(self, event: events.ServerError) -> None:
        fatal = fatal_error(event.code, event.message)
        if fatal is not None:
            self.emit(events.FatalError(fatal))

    def _on_token_provider_error(self, event: events.TokenProviderError) -> None:
        sentence = f"the token provider failed {event.consecutive_failures} times in a row: {event.err}"
        self.emit(events.FatalError(errors.MeteredRealtimeError(sentence)))

    def _set_state(self, state: MeteredPeerState) -> None:
        if state != self._state:
            before, self._state = self._state, state
            self.emit(events.StateChange(before, state))
