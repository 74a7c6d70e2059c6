"""What a remote peer says about its tracks, kept until the tracks arrive. Bounded by count and bytes. Pure (13.3)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

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
        self, *, track_id: str | None, stream_id: str | None, kind: str, announced: Collection[str] = ()
    ) -> dict[str, Any] | None:
        """Return the metadata of a received track.

        By the id its description gives; else by stream and kind, unless what is left there is ambiguous. Entries
        of `announced` ids belong to other sections of the description and are no candidates for the second way.
        """
        if track_id is not None and track_id in self._entries:
            return self._entries[track_id][0].metadata
        if stream_id is None:
            return None
        found: list[dict[str, Any]] = []
        for entry, _ in self._entries.values():
            same = entry.stream_id == stream_id and entry.kind == kind and entry.track_id not in announced
            if same and entry.metadata is not None and entry.metadata not in found:
                found.append(entry.metadata)
        return found[0] if len(found) == 1 else None
