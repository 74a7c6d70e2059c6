"""Pictures of one slot on the common clock: raw ones encoded, encoded ones as they came. Blocks; used in a thread."""

from __future__ import annotations

from typing import Any

import av

from metered_realtime.media.access_unit import CLOCK_RATE
from metered_realtime.media.recorder_clock import ArrivalClock
from metered_realtime.media.recorder_formats import StreamFormat, format_of_key
from metered_realtime.media.recorder_samples import Sample
from metered_realtime.media.timeline import to_ticks
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings, VideoCodec

_USUAL_DURATION = CLOCK_RATE // 30
_MAX_DURATION = CLOCK_RATE * 10


class PictureIntake:
    """Takes frames and packets of one slot in any mixture; each change between them begins with a key frame."""

    def __init__(self, slot: int, settings: EncoderSettings) -> None:
        self._slot = slot
        self._settings = settings
        self._clock = ArrivalClock(CLOCK_RATE)
        self._encoder = VideoEncoder(settings)
        self._force_key = False
        self._format: StreamFormat | None = None
        self._last: int | None = None
        self._duration = _USUAL_DURATION
        self._was_encoded_here = False

    def restart(self) -> None:
        """Another track feeds this slot from now on."""
        self._clock.restart()
        self._format = None

    def force_key_frame(self) -> None:
        """Make the next picture a key frame, if it is encoded here."""
        self._force_key = True

    def take(self, item: Any, arrived_s: float, codec: VideoCodec) -> list[Sample]:
        """Return what is ready after another picture; `codec` is that of a packet.

        Raises av.FFmpegError or ValueError for a picture that cannot be encoded.
        """
        ticks = None
        if item.pts is not None and item.time_base:
            ticks = to_ticks(item.pts, item.time_base.numerator, item.time_base.denominator, CLOCK_RATE)
        placed = self._clock.place(ticks, arrived_s)
        if isinstance(item, av.VideoFrame):
            return self._encoded(item, placed)
        if self._was_encoded_here:
            self._was_encoded_here, self._format = False, None
            self._encoder.close()
        data = bytes(item)
        return self._samples(data, placed, bool(item.is_keyframe), codec)

    def _encoded(self, frame: av.VideoFrame, placed: int) -> list[Sample]:
        force_key = self._force_key or not self._was_encoded_here or self._format is None
        units = self._encoder.encode(frame, placed, force_key=force_key)
        self._force_key, self._was_encoded_here = False, True
        codec = self._settings.codec
        return [each for unit in units for each in self._samples(unit.data, unit.pts_90k, unit.is_key, codec)]

    def _samples(self, data: bytes, ticks: int, is_key: bool, codec: VideoCodec) -> list[Sample]:
        if is_key:
            self._format = format_of_key(data, codec) or self._format
        if self._format is None:
            return []  # nothing can be decoded before the first key frame
        if self._last is not None and 0 < ticks - self._last < _MAX_DURATION:
            self._duration = ticks - self._last
        self._last = ticks
        return [Sample(self._slot, data, ticks, CLOCK_RATE, self._duration, is_key, self._format)]

    def close(self) -> None:
        """Free the encoder."""
        self._encoder.close()
