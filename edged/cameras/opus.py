"""Sound that browsers do not play (AAC), or another than the settings promise, encoded as Opus. Loaded when needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.decoding import AudioDecoder
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit
from metered_realtime.media.timeline import to_ticks

_RATE = 48_000
_SAMPLES = 960
_BITS_PER_S = 48_000
# A camera's stamps are rounded, some to milliseconds; more than that is a pause, a loss or a clock that was set.
_GAP = _RATE // 10
# Sound that comes faster than it is played: after a stall it is old, and to encode it would hold up all pictures.
_MAX_AHEAD_S = 2.0


class OpusConverter:
    """Decodes and encodes one track as it comes, some tenths of a millisecond for 20 ms of sound.

    What comes out goes on by 20 ms; a gap in what comes in is one in what comes out.
    """

    def __init__(
        self, audio: AudioFormat, take: Callable[[AudioUnit], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.dropped_units = 0
        self._take = take
        self._clock = clock
        self._ahead_s, self._pushed_s = 0.0, clock()
        self._decoder = AudioDecoder(audio)
        self._resampler: Any = None
        self._shape: tuple[str, str, int] | None = None
        encoder: Any = av.CodecContext.create("libopus", "w")
        encoder.sample_rate, encoder.layout, encoder.format = _RATE, "stereo", "s16"
        encoder.time_base = Fraction(1, _RATE)
        encoder.bit_rate = _BITS_PER_S
        encoder.options = {"application": "lowdelay"}
        self._encoder = encoder
        self._offset: int | None = None
        self._decoded = self._encoded = 0
        self._first_taken_s: float | None = None

    def push(self, unit: AudioUnit) -> None:
        """Take a packet of the camera, and hand on what of Opus is ready; nothing of what is damaged."""
        now_s = self._clock()
        self._ahead_s = max(0.0, self._ahead_s - (now_s - self._pushed_s))
        self._pushed_s = now_s
        if self._ahead_s > _MAX_AHEAD_S:
            self.dropped_units += 1
            return
        try:
            self._convert(unit)
        except av.FFmpegError:  # no fault of the sound is one of the connection, which brings the picture, too
            self.dropped_units += 1

    def _convert(self, unit: AudioUnit) -> None:
        if unit.taken_s is not None:
            self._first_taken_s = unit.taken_s - self._decoded / _RATE
        for frame in self._decoder.decode(unit):
            ticks = to_ticks(frame.pts, frame.time_base.numerator, frame.time_base.denominator, _RATE)
            if self._offset is None or abs(ticks - self._offset - self._decoded) > _GAP:
                self._offset = ticks - self._decoded
            self._decoded += round(frame.samples * _RATE / frame.sample_rate)
            self._ahead_s += frame.samples / frame.sample_rate
            for piece in self._resampled(frame):
                self._encode(piece)

    def _resampled(self, frame: Any) -> list[Any]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:  # HE-AAC tells its real rate only once it is decoded
            self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=_RATE, frame_size=_SAMPLES)
            self._shape = shape
        frame.pts = None
        return list(self._resampler.resample(frame))

    def _encode(self, piece: Any) -> None:
        piece.pts, piece.time_base = self._encoded, Fraction(1, _RATE)
        for packet in self._encoder.encode(piece):
            first_s = self._first_taken_s
            taken_s = None if first_s is None else first_s + self._encoded / _RATE
            self._take(AudioUnit(bytes(packet), (self._offset or 0) + self._encoded, taken_s))
        self._encoded += piece.samples
