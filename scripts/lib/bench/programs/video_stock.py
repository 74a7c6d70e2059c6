"""The baseline of the bench `video`: stock aiortc as anybody would use it for a camera, behind WHEP.

`MediaPlayer(decode=False)` reads the camera in argv from the first viewer on, `MediaRelay` gives it to each viewer.
When it accepts connections it prints {"event": "ready", "url": WHEP_URL}.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer, MediaRelay

from scripts.lib.bench.viewing.lines import commands, say

H264 = [
    codec
    for codec in RTCRtpSender.getCapabilities("video").codecs
    if codec.mimeType.lower() in ("video/h264", "video/rtx")
]


class Server:
    """One camera and its viewers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._player: MediaPlayer | None = None
        self._relay = MediaRelay()
        self._viewers: dict[str, RTCPeerConnection] = {}
        self._numbers = itertools.count(1)

    async def add(self, offer: str) -> tuple[str, str]:
        """Return the resource of the new viewer and the answer."""
        if self._player is None:
            self._player = MediaPlayer(self._url, format="rtsp", options={"rtsp_transport": "tcp"}, decode=False)
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        video = self._player.video
        assert video is not None
        resource = f"/whep/{next(self._numbers)}"
        self._viewers[resource] = pc
        transceiver = pc.addTransceiver(self._relay.subscribe(video), direction="sendonly")
        transceiver.setCodecPreferences(H264)
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return resource, pc.localDescription.sdp

    async def remove(self, resource: str) -> None:
        pc = self._viewers.pop(resource, None)
        if pc is not None:
            await pc.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        lengths = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0]) if lengths else 0)
        if method == "POST":
            resource, answer = await self.add(body.decode())
            status = f"201 Created\r\nLocation: {resource}\r\nContent-Type: application/sdp"
        else:
            await self.remove(path)
            status, answer = "200 OK", ""
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n{answer}".encode()
        )
        await writer.drain()
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(Server(sys.argv[1]).serve, "127.0.0.1", 0)
    say("ready", url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/whep")
    async for _ in commands():
        pass


if __name__ == "__main__":
    asyncio.run(main())
