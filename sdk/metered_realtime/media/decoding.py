"""Access units and encoded sound to frames, for whoever wants them decoded. Blocking, and tolerant of damage."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit

_TIME_BASE = Fraction(1, CLOCK_RATE)


class VideoDecoder:
    """H.264 to pictures, one in, one out: no frame is held back to be decoded beside the next."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("h264", "r")
        self._codec.thread_type = "SLICE"
        self.damaged_units = 0

    def decode(self, unit: AccessUnit) -> list[Any]:
        """Return the pictures that `unit` completes; none for one that is damaged."""
        packet = av.Packet(unit.data)
        packet.pts = packet.dts = unit.pts_90k
        packet.time_base = _TIME_BASE
        try:
            return list(self._codec.decode(packet))
        except av.FFmpegError:
            self.damaged_units += 1
            return []


class AudioDecoder:
    """Encoded sound to frames of samples."""

    def __init__(self, audio: AudioFormat) -> None:
        codec: Any = av.CodecContext.create(audio.decoder, "r")
        codec.sample_rate = audio.sample_rate
        codec.layout = "mono" if audio.channels == 1 else "stereo" if audio.channels == 2 else f"{audio.channels}c"
        if audio.config:
            codec.extradata = audio.config
        self._codec = codec
        self._time_base = Fraction(1, audio.clock_rate)
        self._clock_rate = audio.clock_rate
        self._next_pts: Fraction | None = None
        self.damaged_units = 0

    def decode(self, unit: AudioUnit) -> list[Any]:
        """Return the frames in `unit`, none for one that is damaged."""
        try:
            frames = list(self._codec.decode(av.Packet(unit.data)))
        except av.FFmpegError:
            self.damaged_units += 1
            return []
        if unit.pts is not None or self._next_pts is None:
            self._next_pts = Fraction(unit.pts or 0)
        for frame in frames:
            frame.pts, frame.time_base = round(self._next_pts), self._time_base
            # The rate of the frame, not that of the SDP: HE-AAC gives twice as many samples as it says.
            self._next_pts += Fraction(frame.samples * self._clock_rate, frame.sample_rate)
        return frames
