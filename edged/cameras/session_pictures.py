"""A session of the SDK's inputs - a local camera, a file, whatever FFmpeg reads - as pictures of a camera: handed on as
they are, or encoded once for all viewers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import av

from edged.cameras.errors import CameraError
from edged.cameras.losses import Losses
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.fanout import ReaderQueue
from metered_realtime.media.h264 import NAL_SPS, nal_type, split_annex_b
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_sps import parse_sps
from metered_realtime.media.rtsp import VideoDescription
from metered_realtime.media.source_errors import SourceError, SourceLostError
from metered_realtime.media.source_sink import SourceClock, SourceSink
from metered_realtime.media.video_settings import EncoderSettings
from metered_realtime.media.video_thread import EncoderCounts, VideoEncoderThread

Session = Callable[[SourceSink], Awaitable[None]]
# After so many pictures that could not be encoded, and none that could, there is no encoder.
GIVE_UP_AFTER = 5
_CHANGE_SETTING_S = 60.0


class UnitQueue:
    """Pictures on their way to one camera: bounded, and ended by an error."""

    def __init__(self) -> None:
        self.video = VideoDescription("H264")
        self._units: ReaderQueue[AccessUnit] = ReaderQueue()
        self._arrived = asyncio.Event()
        self._error: Exception | None = None

    @property
    def dropped_units(self) -> int:
        """Pictures that were not taken in time."""
        return self._units.dropped_units

    def push(self, unit: AccessUnit) -> None:
        """Take a picture; a camera that does not keep up loses the rest of the group."""
        if unit.is_key:
            self.video = described(unit) or self.video
        if self._units.push(unit):
            self._arrived.set()

    def end(self, error: Exception) -> None:
        """Nothing more will come."""
        if self._error is None:
            self._error = error
        self._arrived.set()

    async def units(self) -> AsyncIterator[AccessUnit]:
        """Iterate until the end, then raise its error."""
        while True:
            while (unit := self._units.pop()) is None:
                if self._error is not None:
                    raise self._error
                self._arrived.clear()
                await self._arrived.wait()
            yield unit


def described(unit: AccessUnit) -> VideoDescription | None:
    """Describe a key picture by the parameter set it carries; None where that cannot be read."""
    for nal in split_annex_b(unit.data):
        if nal_type(nal) == NAL_SPS:
            try:
                sps = parse_sps(nal)
            except H264Error:
                return None
            return VideoDescription.of(sps, has_b_frames=sps.has_b_frames)
    return None


class SessionPictures:
    """An async context manager with the shape of an RTSP client.

    With `encoder` the session gives frames, which are encoded here; without, access units. `restamp`: the frames'
    own times are of no use, as those of B-frames. `request_key_frame` asks the source, which says whether it will.
    """

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        encoder: EncoderSettings | None = None,
        restamp: bool = False,
        request_key_frame: Callable[[], bool] | None = None,
    ) -> None:
        self._session = session
        self._name = name
        self._encoder = encoder
        self._restamp = restamp
        self._ask_source = request_key_frame
        self._queue = UnitQueue()
        self._counts = EncoderCounts()
        self._thread: VideoEncoderThread | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture."""
        return self._queue.video

    @property
    def road(self) -> str:
        """Which encoder is at work."""
        return f"encoded by {self._counts.encoder}" if self._counts.encoder else ""

    def request_key_frame(self) -> bool:
        """Part of `MakesKeyFrames`: of our encoder, or of the one in the camera where it can be asked."""
        if self._thread is not None:
            self._thread.request_key_frame()
            return True
        return self._ask_source is not None and self._ask_source()

    def losses(self) -> Losses:
        """Part of `CountsLosses`."""
        return Losses(pictures=self._queue.dropped_units + self._counts.dropped + self._counts.failed)

    def access_units(self) -> AsyncIterator[AccessUnit]:
        """Iterate over the pictures. Raises SourceError or CameraError when they end."""
        return self._queue.units()

    async def __aenter__(self) -> Self:
        if self._encoder is not None:
            self._thread = VideoEncoderThread(
                self._encoder, loop=asyncio.get_running_loop(), deliver=self._deliver, counts=self._counts
            )
            self._thread.start()
        self._task = asyncio.create_task(self._run(), name=f"source {self._name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._thread is not None:
            self._thread.stop()

    async def _run(self) -> None:
        sink = _CameraSink(unit=self._queue.push, frame=self._encode)
        try:
            await self._session(sink)
            self._queue.end(SourceLostError(f"{self._name} ended"))
        except SourceError as error:
            self._queue.end(error)
        finally:
            sink.close()

    def _encode(self, frame: Any) -> None:
        if self._thread is None or not isinstance(frame, av.VideoFrame):
            return
        if self._restamp:
            frame.pts = None
        self._thread.offer(frame)
        if self._counts.failed >= GIVE_UP_AFTER and not self._counts.encoded:
            self._queue.end(
                CameraError(
                    f"{self._name} gives pictures that have to be encoded, and no H.264 encoder takes them: "
                    "see the log, or choose another encoder",
                    retry_after_s=_CHANGE_SETTING_S,
                )
            )

    def _deliver(self, units: list[AccessUnit]) -> None:
        for unit in units:
            self._queue.push(unit)


class _CameraSink(SourceSink):
    """Where a session puts its pictures; sound is not asked for."""

    def __init__(self, *, unit: Callable[[AccessUnit], None], frame: Callable[[Any], None]) -> None:
        super().__init__(audio=None, video=None, clock=SourceClock(), arrived=_nobody)
        self._take_unit = unit
        self._take_frame = frame
        self._is_over = False

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("video",)

    def unit(self, unit: AccessUnit) -> None:
        if not self._is_over:
            self._take_unit(unit)

    def frame(self, frame: Any) -> None:
        if not self._is_over:
            self._take_frame(frame)

    def frame_from_thread(self, frame: Any) -> None:
        self.frame(frame)

    def close(self) -> None:
        self._is_over = True
        super().close()


def _nobody() -> None:
    """The camera sees its first picture by itself."""
