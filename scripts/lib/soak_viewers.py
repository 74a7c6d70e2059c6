"""The viewers of the soak: each a process of its own, forked from one that has everything loaded already.

Commands come as JSON lines on stdin: {"number", "url", "key", "channel", "wish", "width", "stay_s", "end"}. A viewer
stays so long after its first picture, and says what it saw just before its end, which is proper ("leave"), SIGKILL
("kill"), or SIGSTOP ("freeze"): it is still there and says nothing, until it is killed `FROZEN_S` later. When one is
gone: {"event": "gone", "number"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError

from metered_realtime import MeteredPeer, PeerJoined, StreamAdded
from metered_realtime.media.h264 import NAL_SPS, nal_type, split_annex_b
from metered_realtime.media.h264_sps import parse_sps
from metered_realtime.media.received import ReceivedTrack
from scripts.lib.soak_judge import lost_between

FROZEN_S = 30.0
REAP_INTERVAL_S = 0.5
# The wish has to reach the gateway, and what is on its way comes after it.
LATE_S = 5.0
# Who waits longer for a picture goes without.
PATIENCE_S = 10.0
PR_SET_PDEATHSIG = 1


def say(event: str, **fields: Any) -> None:
    """Write one line at once: many processes share this pipe."""
    os.write(1, json.dumps({"event": event, **fields}).encode() + b"\n")


@dataclass(slots=True)
class Seen:
    """What one viewer saw. `width` is of the last key picture; `lost` counts pictures of the wished quality only."""

    pictures: int = 0
    lost: int = 0
    width: int = 0
    first_s: float | None = None
    wished_s: float | None = None
    last_s: float = 0.0
    _last_90k: int | None = field(default=None, repr=False)

    def take(self, data: bytes, pts_90k: int, *, is_key: bool) -> None:
        now_s = time.monotonic()
        self.first_s = self.first_s or now_s
        self.last_s = now_s
        self.pictures += 1
        if is_key and (width := width_of(data)) != self.width:
            self.width, self._last_90k = width, None  # another quality: another clock
        self.lost += lost_between(self._last_90k, pts_90k)
        self._last_90k = pts_90k


def width_of(data: bytes) -> int:
    """Return the width that a key picture says it has."""
    return next((parse_sps(nal).width for nal in split_annex_b(data) if nal_type(nal) == NAL_SPS), 0)


class Viewer:
    """One member of the channel that looks at one camera."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._seen = Seen()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._joined_s = 0.0

    async def run(self) -> None:
        order = self._order
        peer = MeteredPeer(api_key=order["key"], url=order["url"])

        def joined(event: PeerJoined) -> None:
            event.peer.on(StreamAdded, self._start)

        peer.on(PeerJoined, joined)
        async with peer.joined(order["channel"], media="receive"):
            self._joined_s = time.monotonic()
            await self._until(lambda: self._seen.pictures > 0)
            await asyncio.sleep(order["stay_s"] / 4)
            if order["wish"] != "main":
                await peer.send({"type": "edged/watch", "cameras": {"*": order["wish"]}})
                self._seen.wished_s = time.monotonic()
            if order["wish"] != "none":
                await self._until(lambda: self._seen.width == order["width"])
            await asyncio.sleep(order["stay_s"] * 3 / 4)
            self._tell()
            if order["end"] != "leave":
                os.kill(os.getpid(), signal.SIGSTOP if order["end"] == "freeze" else signal.SIGKILL)
            for task in self._tasks:
                task.cancel()

    async def _until(self, is_true: Callable[[], bool]) -> None:
        """Wait until the pictures make it true, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not is_true():
                    self._changed.clear()
                    await self._changed.wait()

    def _start(self, event: StreamAdded) -> None:
        for track in event.stream.get_video_tracks():
            if isinstance(track, ReceivedTrack):
                task = asyncio.create_task(self._watch(track), name="watch")
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            say("failed", number=self._order["number"], why=f"{type(error).__name__}: {error}")

    async def _watch(self, track: ReceivedTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            source = await track.encoded()
            assert source is not None, "the camera sends H.264"
            reader = source.open_reader()
            while True:
                packet = await reader.recv()
                assert isinstance(packet, av.Packet), "it is not decoded"
                self._seen.take(bytes(packet), packet.pts or 0, is_key=packet.is_keyframe)
                self._changed.set()

    def _tell(self) -> None:
        seen, order = self._seen, self._order
        first_ms = None if seen.first_s is None else round((seen.first_s - self._joined_s) * 1e3)
        late_s = seen.last_s - seen.wished_s if seen.wished_s is not None else 0.0
        say(
            "seen",
            number=order["number"],
            wish=order["wish"],
            end=order["end"],
            pictures=seen.pictures,
            lost=seen.lost,
            width=seen.width,
            first_ms=first_ms,
            idle_s=round(time.monotonic() - seen.last_s, 2) if seen.pictures else None,
            is_served_unasked=order["wish"] == "none" and late_s > LATE_S,
        )


class Nursery:
    """Forks viewers, and sees every one of them to its end. No thread and no event loop lives here."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._frozen_until_s: dict[int, float] = {}

    def serve(self) -> None:
        """Take commands until stdin closes."""
        os.set_blocking(0, False)
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            while True:
                if selector.select(REAP_INTERVAL_S):
                    chunk = os.read(0, 65536)
                    if not chunk:
                        break
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._fork(json.loads(line))
                self._reap()
        for pid in self._numbers:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, order: dict[str, Any]) -> None:
        pid = os.fork()
        if pid:
            self._numbers[pid] = order["number"]
            return
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            asyncio.run(Viewer(order).run())
        finally:  # whatever happened, it must not come back into the nursery
            if (error := sys.exception()) is not None:
                say("failed", number=order["number"], why=f"{type(error).__name__}: {error}")
            os._exit(0)

    def _reap(self) -> None:
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            if not pid:
                break
            if os.WIFSTOPPED(status):
                say("frozen", number=self._numbers[pid])
                self._frozen_until_s[pid] = time.monotonic() + FROZEN_S
                continue
            self._frozen_until_s.pop(pid, None)
            say("gone", number=self._numbers.pop(pid))
        for pid, until_s in tuple(self._frozen_until_s.items()):
            if time.monotonic() >= until_s:
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    say("ready")
    Nursery().serve()
