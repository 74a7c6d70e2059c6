"""A further reader of any track, beside the peers and the application that read it: for `snapshot` and `Recorder`."""

from __future__ import annotations

from typing import Any

from aiortc.mediastreams import MediaStreamTrack

from metered_realtime.media.relay import relay_of


def open_tap(track: Any, *, max_queued: int | None = None) -> MediaStreamTrack:
    """Return a track that gives what `track` gives: frames, or packets where it is encoded already.

    Nothing is taken from other readers; `max_queued` bounds the frames that wait (packets have bounds of their own).
    Raises TypeError for what is not a track.
    """
    if callable(open_own := getattr(track, "open_tap", None)):
        tap: MediaStreamTrack = open_own(max_queued=max_queued)
        return tap
    if callable(open_reader := getattr(track, "open_reader", None)):
        reader: MediaStreamTrack = open_reader()
        return reader
    check_track(track)
    return relay_of(track).open_reader(max_queued=max_queued)


def check_track(track: Any) -> None:
    """Raise TypeError for what `open_tap` does not take."""
    if not isinstance(track, MediaStreamTrack) and not callable(getattr(track, "open_reader", None)):
        raise TypeError(f"expected a track, such as aiortc's MediaStreamTrack, not {type(track).__name__}")
