"""What a remote peer says about its tracks, kept until the tracks arrive. Bounded by count and bytes. Pure (13.3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from metered_realtime.description import Section
from metered_realtime.frames import TrackMetadata
from metered_realtime.json_text import json_size

MAX_ENTRIES = 512
MAX_BYTES = 512 * 1024


class TrackMetadataCache:
    """The newest word about each of a peer's track ids; the oldest entries go when there is too much."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[TrackMetadata, int]] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, message: TrackMetadata) -> None:
        """Set or clear what is known about one track."""
        _, size_bytes = self._entries.pop(message.track_id, (None, 0))
        self._size_bytes -= size_bytes
        if message.metadata is None:
            return
        size_bytes = len(message.track_id) + json_size(message.metadata)
        if size_bytes > MAX_BYTES:
            return
        self._entries[message.track_id] = (message, size_bytes)
        self._size_bytes += size_bytes
        while len(self._entries) > MAX_ENTRIES or self._size_bytes > MAX_BYTES:
            _, oldest_bytes = self._entries.pop(next(iter(self._entries)))
            self._size_bytes -= oldest_bytes

    def find(
        self, *, track_id: str | None, stream_id: str | None, kind: str, sections: Collection[Section] = ()
    ) -> dict[str, Any] | None:
        """Return the metadata of a track received with a description of these sections, unless it is ambiguous.

        By the id its description gives. Else by stream and kind: those of the message, or of a section that no
        longer sends and still names the track (Chromium sends a track again in a new section, under a made-up id).
        Else, where as many messages name no section as there are sections without a message, what they agree on.
        """
        if track_id is not None and track_id in self._entries:
            return self._entries[track_id][0].metadata
        placed, loose = self._unclaimed(sections)
        if (stream_id, kind) in placed:
            return _agreed(placed[stream_id, kind])
        waiting = [
            section
            for section in sections
            if section.is_sending
            and section.track_id not in self._entries
            and (section.stream_id, section.kind) not in placed
        ]
        return _agreed(loose) if len(loose) == len(waiting) else None

    def _unclaimed(
        self, sections: Collection[Section]
    ) -> tuple[dict[tuple[str | None, str | None], list[TrackMetadata]], list[TrackMetadata]]:
        """Return the entries that no sending section names: those with a stream and kind by these, and the others."""
        claimed = {section.track_id for section in sections if section.is_sending}
        idle = {section.track_id: (section.stream_id, section.kind) for section in sections if not section.is_sending}
        placed: dict[tuple[str | None, str | None], list[TrackMetadata]] = {}
        loose: list[TrackMetadata] = []
        for entry, _ in self._entries.values():
            if entry.track_id in claimed:
                continue
            place = (entry.stream_id, entry.kind) if entry.stream_id is not None else idle.get(entry.track_id)
            if place is None:
                loose.append(entry)
            else:
                placed.setdefault(place, []).append(entry)
        return placed, loose


def _agreed(entries: Collection[TrackMetadata]) -> dict[str, Any] | None:
    """Return what all of these say, or None where they differ or there are none."""
    first, *others = [entry.metadata for entry in entries] or [None]
    return first if all(other == first for other in others) else None
