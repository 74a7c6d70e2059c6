"""When a decoded frame was taken, where its source knows: written on the frame, whichever relays it goes through."""

from __future__ import annotations

from typing import Any, NamedTuple


class Taken(NamedTuple):
    """On the clock of `time.monotonic()`."""

    at_s: float


def mark_taken(frame: Any, at_s: float | None) -> Any:
    """Write it on an `av` frame, in place; a resampler copies it. Returns the frame."""
    if at_s is not None:
        frame.opaque = Taken(at_s)
    return frame


def taken_s(frame: Any) -> float | None:
    """Return what is written on a frame; None for anything that bears nothing of ours."""
    mark = getattr(frame, "opaque", None)
    return mark.at_s if isinstance(mark, Taken) else None
