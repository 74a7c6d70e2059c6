"""The media that the other side of one connection sends, by section, as tracks that begin and end with its offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from metered_realtime import aiortc_adapter, aiortc_stats
from metered_realtime.description import Section, SessionFacts
from metered_realtime.media.received import ReceivedTrack
from metered_realtime.media.received_gate import DecoderGate

_WITHOUT_RECEIVING = {"sendrecv": "sendonly", "recvonly": "inactive"}


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedMedia:
    """A track of the other side and the ids it was announced with (`a=msid`)."""

    mid: str
    track: ReceivedTrack
    stream_id: str | None
    track_id: str | None


@dataclass(frozen=True, slots=True)
class MediaChange:
    """What a description added and removed. `sections`: all that the other side's description has."""

    added: tuple[ReceivedMedia, ...] = ()
    removed: tuple[ReceivedMedia, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(slots=True)
class Receivers:
    """The sections of one connection that bring media. `on_ended` is called when a track ends between descriptions.

    With `is_open` False nothing is received: our descriptions say so, and the other side does not send.
    """

    on_ended: Callable[[ReceivedMedia], None]
    is_open: bool = True
    _media: dict[str, ReceivedMedia] = field(default_factory=dict)
    _decoders: dict[str, _Decoder] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ReceivedMedia]:
        return iter(tuple(self._media.values()))

    def connect(self, mid: str, receiver: Any) -> None:
        """aiortc opened a receiver for this section: catch what it decodes."""
        aiortc_stats.count_received(receiver)
        if mid not in self._decoders:
            gate = DecoderGate(receiver.track.kind, want_key_frame=lambda: aiortc_adapter.request_key_frame(receiver))
            decoder = self._decoders[mid] = _Decoder(gate)
            aiortc_adapter.receive_into(receiver, decoder.put, gate)

    def set_directions(self, transceivers: Iterable[Any]) -> None:
        """Where nothing is to be received, let no section of ours say otherwise."""
        if self.is_open:
            return
        for transceiver in transceivers:
            transceiver.direction = _WITHOUT_RECEIVING.get(transceiver.direction, transceiver.direction)

    def settle(self, theirs: SessionFacts) -> MediaChange:
        """Bring the tracks in line with the description the other side just gave."""
        sending = {section.mid: section for section in theirs.sections if section.is_sending and self.is_open}
        removed = [
            media
            for mid, media in self._media.items()
            if mid not in sending
            or (sending[mid].stream_id, sending[mid].track_id) != (media.stream_id, media.track_id)
        ]
        for media in removed:
            self._end(media)
        added = []
        for mid, section in sending.items():
            if mid in self._media or mid not in self._decoders:
                continue
            track = ReceivedTrack(section.kind, section.track_id or f"mid-{mid}", gate=self._decoders[mid].gate)
            media = ReceivedMedia(mid, track, section.stream_id, section.track_id)
            self._media[mid] = media
            self._decoders[mid].target = track
            track.once("ended", lambda ended=media: self._track_ended(ended))
            added.append(media)
        return MediaChange(tuple(added), tuple(removed), theirs.sections)

    def _track_ended(self, media: ReceivedMedia) -> None:
        if self._media.get(media.mid) is media:
            self._end(media)
            self.on_ended(media)

    def _end(self, media: ReceivedMedia) -> None:
        del self._media[media.mid]
        self._decoders[media.mid].target = None
        media.track.stop()

    def stop(self) -> None:
        """End every track, without further word."""
        for media in list(self._media.values()):
            self._end(media)


class _Decoder:
    """Where aiortc's decoder of one section delivers: the present track, or nowhere."""

    def __init__(self, gate: DecoderGate) -> None:
        self.gate = gate
        self.target: ReceivedTrack | None = None

    def put(self, frame: Any) -> None:
        if self.target is not None:
            self.target.put(frame)
