"""One life of a camera of this machine for a live player, read in a thread of its own. Linux."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from metered_realtime.media.annex_b_units import AnnexBUnits
from metered_realtime.media.camera_list import first_camera
from metered_realtime.media.camera_pictures import PictureDecoder
from metered_realtime.media.source_errors import SourceFormatError, SourceTimeoutError
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.thread_work import in_thread
from metered_realtime.media.v4l2 import PictureFormat
from metered_realtime.media.v4l2_device import CapturedPicture, V4l2Device, V4l2System
from metered_realtime.media.v4l2_formats import H264, choose_mode, is_usable

# A camera that is there and gives no picture for this long is opened again.
STALL_S = 10.0
# Some drivers have dozens of formats: what is missing is told by a few.
_MAX_NAMES = 6
# How soon the thread sees that it is to end.
_POLL_S = 0.2


class CameraSource:
    """A session factory for `LivePlayer`. `device` None is the first camera there is at each attempt."""

    def __init__(
        self,
        device: str | None,
        *,
        width: int,
        height: int,
        fps: int,
        passthrough: bool,
        system: V4l2System | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = device
        self._width = width
        self._height = height
        self._fps = fps
        self._passthrough = passthrough
        self._system = system
        self._clock = clock
        self._makes_key_frames = False
        self._key_wanted = threading.Event()

    @property
    def name(self) -> str:
        """The camera, for people."""
        return "the camera" if self._device is None else f"the camera {self._device}"

    def request_key_frame(self) -> bool:
        """Make the camera's own encoder give a key frame next. False where there is none that does so."""
        if self._makes_key_frames:
            self._key_wanted.set()
        return self._makes_key_frames

    async def __call__(self, sink: SourceSink) -> None:
        """Play until it fails. Raises SourceError."""

        def capture(quit_: threading.Event) -> None:
            self._capture(sink, quit_)

        try:
            await in_thread(capture, name=self.name)
        finally:
            self._makes_key_frames = False

    def _capture(self, sink: SourceSink, quit_: threading.Event) -> None:
        path = self._device if self._device is not None else first_camera(system=self._system)
        with V4l2Device(path, self._system) as device:
            picture = self._set_up(device)
            take = self._passing_on(sink) if self._passthrough else self._decoding(picture, sink)
            device.start()
            self._makes_key_frames = self._passthrough and device.makes_key_frames
            seen_s = self._clock()
            while not quit_.is_set():
                captured = device.read(_POLL_S)
                if self._key_wanted.is_set():
                    self._key_wanted.clear()
                    self._makes_key_frames = self._makes_key_frames and device.force_key_frame()
                if captured is not None:
                    take(captured)
                    seen_s = self._clock()
                elif self._clock() - seen_s >= STALL_S:
                    raise SourceTimeoutError(f"the camera {path} gives no picture for {STALL_S:g} s")

    def _set_up(self, device: V4l2Device) -> PictureFormat:
        where = f"the camera {device.path}"
        who = device.capability()
        if who.captures_in_planes:
            raise SourceFormatError(f"{where} gives its pictures in separate planes, which cannot be read here")
        if not who.captures:
            raise SourceFormatError(f"{where} is no camera: {who.card or who.driver} gives no pictures to read")
        modes = device.modes(width=self._width, height=self._height)
        mode = choose_mode(modes, width=self._width, height=self._height, fps=self._fps, passthrough=self._passthrough)
        if mode is None:
            found = _some_names(list(dict.fromkeys(mode.fourcc for mode in modes)))
            wanted = "no H264 to be passed through" if self._passthrough else "no format that can be used here"
            raise SourceFormatError(f"{where} gives {wanted}, but {found}")
        picture = device.set_up(mode, fps=self._fps)
        if picture.fourcc != H264 if self._passthrough else not is_usable(picture.fourcc):
            raise SourceFormatError(f"{where} was asked for {mode.fourcc} and gives {picture.fourcc}")
        return picture

    def _decoding(self, picture: PictureFormat, sink: SourceSink) -> Callable[[CapturedPicture], None]:
        decoder = PictureDecoder(picture, self._clock)

        def take(captured: CapturedPicture) -> None:
            for frame in decoder.decode(captured):
                sink.frame_from_thread(frame)

        return take

    def _passing_on(self, sink: SourceSink) -> Callable[[CapturedPicture], None]:
        units = AnnexBUnits()

        def take(captured: CapturedPicture) -> None:
            at_s = captured.stamp_s if captured.stamp_s is not None else self._clock()
            if (unit := units.push(captured.data, at_s)) is not None:
                sink.unit_from_thread(unit)

        return take


def _some_names(names: list[str]) -> str:
    more = [f"{len(names) - _MAX_NAMES} more"] if len(names) > _MAX_NAMES else []
    return ", ".join([*names[:_MAX_NAMES], *more]) or "nothing"
