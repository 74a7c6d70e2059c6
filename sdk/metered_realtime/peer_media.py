"""The media half of `MeteredPeer`: what it sends, and telling every member's link of it."""

from __future__ import annotations

from typing import Any, get_args

from metered_realtime import errors, wire
from metered_realtime.local_media import LocalMedia
from metered_realtime.logger import Logger
from metered_realtime.options import MediaDirections
from metered_realtime.peer_messages import Messenger
from metered_realtime.streams import MediaStream, StreamMetadata

MEDIA_DIRECTIONS = get_args(MediaDirections)
SENDING = ("both", "send")
RECEIVING = ("both", "receive")


class MediaSender(Messenger):
    """A member's calls for media. The state and the members are kept by `MeteredPeer`."""

    def __init__(self, *, logger: Logger | None) -> None:
        super().__init__(logger=logger)
        self._media = LocalMedia()
        self._directions: MediaDirections = "both"

    def add_stream(self, stream: MediaStream, metadata: StreamMetadata | None = None) -> None:
        """Send every track of `stream` to every present and future member. Raises as `add_track`."""
        self._check_media_state("add_stream", adds=True)
        for track in stream.get_tracks():
            self.add_track(track, stream, dict(metadata) if metadata is not None else None)

    def remove_stream(self, stream: MediaStream) -> None:
        """Stop sending every track of `stream`."""
        self._check_media_state("remove_stream")
        for track in stream.get_tracks():
            self.remove_track(track)

    def add_track(self, track: Any, stream: MediaStream | None = None, metadata: StreamMetadata | None = None) -> None:
        """Send `track` to every present and future member, grouped under `stream`, described by `metadata` (JSON).

        Again with the same stream it does nothing. Raises MeteredPeerStateError (`invalid_state`, also where we joined
        to send no media; `track_already_attached`), MeteredPeerOversizedError for metadata, TypeError for what is no
        track.
        """
        self._check_media_state("add_track", adds=True)
        described = self._media.describe(track, stream, metadata)
        if described.announcement is not None:
            self._check_size(wire.envelope_data(described.announcement))
        if self._media.add(track, described) is not None:
            for link in self._members.links:
                link.media_changed()

    def remove_track(self, track: Any) -> None:
        """Stop sending `track`; it is read no more. No effect if it is not sent."""
        self._check_media_state("remove_track")
        if self._media.remove(track) is not None:
            for link in self._members.links:
                link.media_changed()

    async def replace_track(self, old_track: Any, new_track: Any | None) -> None:
        """Send `new_track` in the place of `old_track`, in the same stream with the same metadata; None: stop sending.

        Nothing is negotiated unless the new track needs another codec. No effect if `old_track` is not sent. Raises
        MeteredPeerStateError (`invalid_state`, `track_already_attached`), TypeError for what is no track of that kind,
        and MeteredPeerReplaceTrackError where the new track is known not to reach some members, because they have
        refused its codec or nobody here speaks it; the others get it. Members that refuse the codec only when it is
        offered are told of by `NegotiationError`.
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
        results = [(link.remote.id, link.track_replaced(old, new)) for link in self._members.links]
        failed = tuple(errors.ReplaceTrackFailure(peer_id, error) for peer_id, error in results if error is not None)
        if failed:
            succeeded = tuple(peer_id for peer_id, error in results if error is None)
            raise errors.MeteredPeerReplaceTrackError(succeeded, failed)

    def get_track_metadata(self, track: Any) -> StreamMetadata | None:
        """Return the metadata `track` is sent with; None if it has none or is not sent."""
        sent = self._media.get(track)
        return sent.metadata if sent is not None else None

    def get_stream_metadata(self, stream: MediaStream) -> StreamMetadata | None:
        """Return the metadata of the first track of `stream` that is sent."""
        sent = (self._media.get(track) for track in stream.get_tracks())
        return next((local.metadata for local in sent if local is not None), None)

    def _check_media_state(
        self, method: str, refused: tuple[str, ...] = ("leaving", "closed"), *, adds: bool = False
    ) -> None:
        if self._state in refused:
            sentence = f"{method}: not possible in state {self._state}"
            raise errors.MeteredPeerStateError("invalid_state", method, sentence, self._state)
        if adds and self._directions not in SENDING:
            sentence = f"{method}: not possible after join(media={self._directions!r}), which sends no media"
            raise errors.MeteredPeerStateError("invalid_state", method, sentence, self._state)

    def _check_directions(self, media: MediaDirections) -> None:
        """Raise ValueError for what is no choice, MeteredPeerStateError where it contradicts what was added."""
        if media not in MEDIA_DIRECTIONS:
            raise ValueError(f"join: media must be one of {', '.join(MEDIA_DIRECTIONS)}, not {media!r:.40}")
        if media not in SENDING and any(True for _ in self._media):
            sentence = f"join: tracks were added, and media={media!r} sends none; remove them, or join otherwise"
            raise errors.MeteredPeerStateError("invalid_state", "join", sentence, self._state)
