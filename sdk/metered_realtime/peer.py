"""`MeteredPeer`: be a member of a channel, see the others, and exchange messages, media and data channels with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from metered_realtime import errors, events, wire
from metered_realtime.emitter import Emitter
from metered_realtime.fatal import fatal_close, fatal_error
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalMedia
from metered_realtime.logger import Logger, NoopLogger
from metered_realtime.membership import Membership
from metered_realtime.options import MeteredPeerState, SignallingClientOptions, SubscribeOptions
from metered_realtime.outbox import SignalOutbox
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.peer_link import PeerLink
from metered_realtime.remote_peer import RemotePeer
from metered_realtime.roster import MAX_PEERS
from metered_realtime.signalling import SignallingClient
from metered_realtime.streams import MediaStream, StreamMetadata

CLOSE_GRACE_S = 5.0


class MeteredPeer(Emitter):
    """One member of one channel.

    Emits `Joined`, `Left`, `StateChange`, `PeerJoined`, `PeerLeft`, `Data`, `FatalError`. Takes
    `SignallingClientOptions`, or its fields as keywords. Raises ValueError or TypeError for options that cannot work.
    """

    def __init__(
        self,
        options: SignallingClientOptions | None = None,
        *,
        _client: SignallingClient | None = None,
        **fields: Any,
    ) -> None:
        if options is None and _client is None:
            options = SignallingClientOptions(**fields)
        elif fields:
            raise TypeError(f"pass either options or keywords, not both (got {', '.join(sorted(fields))})")
        if options is not None and not options.auto_resubscribe:
            raise ValueError("auto_resubscribe=False is not possible for a MeteredPeer: it could not stay a member")
        logger = options.logger if options is not None else None
        super().__init__(logger=logger)
        self._logger = logger
        self._log: Logger = logger if logger is not None else NoopLogger()
        self._client = _client if _client is not None else SignallingClient(options)
        self._state: MeteredPeerState = "idle"
        self._channel: str | None = None
        self._subscription = SubscribeOptions()
        self._max_message_bytes = wire.DEFAULT_MAX_MESSAGE_BYTES
        self._ice_servers: tuple[IceServerConfig, ...] = ()
        self._members = Membership(
            open_link=self._open_link,
            joined=lambda remote: self.emit(events.PeerJoined(remote)),
            left=lambda remote: self.emit(events.PeerLeft(remote)),
            is_open=lambda: self._state == "joined",
        )
        self._media = LocalMedia()
        self._outbox = SignalOutbox(self._client.send, self._log)
        self._tasks = OwnedTasks()
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
    async def joined(self, channel: str, *, include_sender_metadata: bool = False) -> AsyncIterator[Self]:
        """Return an asynchronous context: join on entry, close on exit."""
        await self.join(channel, include_sender_metadata=include_sender_metadata)
        async with self:
            yield self

    async def join(self, channel: str, *, include_sender_metadata: bool = False) -> None:
        """Connect and become a member; returns when the service has accepted the subscription.

        After a failure the state is `idle` again and `join` may be repeated. Raises MeteredPeerStateError unless idle,
        MeteredPeerSendError (`reserved_channel`), ValueError or TypeError for a bad name, and whatever
        `SignallingClient.connect` and `subscribe` raise.
        """
        if self._state != "idle":
            raise errors.MeteredPeerStateError(
                "invalid_state", "join", f"join: not possible in state {self._state}", self._state
            )
        wire.check_channel(channel)
        if wire.is_reserved_channel(channel):
            raise errors.MeteredPeerSendError("reserved_channel", f"join: channel {channel!r} belongs to the service")
        self._set_state("joining")
        self._channel = channel
        self._subscription = SubscribeOptions(include_sender_metadata=include_sender_metadata)
        try:
            self._listen()
            if self._client.state in ("idle", "closed"):
                await self._client.connect()
            await self._client.subscribe(channel, self._subscription)
        except BaseException:
            if self.state == "joining":
                await self._client.close()
                self._members.clear()
                self._channel = None
                self._set_state("idle")
            raise
        self._enter_joined()

    def _listen(self) -> None:
        """Hear the client; its end drops all its handlers."""
        handlers: list[tuple[Any, Callable[[Any], None]]] = [
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
        """Leave the channel and end everything: connections, streams of events, handlers. May be called again."""
        if self._state == "leaving":
            return  # called by a handler of what the first call emits
        if self._state != "closed":
            self._set_state("leaving")
            await self._finish(reason)
        if self._end is not None and self._end is not asyncio.current_task():
            await asyncio.wait([self._end])

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

    # Messages ------------------------------------------------------------------------------------------

    async def send(self, data: Any) -> None:
        """Send any JSON value to every other member.

        Raises MeteredPeerSendError (`not_joined`), MeteredPeerOversizedError, and as `SignallingClient.publish`.
        """
        if self._state != "joined" or self._channel is None:
            raise errors.MeteredPeerSendError("not_joined", f"send: not possible in state {self._state}; join first")
        self._check_size(data)
        await self._client.publish(self._channel, data)

    async def send_to(self, peer_id: str, data: Any) -> None:
        """Send any JSON value to one member. Raises as `send`, and MeteredPeerSendError `invalid_args`, `self_send`."""
        if self._state != "joined":
            sentence = f"send_to: not possible in state {self._state}; join first"
            raise errors.MeteredPeerSendError("not_joined", sentence)
        try:
            wire.check_peer_id(peer_id)
        except (TypeError, ValueError) as error:
            raise errors.MeteredPeerSendError("invalid_args", f"send_to: {error}") from None
        if peer_id == self.peer_id:
            raise errors.MeteredPeerSendError("self_send", "send_to: that is our own peer id")
        if wire.parse_envelope(data) is not None:
            self._log.warning("send_to: the receiver will take this for signalling, not for data", {"to": peer_id})
        self._check_size(data)
        await self._client.send(peer_id, data)

    def _check_size(self, data: Any) -> None:
        size = wire.json_size(data)
        if size > self._max_message_bytes:
            raise errors.MeteredPeerOversizedError(size, self._max_message_bytes)

    # Media ---------------------------------------------------------------------------------------------

    def add_stream(self, stream: MediaStream, metadata: StreamMetadata | None = None) -> None:
        """Send every track of `stream` to every present and future member. Raises as `add_track`."""
        self._check_media_state("add_stream")
        for track in stream.get_tracks():
            self.add_track(track, stream, dict(metadata) if metadata is not None else None)

    def remove_stream(self, stream: MediaStream) -> None:
        """Stop sending every track of `stream`."""
        self._check_media_state("remove_stream")
        for track in stream.get_tracks():
            self.remove_track(track)

    def add_track(self, track: Any, stream: MediaStream | None = None, metadata: StreamMetadata | None = None) -> None:
        """Send `track` to every present and future member, grouped under `stream`, described by `metadata` (JSON).

        Again with the same stream it does nothing. Raises MeteredPeerStateError (`invalid_state`,
        `track_already_attached`), MeteredPeerOversizedError for metadata, TypeError for what is no track.
        """
        self._check_media_state("add_track")
        described = self._media.describe(track, stream, metadata)
        if described.announcement is not None:
            self._check_size(wire.envelope_data(described.announcement))
        if not self._media.add(track, described):
            return
        added = self._media.get(track)
        for link in self._members.links:
            link.tracks_added([added] if added is not None else [])

    def remove_track(self, track: Any) -> None:
        """Stop sending `track`; it is read no more. No effect if it is not sent."""
        self._check_media_state("remove_track")
        removed = self._media.remove(track)
        if removed is not None:
            for link in self._members.links:
                link.track_removed(removed)

    async def replace_track(self, old_track: Any, new_track: Any | None) -> None:
        """Send `new_track` in the place of `old_track`, in the same stream with the same metadata; None: stop sending.

        Nothing is negotiated unless the new track needs another codec. No effect if `old_track` is not sent. Raises
        MeteredPeerStateError (`invalid_state`, `track_already_attached`), TypeError for what is no track of that kind.
        """
        self._check_media_state("replace_track", refused=("reconnecting", "leaving", "closed"))
        if old_track is None:
            raise TypeError("replace_track: the old track must be a track; to stop sending use remove_track")
        old = self._media.get(old_track)
        if old is None or new_track is old_track:
            return
        if new_track is None:
            self.remove_track(old_track)
            return
        if self._media.describe(new_track, None, None).kind != old.kind:
            raise TypeError(f"replace_track: the new track must be {old.kind} as the old one is")
        if self._media.get(new_track) is not None:
            sentence = "replace_track: the new track is sent already"
            raise errors.MeteredPeerStateError("track_already_attached", "replace_track", sentence, self._state)
        new = self._media.replace(old_track, new_track)
        for link in self._members.links:
            link.track_replaced(old, new)

    def get_track_metadata(self, track: Any) -> StreamMetadata | None:
        """Return the metadata `track` is sent with; None if it has none or is not sent."""
        sent = self._media.get(track)
        return sent.metadata if sent is not None else None

    def get_stream_metadata(self, stream: MediaStream) -> StreamMetadata | None:
        """Return the metadata of the first track of `stream` that is sent."""
        sent = (self._media.get(track) for track in stream.get_tracks())
        return next((local.metadata for local in sent if local is not None), None)

    def _check_media_state(self, method: str, refused: tuple[str, ...] = ("leaving", "closed")) -> None:
        if self._state in refused:
            sentence = f"{method}: not possible in state {self._state}"
            raise errors.MeteredPeerStateError("invalid_state", method, sentence, self._state)

    # The service ---------------------------------------------------------------------------------------

    def _on_connected(self, event: events.Connected) -> None:
        if event.ice_servers is not None:
            self._ice_servers = event.ice_servers
        self._max_message_bytes = event.max_message_size
        is_known = self._members.welcomed(event.peer_id, self._now(), is_reconnect=event.is_reconnect)
        if self._state != "reconnecting":
            return
        if is_known:
            self._set_state("joined")
        else:
            watch = self._members.await_snapshot(self._subscribe_again, self._give_up)
            self._tasks.start(watch, "wait for the roster after a reconnect")

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
        self._set_state("leaving")
        reason = event.reason or f"disconnected (code {event.code})"
        self._end = asyncio.get_running_loop().create_task(self._finish(reason), name="end of a MeteredPeer")

    def _on_presence(self, event: events.Presence) -> None:
        if event.channel != self._channel or self._state not in ("joining", "joined", "reconnecting"):
            return
        self._enter_joined()  # the snapshot can be read before the coroutine of join() runs again
        change = self._members.take(event.joined, event.left)
        if change.dropped:
            self._log.warning(f"the channel has more than {MAX_PEERS} members; the rest is not connected")
        if change.is_snapshot:
            self._set_state("joined")
        self._members.admit(change)

    def _open_link(self, member: wire.PresencePeer, polite: bool) -> PeerLink:
        peer_id = member.peer_id
        link = PeerLink(
            peer_id,
            polite=polite,
            metadata=member.metadata,
            local_tracks=lambda: self._media,
            ice_servers=lambda: self._ice_servers,
            send=lambda data: self.send_to(peer_id, data),
            post=lambda envelope, on_lost: self._outbox.post(peer_id, envelope, on_lost),
            logger=self._logger,
        )
        link.tracks_added(self._media)
        return link

    def _on_direct(self, event: events.Direct) -> None:
        link = self._members.get(event.sender_peer_id)
        if link is None:
            self._log.debug("a message of somebody who is not a member was ignored", {"from": event.sender_peer_id})
            return
        envelope = wire.parse_envelope(event.data)
        if envelope is not None:
            link.receive(envelope)
        else:
            self.emit(events.Data(event.sender_peer_id, event.data, "direct", event.sender_metadata))

    def _on_message(self, event: events.Message) -> None:
        if event.channel == self._channel and event.sender_peer_id != self.peer_id:
            self.emit(events.Data(event.sender_peer_id, event.data, "broadcast", event.sender_metadata))

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

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
