"""Sound of any format as one unbroken stream of encoded pieces on the common clock. Blocks; used in a thread."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.recorder_clock import ArrivalClock
from metered_realtime.media.recorder_formats import AUDIO_RATE, StreamFormat
from metered_realtime.media.recorder_samples import Sample
from metered_realtime.media.timeline import to_ticks

# Sound that is this much early or late is moved: less is the unrest of arrival, and more can be heard.
MAX_SHIFT = AUDIO_RATE * 60 // 1000
# A longer silence than this is left out of the file: its place in time is kept by timestamps alone.
MAX_SILENCE = AUDIO_RATE * 10
_BYTES_PER_SAMPLE = 4  # stereo, 16 bit
_TIME_BASE = Fraction(1, AUDIO_RATE)


class SoundEncoder:
    """Encodes one slot's sound with FFmpeg's encoder `codec`; gaps become silence, so that players keep time."""

    def __init__(self, slot: int, codec: str, bitrate_bps: int) -> None:
        self._slot = slot
        self._format = StreamFormat("audio", codec)
        self._clock = ArrivalClock(AUDIO_RATE)
        encoder: Any = av.CodecContext.create(codec, "w")
        encoder.sample_rate, encoder.layout = AUDIO_RATE, "stereo"
        encoder.format = "fltp" if codec == "aac" else "s16"
        encoder.bit_rate, encoder.time_base = bitrate_bps, _TIME_BASE
        encoder.open()
        self._encoder = encoder
        self._piece_samples = int(encoder.frame_size)
        self._to_pcm = av.AudioResampler(format="s16", layout="stereo", rate=AUDIO_RATE)
        self._to_encoder = av.AudioResampler(format=encoder.format.name, layout="stereo", rate=AUDIO_RATE)
        self._shape: tuple[Any, ...] | None = None
        self._pcm = bytearray()
        self._next: int | None = None

    def restart(self) -> None:
        """Another track feeds this slot from now on."""
        self._clock.restart()

    def take(self, frame: av.AudioFrame, arrived_s: float) -> list[Sample]:
        """Return what is ready after another piece of sound."""
        ticks = None
        if frame.pts is not None and frame.time_base:
            ticks = to_ticks(frame.pts, frame.time_base.numerator, frame.time_base.denominator, AUDIO_RATE)
        placed = self._clock.place(ticks, arrived_s)
        if self._next is None:
            self._next = placed
        samples = self._move_to(placed)
        if self._end - placed <= MAX_SHIFT:  # else it would be heard twice
            self._pcm += self._as_pcm(frame)
        return samples + self._encode_pieces()

    @property
    def _end(self) -> int:
        """The end of the sound we have."""
        return (self._next or 0) + len(self._pcm) // _BYTES_PER_SAMPLE

    def _move_to(self, placed: int) -> list[Sample]:
        """Fill the time up to `placed` where nothing came."""
        gap = placed - self._end
        if gap <= MAX_SHIFT:
            return []
        if gap <= MAX_SILENCE:
            self._pcm += bytes(gap * _BYTES_PER_SAMPLE)
            return []
        samples = self._encode_pieces()
        self._pcm.clear()
        self._next = placed
        return samples

    def _as_pcm(self, frame: av.AudioFrame) -> bytes:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape == ("s16", "stereo", AUDIO_RATE):
            return bytes(frame.planes[0])[: frame.samples * _BYTES_PER_SAMPLE]
        if self._shape not in (None, shape):
            self._to_pcm = av.AudioResampler(format="s16", layout="stereo", rate=AUDIO_RATE)
        self._shape = shape
        converted = self._to_pcm.resample(frame)
        return b"".join(bytes(each.planes[0])[: each.samples * _BYTES_PER_SAMPLE] for each in converted)

    def _encode_pieces(self) -> list[Sample]:
        piece_bytes = self._piece_samples * _BYTES_PER_SAMPLE
        samples = []
        while len(self._pcm) >= piece_bytes and self._next is not None:
            frame = av.AudioFrame(format="s16", layout="stereo", samples=self._piece_samples)
            frame.sample_rate = AUDIO_RATE
            frame.planes[0].update(bytes(self._pcm[:piece_bytes]))
            del self._pcm[:piece_bytes]
            frame.pts, frame.time_base = self._next, _TIME_BASE
            self._next += self._piece_samples
            for converted in self._to_encoder.resample(frame):
                samples += [self._sample(packet) for packet in self._encoder.encode(converted)]
        return samples

    def _sample(self, packet: Any) -> Sample:
        return Sample(
            slot=self._slot,
            data=bytes(packet),
            ticks=packet.pts,
            rate=AUDIO_RATE,
            duration_ticks=packet.duration or self._piece_samples,
            is_key=True,
            format=self._format,
        )
