"""The media half of `MeteredPeer`: what it sends, and telling every member's link of it."""

from __future__ import annotations

from typing import Any

from metered_realtime import errors, wire
from metered_realtime.emitter import Emitter
from metered_realtime.local_media import LocalMedia
from metered_realtime.logger import Logger
from metered_realtime.membership import Membership
from metered_realtime.options import MeteredPeerState
from metered_realtime.signalling import SignallingClient
from metered_realtime.streams import MediaStream, StreamMetadata


class MediaSender(Emitter):
    """A member's calls for media. The state and the members are kept by `MeteredPeer`."""

    _state: MeteredPeerState
    _members: Membership
    _client: SignallingClient

    def __init__(self, *, logger: Logger | None) -> None:
        super().__init__(logger=logger)
        self._media = LocalMedia()

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
        added = self._media.add(track, described)
        if added is not None:
            for link in self._members.links:
                link.tracks_added([added])

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

    def _check_size(self, data: Any) -> None:
        size = wire.json_size(data)
        if size > self._client.max_message_size:
            raise errors.MeteredPeerOversizedError(size, self._client.max_message_size)
