"""One still picture of any video track, as a file's bytes."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any, Literal

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.media.tap import open_tap

PictureFormat = Literal["jpeg", "png"]
_DECODERS = {"video/VP8": "vp8", "video/H265": "hevc"}
_ENCODERS = {"jpeg": ("mjpeg", "yuvj420p"), "png": ("png", "rgb24")}


class SnapshotError(MeteredRealtimeError):
    """There was no picture. `reason`: `timeout`, none came in time; `ended`, the track is over."""

    def __init__(self, reason: Literal["timeout", "ended"], message: str) -> None:
        self.reason: Literal["timeout", "ended"] = reason
        super().__init__(message)


async def snapshot(
    track: Any,
    *,
    format: PictureFormat = "jpeg",  # noqa: A002 - what everybody calls it
    quality: int = 85,
    timeout_s: float = 10.0,
) -> bytes:
    """Return the present picture of a video track, local or received, as a `jpeg` or `png` file.

    `quality` is that of a JPEG, 1 to 100. Other readers of the track lose nothing; an encoded track is decoded, in a
    thread, only for this. Raises SnapshotError without a picture within `timeout_s` or with a track that has ended,
    TypeError for what is no video track, ValueError for another format or quality.
    """
    if format not in _ENCODERS:
        raise ValueError(f"format must be 'jpeg' or 'png', not {format!r}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be from 1 to 100, not {quality!r}")
    if getattr(track, "kind", None) != "video":
        raise TypeError("snapshot: expected a video track")
    reader = open_tap(track, max_queued=1)
    try:
        frame = await asyncio.wait_for(_present_picture(reader), timeout_s)
    except TimeoutError:
        raise SnapshotError("timeout", f"the track gave no picture within {timeout_s:g} s") from None
    except MediaStreamError:
        raise SnapshotError("ended", "the track has ended") from None
    finally:
        reader.stop()
    return await asyncio.to_thread(_encoded, frame, format, quality)


async def _present_picture(reader: MediaStreamTrack) -> av.VideoFrame:
    while True:
        item: Any = await reader.recv()
        if isinstance(item, av.VideoFrame):
            return item
        packets = [bytes(item)]
        # A newcomer is given the whole group of pictures; only its end is the present.
        while getattr(reader, "backlog_units", 0):
            packets.append(bytes(await reader.recv()))  # type: ignore[arg-type]
        frame = await asyncio.to_thread(_last_picture, packets, getattr(reader, "mime_type", None))
        if frame is not None:
            return frame


def _last_picture(packets: list[bytes], mime_type: str | None) -> av.VideoFrame | None:
    """Return what the last of these packets shows, None where nothing in them can be decoded."""
    decoder: Any = av.CodecContext.create(_DECODERS.get(mime_type or "", "h264"), "r")
    frame = None
    for data in [*packets, None]:
        try:
            for decoded in decoder.decode(av.Packet(data) if data is not None else None):
                frame = decoded
        except av.FFmpegError:
            continue  # a damaged picture; the next key frame heals it
    return frame


def _encoded(frame: av.VideoFrame, picture_format: PictureFormat, quality: int) -> bytes:
    name, pixel_format = _ENCODERS[picture_format]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixel_format
    encoder.time_base = Fraction(1, 25)
    if picture_format == "jpeg":
        # FFmpeg knows a JPEG's quality as its quantiser, 2 (best) to 31.
        encoder.qmin = encoder.qmax = round(31 - 29 * (quality - 1) / 99)
    picture = frame.reformat(format=pixel_format)
    if picture is frame:  # others hold it as well, and encoding writes into it
        picture = frame.reformat(format="yuv444p").reformat(format=pixel_format)
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
