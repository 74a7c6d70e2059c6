"""A program as a camera (`source: exec:COMMAND`, `libcamera:`): it writes H.264 to its standard output and is ended
with all it started. Only the settings file can name one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Self

from edged.cameras.errors import CameraError
from edged.cameras.losses import Losses
from edged.cameras.session_pictures import UnitQueue
from edged.log import Redactor
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.annex_b_units import AnnexBUnits
from metered_realtime.media.h264_stream import H264Stream
from metered_realtime.media.rtsp import VideoDescription

_READ_BYTES = 256 * 1024
# A writer that waits for its next picture is quiet for longer, one in the middle of a picture hardly ever.
_PAUSE_S = 0.005
_END_S = 2.0
_MAX_SENTENCE = 200
_MISSING_S = 10.0


class CommandPictures:
    """An async context manager with the shape of an RTSP client; leaving it ends the program's process group.

    `command` is a line as a shell reads it, or its words.
    """

    def __init__(self, command: str | Sequence[str], *, timeout_s: float, road: str = "") -> None:
        self._words = shlex.split(command) if isinstance(command, str) else [*command]
        secret = (command,) if isinstance(command, str) else ()
        self._redact = Redactor((*secret, *(word for word in self._words if "://" in word)))
        self.road = road
        self._timeout_s = timeout_s
        self._queue = UnitQueue()
        self._stream = H264Stream()
        self._units = AnnexBUnits()
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._last_words = ""

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture."""
        return self._queue.video

    def losses(self) -> Losses:
        """Part of `CountsLosses`."""
        return Losses(pictures=self._queue.dropped_units + self._stream.overflows)

    def access_units(self) -> AsyncIterator[AccessUnit]:
        """Iterate over the pictures. Raises CameraError when the program ends or is silent."""
        return self._queue.units()

    async def __aenter__(self) -> Self:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                limit=_READ_BYTES,
            )
        except OSError as error:
            raise CameraError(
                f"its program {self._words[0]} cannot be started: {error.strerror}", retry_after_s=_MISSING_S
            ) from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._tasks = [
            asyncio.create_task(self._read(self._process.stdout), name=f"pictures of {self._words[0]}"),
            asyncio.create_task(self._listen(self._process.stderr), name=f"words of {self._words[0]}"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._process is not None:
            await self._end(self._process)

    async def _read(self, pipe: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        is_fresh = False
        while True:
            wait_s = _PAUSE_S if is_fresh else max(0.0, heard_s + self._timeout_s - loop.time())
            try:
                # Not asyncio.wait_for: before Python 3.12 it forgets a cancellation that comes together with data.
                async with asyncio.timeout(wait_s):
                    data = await pipe.read(_READ_BYTES)
            except TimeoutError:
                if not is_fresh:
                    self._queue.end(CameraError(self._sentence(f"sent no picture for {self._timeout_s:g} s")))
                    return
                is_fresh = False
                pictures = self._stream.pause()
            else:
                if not data:
                    await self._tell_the_end()
                    return
                is_fresh = True
                pictures = self._stream.push(data)
            if pictures:
                heard_s = loop.time()
            self._take(pictures)

    def _take(self, pictures: list[bytes]) -> None:
        now_s = asyncio.get_running_loop().time()
        for picture in pictures:
            if (unit := self._units.push(picture, now_s)) is not None:
                self._queue.push(unit)

    async def _tell_the_end(self) -> None:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_S)
        await asyncio.sleep(0)  # its last words may still be on the way
        code = self._process.returncode
        self._queue.end(CameraError(self._sentence(_how_it_ended(code))))

    async def _listen(self, pipe: asyncio.StreamReader) -> None:
        """Keep the last line it said: that is where programs tell what is wrong."""
        rest = b""
        while data := await pipe.read(4096):
            *lines, rest = (rest + data).splitlines(keepends=True)
            said = [line for line in (*lines, rest) if line.strip()]
            if said:
                text = self._redact(said[-1].decode("utf-8", "replace").strip())
                self._last_words = "".join(letter for letter in text if letter.isprintable())[:_MAX_SENTENCE]
            rest = b"" if rest.endswith(b"\n") else rest[-4096:]

    def _sentence(self, what: str) -> str:
        said = f": {self._last_words}" if self._last_words else ""
        return f"its program {self._words[0]} {what}{said}"

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Also what it started: all of them are in one process group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _END_S)
                if number == signal.SIGKILL:
                    return


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "closed its output"
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with status {code}" if code else "ended"
