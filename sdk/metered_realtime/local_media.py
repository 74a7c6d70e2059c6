"""What we send: the tracks the application added, for every present and future peer. One table, one owner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from metered_realtime.errors import MeteredPeerStateError
from metered_realtime.frames import TrackMetadata
from metered_realtime.streams import MediaStream, StreamMetadata, check_track


@dataclass(frozen=True, slots=True, eq=False)
class LocalTrack:
    """One track as it is sent. `track` is the application's, `source` opens a reader of it per peer; `mime_type` is the
    only codec it can be sent as, but for those in `also_as`."""

    track: Any
    track_id: str
    kind: str
    source: Any
    mime_type: str | None = None
    also_as: tuple[str, ...] = ()
    stream: MediaStream | None = None
    metadata: StreamMetadata | None = None

    @property
    def stream_id(self) -> str | None:
        """The id receivers group the track under; None: one of the connection's own."""
        return self.stream.id if self.stream is not None else None

    @property
    def announcement(self) -> TrackMetadata | None:
        """The message that tells a peer about the track, if there is something to tell."""
        if self.metadata is None:
            return None
        return TrackMetadata(self.track_id, self.metadata, self.kind, self.stream_id)

    @property
    def withdrawal(self) -> TrackMetadata | None:
        """The message that takes the announcement back."""
        return TrackMetadata(self.track_id, None) if self.metadata is not None else None


class LocalMedia:
    """The table from the application's track objects to how they are sent."""

    def __init__(self) -> None:
        self._tracks: dict[Any, LocalTrack] = {}
        self._relays: list[Any] = []

    def __iter__(self) -> Iterator[LocalTrack]:
        return iter(tuple(self._tracks.values()))

    def get(self, track: Any) -> LocalTrack | None:
        """Return how `track` is sent, or None."""
        return self._tracks.get(track)

    def describe(self, track: Any, stream: MediaStream | None, metadata: StreamMetadata | None) -> LocalTrack:
        """Return how `track` would be sent, without adding it. Raises TypeError for what is not a track."""
        check_track(track)
        opens_readers = callable(getattr(track, "open_reader", None))
        return LocalTrack(
            track=track,
            track_id=track.id,
            kind=track.kind,
            source=track if opens_readers else None,
            mime_type=getattr(track, "mime_type", None) if opens_readers else None,
            also_as=tuple(getattr(track, "also_as", ())) if opens_readers else (),
            stream=stream,
            metadata=metadata,
        )

    def add(self, track: Any, described: LocalTrack) -> LocalTrack | None:
        """Send `track`; returns how, or None if it is sent already under the same stream.

        Raises MeteredPeerStateError where it belongs to another stream.
        """
        existing = self._tracks.get(track)
        if existing is None:
            added = self._tracks[track] = self._with_source(track, described)
            return added
        if existing.stream is described.stream:
            return None
        where = f"stream {existing.stream.id!r}" if existing.stream is not None else "no stream"
        raise MeteredPeerStateError(
            "track_already_attached",
            "add_track",
            f"add_track: the track is already sent in {where}; remove it first, or make a track of its own",
        )

    def remove(self, track: Any) -> LocalTrack | None:
        """Stop sending `track`; returns how it was sent."""
        return self._tracks.pop(track, None)

    def replace(self, old: Any, new: Any) -> LocalTrack:
        """Send `new` in the place of `old`, in the same stream and with the same metadata.

        Raises TypeError for what is no track of that kind, MeteredPeerStateError where it is sent already.
        """
        before = self._tracks[old]
        described = self.describe(new, before.stream, before.metadata)
        if described.kind != before.kind:
            raise TypeError(f"replace_track: the new track must be {before.kind} as the old one is")
        if new in self._tracks:
            sentence = "replace_track: the new track is sent already"
            raise MeteredPeerStateError("track_already_attached", "replace_track", sentence)
        after = self._with_source(new, described)
        self._tracks = {
            (new if track is old else track): (after if track is old else sent) for track, sent in self._tracks.items()
        }
        return after

    def _with_source(self, track: Any, described: LocalTrack) -> LocalTrack:
        if described.source is not None:
            return described
        from metered_realtime.media.relay import relay_of  # noqa: PLC0415 - loads aiortc

        relay = relay_of(track)
        self._relays = [known for known in self._relays if known.track in self._tracks or not known.is_idle]
        if relay not in self._relays:
            self._relays.append(relay)
        return replace(described, source=relay, mime_type=relay.mime_type)

    async def aclose(self) -> None:
        """Forget every track, once no peer reads it; a recorder or another member may read on."""
        self._tracks.clear()
        relays, self._relays = self._relays, []
        for relay in relays:
            await relay.settle()
