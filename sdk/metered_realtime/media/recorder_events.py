"""What a `Recorder` tells: files begun and finished, and what went wrong. Frozen values, as all events are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metered_realtime.events import Event


@dataclass(frozen=True, slots=True)
class FileStarted(Event):
    """A file was opened; it grows from now on, and can be played even if it is never finished."""

    path: Path


@dataclass(frozen=True, slots=True)
class FileFinished(Event):
    """A file is complete and on disk. `duration_s` from its first to the end of its last sample."""

    path: Path
    duration_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RecordingFailed(Event):
    """Nothing can be written, such as on a full disk. Told once; recording is tried again until it works."""

    path: Path
    err: Exception


@dataclass(frozen=True, slots=True)
class TrackRefused(Event):
    """A track cannot be recorded in this container, or at all; the others go on."""

    track_id: str
    err: Exception
