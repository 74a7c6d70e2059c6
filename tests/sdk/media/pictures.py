"""Pictures of one colour, what is left of them after encoding, and threads counted, for the tests of pushed media."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.mediastreams import MediaStreamTrack

from metered_realtime.media.access_unit import AccessUnit

RED, GREEN, BLUE = (200, 30, 60), (40, 180, 50), (20, 40, 210)


def array(rgb: tuple[int, ...], width: int = 64, height: int = 48) -> memoryview:
    """Return what numpy would lay open for an array of shape (height, width, channels)."""
    return memoryview(bytes(rgb) * (width * height)).cast("B", (height, width, len(rgb)))


def solid(rgb: tuple[int, ...], width: int = 64, height: int = 48, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """Return a frame of one colour, without a timestamp."""
    frame = av.VideoFrame(width, height, "rgb24")
    plane = frame.planes[0]
    row = (bytes(rgb) * width).ljust(plane.line_size, b"\0")
    plane.update(row * height)
    return frame.reformat(format=pixel_format)


def colour(frame: av.VideoFrame) -> tuple[int, ...]:
    """Return the colour in the middle of a picture."""
    rgb = frame.reformat(format="rgb24")
    plane = rgb.planes[0]
    at = rgb.height // 2 * plane.line_size + rgb.width // 2 * 3
    return tuple(bytes(plane)[at : at + 3])


def is_near(frame: av.VideoFrame, rgb: tuple[int, ...], tolerance: int = 12) -> bool:
    """Tell whether the middle of the picture still has this colour."""
    return all(abs(got - wanted) <= tolerance for got, wanted in zip(colour(frame), rgb, strict=True))


def decoded(units: Iterable[AccessUnit], codec: str = "h264") -> list[Any]:
    """Return the pictures in these units."""
    decoder: Any = av.CodecContext.create(codec, "r")
    frames: list[Any] = []
    for unit in units:
        packet = av.Packet(unit.data)
        packet.pts = unit.pts_90k
        frames += decoder.decode(packet)
    return frames + decoder.decode(None)


def native_threads() -> int:
    """Return how many threads this process has, those of the codecs included."""
    return len(list(Path("/proc/self/task").iterdir()))


def threads_end(*names: str) -> bool:
    """Wait until no thread of these names is left; a source tells its thread to end, and does not wait for it."""
    threads = [thread for thread in threading.enumerate() if thread.name in names]
    for thread in threads:
        thread.join(10)
    return not any(thread.is_alive() for thread in threads)


async def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """Wait until `condition` gives something true, and return it."""
    async with asyncio.timeout(timeout_s):
        while not (result := condition()):
            await asyncio.sleep(0.005)
    return result


@asynccontextmanager
async def two_peers(
    track: MediaStreamTrack, mime_type: str = "video/H264"
) -> AsyncIterator[asyncio.Future[MediaStreamTrack]]:
    """Send a track from one aiortc connection to another, as this codec."""
    sender, receiver = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    received: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    receiver.on("track", received.set_result)
    transceiver = sender.addTransceiver(track, direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == mime_type])
    try:
        await sender.setLocalDescription(await sender.createOffer())
        await receiver.setRemoteDescription(sender.localDescription)
        await receiver.setLocalDescription(await receiver.createAnswer())
        await sender.setRemoteDescription(receiver.localDescription)
        yield received
    finally:
        await sender.close()
        await receiver.close()
