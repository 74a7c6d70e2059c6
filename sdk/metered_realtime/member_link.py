"""What stands behind a `RemotePeer`: its connection, what it told about its tracks, and the streams they make up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from metered_realtime import events
from metered_realtime.connection import Connection, ConnectionEvents
from metered_realtime.frames import Envelope, TrackMetadata
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalTrack
from metered_realtime.logger import Logger
from metered_realtime.media_choice import Media, MediaChoice
from metered_realtime.options import PeerConnectionState
from metered_realtime.remote_peer import RemotePeer
from metered_realtime.stats import PeerLink, PeerStats, StatsMeter, peer_stats
from metered_realtime.streams import MediaStream
from metered_realtime.track_metadata import TrackMetadataCache
from metered_realtime.turnstile import Turnstile

if TYPE_CHECKING:
    from metered_realtime.receivers import MediaChange, ReceivedMedia


class MemberLink:
    """One member's link, for as long as it is a member. `remote` is what the application gets to see.

    `post` sends an envelope without waiting, `send` sends application data. Without `receives` the peer's media is not
    wanted. Nothing is said to the peer before `start`. `relay_only`, `ssl_context`, `turnstile`: as of `Connection`.
    """

    def __init__(
        self,
        peer_id: str,
        *,
        polite: bool,
        metadata: dict[str, Any] | None,
        local_tracks: Callable[[], Iterable[LocalTrack]],
        ice_servers: Callable[[], Iterable[IceServerConfig]],
        send: Callable[[Any], Awaitable[None]],
        post: Callable[[Envelope, Callable[[], None]], None],
        receives: bool = True,
        relay_only: bool = False,
        ssl_context: SSLContext | None = None,
        turnstile: Turnstile | None = None,
        logger: Logger | None = None,
    ) -> None:
        self.state: PeerConnectionState = "idle"
        self.metadata = metadata
        self.codecs: frozenset[str] = frozenset()
        self.remote = RemotePeer(peer_id, self, logger=logger)
        self._local_tracks = local_tracks
        self._send = send
        self._post = post
        self._is_held = False
        self._is_started = False
        self._choice = MediaChoice()
        self._announced: set[LocalTrack] = set()
        self._meter = StatsMeter()
        self._streams: dict[str, MediaStream] = {}
        self._track_metadata = TrackMetadataCache()
        self._connection = Connection(
            polite=polite,
            wanted=self._wanted,
            ice_servers=ice_servers,
            send=post,
            events=ConnectionEvents(
                state_changed=self._connection_changed,
                media_changed=self._media_changed,
                session_replaced=self._session_replaced,
                channel_opened=lambda channel: self.remote.emit(events.DataChannelOpened(channel)),
                failed=lambda error: self.remote.emit(events.NegotiationError(error)),
                candidate_failed=lambda error: self.remote.emit(events.IceCandidateError(error)),
                link_changed=lambda link: self.remote.emit(events.PeerLinkChange(self.remote, link)),
                codecs_agreed=self._codecs_agreed,
            ),
            receives=receives,
            relay_only=relay_only,
            ssl_context=ssl_context,
            turnstile=turnstile,
        )

    # For RemotePeer ----------------------------------------------------------------------------------

    @property
    def polite(self) -> bool:
        """Whether our side gives way when two offers cross."""
        return self._connection.polite

    @property
    def is_connected(self) -> bool:
        """Whether media and data can flow at this moment, whatever became of the service."""
        return self._connection.is_connected

    @property
    def pc(self) -> Any:
        """The present RTCPeerConnection."""
        return self._connection.pc

    async def send(self, data: Any) -> None:
        """Send application data through the service."""
        await self._send(data)

    @property
    def link(self) -> PeerLink | None:
        """What is known of the way to the peer at this moment."""
        return self._connection.link

    def create_data_channel(self, label: str, **parameters: Any) -> Any:
        """Open a data channel."""
        return self._connection.create_data_channel(label, **parameters)

    def choose_media(self, media: Media | None) -> None:
        """Send the peer these of our tracks and streams only; None: all of them."""
        self._choice = MediaChoice(media)
        self.media_changed()

    async def stats(self) -> PeerStats:
        """Return how the present connection does."""
        sample = await self._connection.stats()
        tracks = self._meter.take(sample.tracks, asyncio.get_running_loop().time())
        dropped = self._connection.dropped_signals
        return peer_stats(self.state, sample, tracks, dropped_signals=dropped, link=self.link)

    # For MeteredPeer ---------------------------------------------------------------------------------

    def start(self) -> None:
        """The application has heard of the peer, and has said what it shall get: begin to send."""
        self._is_started = True
        self.media_changed()

    def media_changed(self) -> None:
        """Other tracks are sent than before: tell the peer what they are, before any description names them."""
        if not self._is_started:
            return
        wanted = self._wanted()
        self._withdraw(self._announced.difference(wanted))
        self._announce(wanted)
        self._connection.sync()

    def track_replaced(self, old: LocalTrack, new: LocalTrack) -> Exception | None:
        """One track is sent in the place of another; returns why the peer does not get it, where that is known."""
        self._choice.replaced(old, new)
        if not self._is_started or not self._choice.includes(new):
            return None
        self._withdraw([old])
        self._announce([new])
        return self._connection.replace(old, new)

    def receive(self, envelope: Envelope) -> None:
        """Take in what the peer sent us, other than application data."""
        if isinstance(envelope, TrackMetadata):
            self._track_metadata.take(envelope)
        else:
            self._connection.receive(envelope)

    def signalling_lost(self) -> None:
        """Media may go on, but nothing can be agreed until the service is back."""
        self._connection.signalling_lost()
        if self.state not in ("idle", "closed"):
            self._is_held = True
            self._set_state("reconnecting")

    def signalling_back(self, metadata: dict[str, Any] | None, *, polite: bool, renamed: bool) -> None:
        """The service is back and lists the peer. `renamed`: it knows us under another id than before."""
        self.metadata = metadata
        self._is_held = False
        if renamed:
            self._connection.renew(polite=polite)
        else:
            # Others may have seen us leave and join: what we said about our tracks is then forgotten there.
            self._announce_again()
            if self.is_connected:
                self._set_state("connected")
        self._connection.signalling_up()

    def returned(self, metadata: dict[str, Any] | None) -> None:
        """The connected peer has another connection to the service; or is another program, under the same id."""
        self.metadata = metadata
        self._announce_again()
        self._connection.returned()

    def network_changed(self) -> None:
        """The addresses of this machine changed: the path may have to be another one."""
        self._connection.network_changed()

    def leave(self) -> None:
        """The peer is gone: end at once what can be ended without waiting."""
        self._connection.abandon()
        self._streams.clear()
        self._set_state("closed")

    async def aclose(self) -> None:
        """End the rest."""
        await self._connection.aclose()
        await self.remote._end_handlers()  # noqa: SLF001 - an emitter is ended by its owner, not by the application

    def _wanted(self) -> list[LocalTrack]:
        """Return what the peer gets of what we send."""
        return [local for local in self._local_tracks() if self._choice.includes(local)]

    def _announce(self, tracks: Iterable[LocalTrack]) -> None:
        for local in tracks:
            if local not in self._announced and local.announcement is not None:
                self._announced.add(local)
                self._post(local.announcement, _ignore)

    def _withdraw(self, tracks: Iterable[LocalTrack]) -> None:
        for local in tracks:
            if local in self._announced and local.withdrawal is not None:
                self._announced.discard(local)
                self._post(local.withdrawal, _ignore)

    def _announce_again(self) -> None:
        self._announced.clear()
        if self._is_started:
            self._announce(self._wanted())

    # From the connection -----------------------------------------------------------------------------

    def _connection_changed(self, state: PeerConnectionState) -> None:
        if not self._is_held and not (self.state == "reconnecting" and state == "connecting"):
            self._set_state(state)

    def _codecs_agreed(self, codecs: frozenset[str]) -> None:
        if codecs != self.codecs:
            self.codecs = codecs
            self.remote.emit(events.CodecsAgreed(codecs))

    def _set_state(self, state: PeerConnectionState) -> None:
        if self.state not in (state, "closed"):
            before, self.state = self.state, state
            self.remote.emit(events.StateChange(before, state))

    def _session_replaced(self) -> None:
        """Its tracks have ended with it; to the application the streams are interrupted, not removed."""
        self._streams.clear()
        if self.state == "connected":
            self._set_state("reconnecting")
        self._announce_again()
        self.remote.emit(events.ConnectionReset())

    def _media_changed(self, change: MediaChange) -> None:
        for media in change.removed:
            self._media_removed(media)
        joined = [(media, *self._join_stream(media)) for media in change.added]
        for media, stream, is_new in joined:
            metadata = self._track_metadata.find(
                track_id=media.track_id,
                stream_id=media.stream_id,
                kind=media.track.kind,
                sections=change.sections,
            )
            self.remote.emit(events.Track(media.track, (stream,) if stream is not None else (), metadata))
            if stream is not None and is_new:
                self.remote.emit(events.StreamAdded(stream, metadata))

    def _join_stream(self, media: ReceivedMedia) -> tuple[MediaStream | None, bool]:
        """Put the track into its stream; returns the stream, and whether this is its first track."""
        if media.stream_id is None:
            return None, False
        known = self._streams.get(media.stream_id)
        if known is not None:
            known.add_track(media.track)
            return known, False
        stream = MediaStream([media.track])
        stream.id = media.stream_id
        self._streams[media.stream_id] = stream
        return stream, True

    def _media_removed(self, media: ReceivedMedia) -> None:
        stream = self._streams.get(media.stream_id or "")
        if stream is None:
            return
        stream.remove_track(media.track)
        if not stream.get_tracks():
            del self._streams[stream.id]
            self.remote.emit(events.StreamRemoved(stream))


def _ignore() -> None:
    """Metadata is sent again with every new session."""
