"""Access units and encoded sound to frames, for whoever wants them decoded. Blocking, and tolerant of damage."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import av

from metered_realtime.media.access_unit import CLOCK_RATE, AccessUnit
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit
from metered_realtime.media.taken import mark_taken

_TIME_BASE = Fraction(1, CLOCK_RATE)


class VideoDecoder:
    """Encoded pictures to frames, one in, one out: no frame is held back to be decoded beside the next.

    `codec`: FFmpeg's name for what comes, "h264" or "hevc".
    """

    def __init__(self, codec: Literal["h264", "hevc"] = "h264") -> None:
        self._codec: Any = av.CodecContext.create(codec, "r")
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
        self._ahead_s: float | None = None
        self.damaged_units = 0

    def decode(self, unit: AudioUnit) -> list[Any]:
        """Return the frames in `unit`, each marked with when it was taken; none for one that is damaged."""
        try:
            frames = list(self._codec.decode(av.Packet(unit.data)))
        except av.FFmpegError:
            self.damaged_units += 1
            return []
        if unit.pts is not None or self._next_pts is None:
            self._next_pts = Fraction(unit.pts or 0)
            self._ahead_s = None if unit.taken_s is None else unit.taken_s - float(self._next_pts / self._clock_rate)
        for frame in frames:
            frame.pts, frame.time_base = round(self._next_pts), self._time_base
            if self._ahead_s is not None:  # of a packet's frames only the first was told; the others follow it
                mark_taken(frame, self._ahead_s + float(self._next_pts / self._clock_rate))
            # The rate of the frame, not that of the SDP: HE-AAC gives twice as many samples as it says.
            self._next_pts += Fraction(frame.samples * self._clock_rate, frame.sample_rate)
        return frames
