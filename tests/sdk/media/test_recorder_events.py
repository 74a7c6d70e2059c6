from __future__ import annotations

from pathlib import Path

from metered_realtime.events import Event
from metered_realtime.media.recorder_events import FileFinished, FileStarted, RecordingFailed, TrackRefused


def test_they_are_values_of_the_event_family() -> None:
    error = OSError("full")
    each = [
        FileStarted(Path("a")),
        FileFinished(Path("a"), 1.5, 7),
        RecordingFailed(Path("a"), error),
        TrackRefused("t", error),
    ]
    assert all(isinstance(event, Event) for event in each)
    assert FileFinished(Path("a"), 1.5, 7) == each[1]
