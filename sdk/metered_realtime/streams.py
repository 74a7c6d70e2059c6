"""`MediaStream`: a group of tracks under one id that receivers see."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

StreamMetadata = dict[str, Any]


def check_track(track: Any) -> None:
    """Raise TypeError for what is no track."""
    kind, track_id = getattr(track, "kind", None), getattr(track, "id", None)
    if kind not in ("audio", "video") or not isinstance(track_id, str) or not track_id:
        raise TypeError(
            "a track must have a kind, 'audio' or 'video', and an id, such as aiortc's MediaStreamTrack has"
        )


class MediaStream:
    """Tracks that belong together, such as the picture and sound of one camera.

    `id` travels in the session description (`a=msid`, RFC 8830); it must be 1 to 256 characters without spaces.
    Adding or removing a track here changes the group only: sending is `MeteredPeer.add_track` with this stream.
    Raises ValueError for an id that cannot travel.
    """

    def __init__(self, tracks: Iterable[Any] = (), *, id: str | None = None) -> None:  # noqa: A002 - the official name
        if id is not None and (not id or len(id) > 256 or any(char.isspace() or not char.isprintable() for char in id)):
            raise ValueError("a stream id must have 1 to 256 printable characters and no spaces")
        self.id = id if id is not None else uuid.uuid4().hex
        self._tracks = list(dict.fromkeys(tracks))

    def get_tracks(self) -> list[Any]:
        """Return the tracks, in the order they were added."""
        return list(self._tracks)

    def get_audio_tracks(self) -> list[Any]:
        """Return the audio tracks."""
        return [track for track in self._tracks if getattr(track, "kind", None) == "audio"]

    def get_video_tracks(self) -> list[Any]:
        """Return the video tracks."""
        return [track for track in self._tracks if getattr(track, "kind", None) == "video"]

    def add_track(self, track: Any) -> None:
        """Put a track into the group; no effect if it is there."""
        if track not in self._tracks:
            self._tracks.append(track)

    def remove_track(self, track: Any) -> None:
        """Take a track out of the group; no effect if it is not there."""
        if track in self._tracks:
            self._tracks.remove(track)

    def __repr__(self) -> str:
        return f"MediaStream({self.id!r}, {len(self._tracks)} tracks)"
