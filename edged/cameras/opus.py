"""Sound that browsers do not play (AAC), or another than the settings promise, encoded as Opus. Loaded when needed."""

from __future__ import annotations

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


class OpusConverter:
    """Decodes and encodes one track as it comes, some tenths of a millisecond for 20 ms of sound.

    A pause or a jump of the camera's clock is left to whoever sends: what comes out goes on by 20 ms.
    """

    def __init__(self, audio: AudioFormat, take: Callable[[AudioUnit], None]) -> None:
        self._take = take
        self._decoder = AudioDecoder(audio)
        self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=_RATE, frame_size=_SAMPLES)
        encoder: Any = av.CodecContext.create("libopus", "w")
        encoder.sample_rate, encoder.layout, encoder.format = _RATE, "stereo", "s16"
        encoder.time_base = Fraction(1, _RATE)
        encoder.bit_rate = _BITS_PER_S
        encoder.options = {"application": "lowdelay"}
        self._encoder = encoder
        self._offset: int | None = None
        self._samples = 0

    def push(self, unit: AudioUnit) -> None:
        """Take a packet of the camera, and hand on what of Opus is ready."""
        for frame in self._decoder.decode(unit):
            if self._offset is None:
                self._offset = to_ticks(frame.pts, frame.time_base.numerator, frame.time_base.denominator, _RATE)
            frame.pts = None
            for piece in self._resampler.resample(frame):
                piece.pts, piece.time_base = self._samples, Fraction(1, _RATE)
                for packet in self._encoder.encode(piece):
                    self._take(AudioUnit(bytes(packet), self._offset + self._samples))
                self._samples += piece.samples
