"""What one peer gets of all that we send: everything, or what the application chose for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from metered_realtime.streams import MediaStream, check_track

if TYPE_CHECKING:
    from metered_realtime.local_media import LocalTrack

Media = Iterable[Any | MediaStream]


class MediaChoice:
    """The tracks and streams chosen for one peer; `media` None: everything. What is not sent yet may be chosen too.

    Raises TypeError for what is neither a track nor a `MediaStream`.
    """

    def __init__(self, media: Media | None = None) -> None:
        self._tracks: list[Any] | None = None
        self._streams: list[MediaStream] = []
        if media is None:
            return
        if isinstance(media, str | bytes | MediaStream) or not isinstance(media, Iterable):
            raise TypeError(f"choose_media takes an iterable of tracks and MediaStreams, or None, not {media!r:.80}")
        self._tracks = []
        for each in media:
            if isinstance(each, MediaStream):
                self._streams.append(each)
            else:
                check_track(each)
                self._tracks.append(each)

    def includes(self, local: LocalTrack) -> bool:
        """Whether the peer gets this track: it, or the stream it is sent in or belongs to, was chosen."""
        if self._tracks is None:
            return True
        if any(track is local.track for track in self._tracks):
            return True
        return any(
            stream is local.stream or any(track is local.track for track in stream.get_tracks())
            for stream in self._streams
        )

    def replaced(self, old: LocalTrack, new: LocalTrack) -> None:
        """`new` is sent in the place of `old`: who got the one gets the other."""
        if self._tracks is None or not self.includes(old):
            return
        self._tracks = [track for track in self._tracks if track is not old.track]
        if not self.includes(new):
            self._tracks.append(new.track)
