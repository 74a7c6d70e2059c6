"""H.264 in the place of a camera's H.265, while somebody watches who does not take that: encoded here, or the second
picture of the camera, or the reason why there is neither."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from edged.cameras.errors import CameraError, UnshowableError
from edged.cameras.track import CameraTrack
from edged.settings import CameraSettings
from edged.supervise import keep_running
from metered_realtime.media.access_unit import AccessUnit

# So long another picture may take to come before viewers are told why there is none.
_PATIENCE_S = 1.0
_NOT_TAKEN = "it sends H.265, which this viewer does not take"
_TO_CHANGE = "choose H.264 (AVC) in the camera's settings"


class Substitute:
    """Works while `track` is read as H.264 and the camera sends H.265. `second`: the track of the second picture.

    `fault` says why those viewers are sent nothing, `road` what they are sent; `on_change` is told of every change.
    """

    def __init__(
        self,
        settings: CameraSettings,
        track: CameraTrack,
        *,
        on_change: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.second: CameraTrack | None = None
        self.fault = self.road = ""
        self._settings = settings
        self._track = track
        self._on_change = on_change
        self._sleep = sleep
        self._moved = asyncio.Event()
        self._ask_key_frame: Callable[[], None] | None = None
        self._is_encoding = self._awaits_key_frame = False

    def consider(self) -> None:
        """The camera sends another codec, or viewers of one codec came or went."""
        self._moved.set()

    def request_key_frame(self) -> bool:
        """A viewer needs one, soon. False where none will be made."""
        if self._ask_key_frame is not None and self._is_encoding:
            self._ask_key_frame()
            return True
        return False

    def interrupted(self) -> None:
        """The camera is away, and viewers were told to go on with a key frame, which nobody else would make."""
        self._awaits_key_frame = self._ask_key_frame is not None

    async def run(self) -> None:
        """Serve such viewers until cancelled."""
        while True:
            await self._until(wanted=True)
            name = f"camera {self._settings.name}, for viewers without H.265"
            try:
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(
                        keep_running(name, self._serve, report=self._take_report, sleep=self._sleep), name=name
                    )
                    await self._until(wanted=False)
                    serving.cancel()
            finally:
                if self._track.own_codec == "H265":
                    self._track.rebase("H264")  # the next who comes is shown no old picture
                self._tell()

    @property
    def _is_wanted(self) -> bool:
        return self._track.own_codec == "H265" and self._track.is_read("H264")

    async def _until(self, *, wanted: bool) -> None:
        while self._is_wanted is not wanted:
            self._moved.clear()
            await self._moved.wait()

    async def _serve(self, up: Callable[[str], None]) -> None:
        """Raises UnshowableError where there is nothing to send."""
        fault = f"{_NOT_TAKEN}: {_TO_CHANGE}, or set transcode: auto"
        if self._settings.transcode == "auto":
            try:
                await self._encode(up)
            except CameraError as error:
                fault = f"{_NOT_TAKEN}, and {error}"
            finally:
                self._ask_key_frame, self._is_encoding = None, False
        if self.second is not None:
            await self._show_second(self.second, fault, up)
        raise UnshowableError(fault)

    def _take_report(self, state: str, detail: str) -> None:
        if state == "live":
            self._tell(road=detail)
        elif state != "connecting":  # it is tried again; until it works the reason stands
            self._tell(fault=detail)

    async def _encode(self, up: Callable[[str], None]) -> None:
        """Raises CameraError where no encoder takes the pictures."""
        from edged.cameras.transcoding import transcode_h265  # noqa: PLC0415 - loads encoders with the first who needs one

        def encoded(unit: AccessUnit, encoder: str | None) -> None:
            if not self.road:
                up(f"encoded by {encoder} for viewers without H.265")
            self._push(unit)

        self._begin(is_encoding=True)
        await transcode_h265(self._track, self._settings, encoded, self._asked_by)

    def _begin(self, *, is_encoding: bool) -> None:
        self._track.rebase("H264")
        self._is_encoding, self._awaits_key_frame = is_encoding, False

    def _asked_by(self, ask: Callable[[], None]) -> None:
        self._ask_key_frame = ask

    def _push(self, unit: AccessUnit) -> None:
        """What was still under way when the camera went over to H.264 is no part of that."""
        if not self._is_wanted:
            return
        if self._awaits_key_frame and not unit.is_key and self._ask_key_frame is not None:
            self._ask_key_frame()
            return
        self._awaits_key_frame = False
        self._track.push(unit, "H264")

    async def _show_second(self, second: CameraTrack, fault: str, up: Callable[[str], None]) -> None:
        """Returns where that is H.265 as well."""
        self._begin(is_encoding=False)
        reader = second.open_codec("H264")
        self._asked_by(reader.request_key_frame)
        try:
            while second.own_codec == "H264":
                try:
                    # Not `wait_for`: in Python 3.11 it forgets a cancellation that meets the packet.
                    async with asyncio.timeout(_PATIENCE_S):
                        packet = await reader.recv()
                except TimeoutError:
                    self._tell(fault=fault)
                    continue
                if not self.road:
                    up("the second picture for viewers without H.265")
                self._push(AccessUnit(bytes(packet), packet.pts, bool(packet.is_keyframe), reader.taken_s))
        finally:
            self._ask_key_frame = None
            reader.stop()

    def _tell(self, *, fault: str = "", road: str = "") -> None:
        if (fault, road) != (self.fault, self.road):
            self.fault, self.road = fault, road
            self._on_change()
