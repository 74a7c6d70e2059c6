"""What stands behind a `RemotePeer`: its connection, what it told about its tracks, and the streams they make up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from metered_realtime import events
from metered_realtime.connection import Connection, ConnectionEvents
from metered_realtime.frames import Envelope, TrackMetadata
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalTrack
from metered_realtime.logger import Logger
from metered_realtime.options import PeerConnectionState
from metered_realtime.remote_peer import RemotePeer
from metered_realtime.streams import MediaStream
from metered_realtime.track_metadata import TrackMetadataCache

if TYPE_CHECKING:
    from metered_realtime.receivers import MediaChange, ReceivedMedia


class PeerLink:
    """One member's link, for as long as it is a member. `remote` is what the application gets to see.

    `post` sends an envelope without waiting, `send` sends application data.
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
        logger: Logger | None = None,
    ) -> None:
        self.state: PeerConnectionState = "idle"
        self.metadata = metadata
        self.remote = RemotePeer(peer_id, self, logger=logger)
        self._local_tracks = local_tracks
        self._send = send
        self._post = post
        self._is_held = False
        self._streams: dict[str, MediaStream] = {}
        self._track_metadata = TrackMetadataCache()
        self._connection = Connection(
            polite=polite,
            wanted=local_tracks,
            ice_servers=ice_servers,
            send=post,
            events=ConnectionEvents(
                state_changed=self._connection_changed,
                media_changed=self._media_changed,
                session_replaced=self._session_replaced,
                channel_opened=lambda channel: self.remote.emit(events.DataChannelOpened(channel)),
                failed=lambda error: self.remote.emit(events.NegotiationError(error)),
                candidate_failed=lambda error: self.remote.emit(events.IceCandidateError(error)),
            ),
        )

    # For RemotePeer ----------------------------------------------------------------------------------

    @property
    def polite(self) -> bool:
        """Whether our side gives way when two offers cross."""
        return self._connection.polite

    @property
    def pc(self) -> Any:
        """The present RTCPeerConnection."""
        return self._connection.pc

    async def send(self, data: Any) -> None:
        """Send application data through the service."""
        await self._send(data)

    def create_data_channel(self, label: str, **parameters: Any) -> Any:
        """Open a data channel."""
        return self._connection.create_data_channel(label, **parameters)

    # For MeteredPeer ---------------------------------------------------------------------------------

    def tracks_added(self, added: Iterable[LocalTrack]) -> None:
        """We send more: tell the peer what the tracks are, before any description names them."""
        self._announce(added)
        self._connection.sync()

    def track_removed(self, removed: LocalTrack) -> None:
        """We send less."""
        if removed.withdrawal is not None:
            self._post(removed.withdrawal, _ignore)
        self._connection.sync()

    def track_replaced(self, old: LocalTrack, new: LocalTrack) -> None:
        """We send one track in the place of another."""
        if old.withdrawal is not None:
            self._post(old.withdrawal, _ignore)
        self._announce([new])
        self._connection.replace(old, new)

    def receive(self, envelope: Envelope) -> None:
        """Take in what the peer sent us, other than application data."""
        if isinstance(envelope, TrackMetadata):
            self._track_metadata.take(envelope)
        else:
            self._connection.receive(envelope)

    def signalling_lost(self) -> None:
        """Media may go on, but nothing can be agreed until the service is back."""
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
            self._announce(self._local_tracks())
            if self._connection.is_connected:
                self._set_state("connected")
        self._connection.signalling_up()

    def leave(self) -> None:
        """The peer is gone: end at once what can be ended without waiting."""
        self._connection.abandon()
        self._streams.clear()
        self._set_state("closed")

    async def aclose(self) -> None:
        """End the rest."""
        await self._connection.aclose()
        await self.remote._end_handlers()  # noqa: SLF001 - an emitter is ended by its owner, not by the application

    def _announce(self, tracks: Iterable[LocalTrack]) -> None:
        for local in tracks:
            if local.announcement is not None:
                self._post(local.announcement, _ignore)

    # From the connection -----------------------------------------------------------------------------

    def _connection_changed(self, state: PeerConnectionState) -> None:
        if not self._is_held and not (self.state == "reconnecting" and state == "connecting"):
            self._set_state(state)

    def _set_state(self, state: PeerConnectionState) -> None:
        if self.state not in (state, "closed"):
            before, self.state = self.state, state
            self.remote.emit(events.StateChange(before, state))

    def _session_replaced(self) -> None:
        """Its tracks have ended with it; to the application the streams are interrupted, not removed."""
        self._streams.clear()
        if self.state == "connected":
            self._set_state("reconnecting")
        self._announce(self._local_tracks())

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
