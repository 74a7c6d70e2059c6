"""One life of an RTSP camera for a live player: H.264 by our own client, anything else by FFmpeg in a thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import cast
from urllib.parse import urlsplit

from metered_realtime.media.decoding import AudioDecoder, VideoDecoder
from metered_realtime.media.ffmpeg_input import FfmpegInput
from metered_realtime.media.ffmpeg_source import FfmpegSource
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.rtsp import RtspClient
from metered_realtime.media.rtsp_errors import RtspNoVideoError, RtspUrlError
from metered_realtime.media.rtsp_setup import RTSP_TRANSPORTS, RtspTransport
from metered_realtime.media.rtsp_tls import RtspTls
from metered_realtime.media.rtsp_url import parse_rtsp_url
from metered_realtime.media.source_sink import SourceSink
from metered_realtime.media.taken import mark_taken


class RtspSource:
    """A session factory for `LivePlayer`.

    Over "tcp", "udp" and "auto" H.264 is read by `RtspClient` and, unless it is passed through, decoded in a thread of
    its own. A camera without H.264, the other transports, and cameras at an HTTP address are left to FFmpeg, which
    opens slower and is one picture later.
    """

    def __init__(
        self, url: str, *, transport: str, timeout_s: float, passthrough: bool, tls: RtspTls | None = None
    ) -> None:
        self._url = url
        self._transport = transport
        self._timeout_s = timeout_s
        self._passthrough = passthrough
        self._tls = tls if tls is not None else RtspTls()
        is_http = url.lower().startswith(("http://", "https://"))
        self._leaves_to_ffmpeg = transport not in RTSP_TRANSPORTS or (is_http and not passthrough)
        self._ffmpeg = FfmpegSource(
            FfmpegInput(
                url,
                f"the camera at {shown_address(url)}",
                options=() if is_http else ffmpeg_options(url, transport, self._tls),
                timeout_s=timeout_s,
            )
        )

    async def __call__(self, sink: SourceSink) -> None:
        """Play until it fails. Raises SourceError."""
        if not self._leaves_to_ffmpeg:
            try:
                await self._read(sink)
            except RtspNoVideoError:
                if self._passthrough:
                    raise
                self._leaves_to_ffmpeg = True
        await self._ffmpeg(sink)

    async def _read(self, sink: SourceSink) -> None:
        decoders: list[AudioDecoder] = []

        def play(sound: AudioUnit) -> None:
            if not decoders and client.audio is not None:
                decoders.append(AudioDecoder(client.audio))
            for decoder in decoders:
                for frame in decoder.decode(sound):
                    sink.frame(frame)

        on_audio = play if "audio" in sink.kinds else None
        client = RtspClient(
            self._url,
            timeout_s=self._timeout_s,
            transport=cast("RtspTransport", self._transport),
            ssl_context=self._tls.context() if self._url.lower().startswith("rtsps:") else None,
            on_audio=on_audio,
        )
        async with client:
            if client.audio is None:
                sink.lacks("audio")
            if self._passthrough:
                client.hand_over(sink.passed_on)
                async for unit in client.access_units():
                    sink.unit(unit)
            else:
                await self._decode(client, sink)

    async def _decode(self, client: RtspClient, sink: SourceSink) -> None:
        loop = asyncio.get_running_loop()
        decoder = VideoDecoder()
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="camera decoder")
        try:
            async for unit in client.access_units():
                for frame in await loop.run_in_executor(executor, decoder.decode, unit):
                    sink.frame(mark_taken(frame, unit.taken_s))
        finally:
            executor.shutdown(wait=False)


def ffmpeg_options(url: str, transport: str, tls: RtspTls) -> tuple[tuple[str, str], ...]:
    """Return how FFmpeg is to open an RTSP address."""
    if url.lower().startswith("rtsps:"):
        return (("rtsp_transport", "tcp"), *tls.ffmpeg_options())
    return (("rtsp_flags", "prefer_tcp"),) if transport == "auto" else (("rtsp_transport", transport),)


def shown_address(url: str) -> str:
    """Return host and port of a camera for people, whatever the address holds."""
    try:
        return parse_rtsp_url(url).address
    except RtspUrlError:
        pass
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "this address"
    except ValueError:
        return "this address"
