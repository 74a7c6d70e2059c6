"""The viewers of the bench `video`: many in one process, each with ICE, DTLS and SRTP of its own, without a decoder.

Commands come as JSON lines on stdin: {"do": "join", "number", "at"}, {"do": "leave", "number"}, and {"do": "collect"},
which tells everything that was seen since the last time. `at` is {"whep": URL} or {"hub": URL, "key", "channel"}.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

from aiortc import RTCSessionDescription

from metered_realtime import MeteredPeer, aiortc_adapter, aiortc_codecs
from scripts.lib.bench.viewing.lines import commands, say
from scripts.lib.bench.viewing.tap import VIEWER, TappedLoop, Viewer, tap

HTTP_TIMEOUT_S = 20.0


def exchange(method: str, url: str, body: str = "") -> tuple[str, str]:
    """Return the body and the Location of the answer. Raises OSError where the server refuses."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=HTTP_TIMEOUT_S)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, {"Content-Type": "application/sdp"})
        response = connection.getresponse()
        answer = response.read().decode()
        if response.status >= 300:
            raise ConnectionError(f"{method} {url}: {response.status} {answer:.200}")
        return answer, response.headers.get("Location", "")
    finally:
        connection.close()


@asynccontextmanager
async def by_whep(viewer: Viewer, at: dict[str, str]) -> AsyncIterator[None]:
    """Watch through WHEP: one offer, one answer, both with all candidates."""
    pc = aiortc_adapter.open_connection([])
    transceiver = pc.addTransceiver("video", direction="recvonly")
    transceiver.setCodecPreferences(aiortc_codecs.codec_preferences("video", "video/H264"))
    await pc.setLocalDescription(await pc.createOffer())
    viewer.asked_s = time.monotonic()
    answer, resource = await asyncio.to_thread(exchange, "POST", at["whep"], pc.localDescription.sdp)
    try:
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield
    finally:
        if resource:
            await asyncio.to_thread(exchange, "DELETE", urljoin(at["whep"], resource))
        await pc.close()


@asynccontextmanager
async def by_hub(viewer: Viewer, at: dict[str, str]) -> AsyncIterator[None]:
    """Watch as a member of the channel that only receives."""
    peer = MeteredPeer(api_key=at["key"], url=at["hub"])
    viewer.asked_s = time.monotonic()
    async with peer.joined(at["channel"], media="receive"):
        yield


class Viewers:
    """The viewers there are at the moment."""

    def __init__(self) -> None:
        self._viewers: dict[int, Viewer] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def join(self, number: int, at: dict[str, str]) -> None:
        self._viewers[number] = viewer = Viewer()
        self._tasks[number] = asyncio.create_task(self._watch(number, viewer, at), name=f"viewer {number}")

    async def _watch(self, number: int, viewer: Viewer, at: dict[str, str]) -> None:
        VIEWER.set(viewer)  # whatever this task and its children open belongs to this viewer
        try:
            async with by_whep(viewer, at) if "whep" in at else by_hub(viewer, at):
                await asyncio.Event().wait()
        except OSError as error:
            say("failed", number=number, why=str(error))

    async def leave(self, number: int) -> None:
        task = self._tasks.pop(number)
        task.cancel()
        await asyncio.wait([task])
        del self._viewers[number]

    async def leave_all(self) -> None:
        for number in tuple(self._tasks):
            await self.leave(number)

    def collect(self) -> dict[int, dict[str, Any]]:
        """Return what each has seen since the last call."""
        found = {}
        for number, viewer in self._viewers.items():
            found[number] = {
                "asked_s": viewer.asked_s,
                "connected_s": viewer.connected_s,
                "is_connected": viewer.is_connected,
                "connections": viewer.connections,
                "lost_packets": viewer.lost_packets,
                "pictures": list(viewer.pictures),
            }
            viewer.pictures.clear()
        return found


async def main() -> None:
    viewers = Viewers()
    say("ready")
    async for command in commands():
        match command["do"]:
            case "join":
                viewers.join(command["number"], command["at"])
            case "leave":
                await viewers.leave(command["number"])
                say("left", number=command["number"])
            case "collect":
                say("collected", viewers=viewers.collect())
    await viewers.leave_all()


if __name__ == "__main__":
    tap()
    with asyncio.Runner(loop_factory=TappedLoop) as runner:
        runner.run(main())
