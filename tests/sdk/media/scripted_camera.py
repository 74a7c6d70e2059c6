"""A camera that says exactly what a test wants, for answers no real server can be made to give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from metered_realtime.media.rtsp_message import (
    Interleaved,
    RtspFormatError,
    RtspItem,
    RtspParser,
    RtspRequest,
    RtspResponse,
)
from tests.sdk.media.h264_samples import idr, pps, rtp, sps, stap_a

SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"

Answers = Callable[[RtspRequest], "bytes | None"]


def answer(request: RtspRequest, status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    """Return an answer; underscores in header names stand for hyphens."""
    lines = [f"RTSP/1.0 {status}", f"CSeq: {request.cseq}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def frame(channel: int, payload: bytes) -> bytes:
    """Return one interleaved frame."""
    return b"$" + bytes((channel,)) + len(payload).to_bytes(2) + payload


def key_frame(number: int, *, channel: int = 0) -> bytes:
    """Return the frames of one key picture."""
    first = rtp(2 * number, number * 3000, stap_a(sps(), pps()))
    return frame(channel, first) + frame(channel, rtp(2 * number + 1, number * 3000, idr(), marker=True))


def polite(request: RtspRequest) -> bytes | None:
    """Answer as a simple, correct camera; a picture follows PLAY."""
    if request.method == "OPTIONS":
        return answer(request, Public="OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN")
    if request.method == "DESCRIBE":
        return answer(request, body=SDP)
    if request.method == "SETUP":
        return answer(request, Transport="RTP/AVP/TCP;unicast;interleaved=0-1", Session="12;timeout=60")
    if request.method == "PLAY":
        return answer(request) + key_frame(0)
    return answer(request)


class ScriptedCamera:
    """What was asked (`requests`), what was answered to us (`responses`), and a way to speak unasked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.requests: list[RtspRequest] = []
        self.responses: list[RtspResponse] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.heard = asyncio.Condition()
        self.port = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._ended = 0

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/cam"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def say(self, data: bytes) -> None:
        self.writers[-1].write(data)

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until what was heard makes `ready` true."""
        async with asyncio.timeout(5), self.heard:
            await self.heard.wait_for(ready)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.idle.clear()
        parser = RtspParser()
        try:
            while data := await reader.read(65536):
                for item in parser.receive_data(data):
                    await self._take(item, writer)
        except (ConnectionError, RtspFormatError):
            pass
        finally:
            writer.close()
            self._ended += 1
            if self._ended == len(self.writers):
                self.idle.set()

    async def _take(self, item: RtspItem, writer: asyncio.StreamWriter) -> None:
        async with self.heard:
            if isinstance(item, RtspResponse):
                self.responses.append(item)
            elif not isinstance(item, Interleaved):
                self.requests.append(item)
                reply = self._answers(item)
                if reply is None:
                    writer.close()
                else:
                    writer.write(reply)
            self.heard.notify_all()


@asynccontextmanager
async def scripted(answers: Answers = polite) -> AsyncIterator[ScriptedCamera]:
    """Serve on a free port for the length of a block."""
    camera = ScriptedCamera(answers)
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    camera.port = server.sockets[0].getsockname()[1]
    try:
        yield camera
    finally:
        server.close()
        for writer in camera.writers:
            writer.close()
        await server.wait_closed()
        await camera.idle.wait()
