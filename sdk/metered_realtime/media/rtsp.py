"""An RTSP camera as a stream of H.264 or H.265 access units: asyncio from end to end, no library of codecs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Self

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.camera_timing import CameraTiming
from metered_realtime.media.fanout import ReaderQueue
from metered_realtime.media.h264_rtp import AssemblerStats, H264Assembler
from metered_realtime.media.h265_rtp import H265Assembler
from metered_realtime.media.rtp_audio import AudioDepacketizer, AudioFormat, AudioUnit
from metered_realtime.media.rtsp_auth import Authenticator
from metered_realtime.media.rtsp_dialogue import RtspDialogue
from metered_realtime.media.rtsp_errors import (
    RtspAuthError,
    RtspConnectError,
    RtspError,
    RtspNotFoundError,
    RtspNoVideoError,
    RtspProtocolError,
    RtspTimeoutError,
    RtspTransportError,
    RtspUrlError,
)
from metered_realtime.media.rtsp_handshake import (
    AudioTrack,
    choose_audio,
    choose_video,
    is_redirect,
    offered_codecs,
    redirect_target,
    refusal,
)
from metered_realtime.media.rtsp_message import RtspResponse, parse_session
from metered_realtime.media.rtsp_setup import RTSP_TRANSPORTS, RtspPaths, RtspTransport
from metered_realtime.media.rtsp_url import parse_rtsp_url
from metered_realtime.media.rtsp_watch import judge
from metered_realtime.media.video_description import VideoDescription

__all__ = [
    "RtspAuthError", "RtspClient", "RtspConnectError", "RtspError", "RtspNoVideoError", "RtspNotFoundError",
    "RtspProtocolError", "RtspTimeoutError", "RtspTransportError", "RtspUrlError", "VideoDescription",
]  # fmt: skip

_MAX_REDIRECTS = 4
_CLOSE_S = 0.5
_MIN_KEEPALIVE_S = 1.0
_MAX_KEEPALIVE_S = 60.0
_TIMER_SLACK_S = 0.001


class RtspClient:
    """One life of one camera connection, as an async context manager; make a new one to connect again.

    `url` is `rtsp://` or `rtsps://`, with or without a login; `username`/`password` win over it. `timeout_s` bounds
    the connection, every answer, and the time without a picture. RTP comes over the same TCP connection (RFC 2326
    section 10.12) or, with `transport` "udp", or "auto" and a camera that refuses TCP, over UDP: video, and sound if
    `on_audio` is there to take it as it comes. `codecs`: what is taken of "H264" and "H265", best first. Entering
    raises the subclasses of RtspError, and so does iterating when the stream ends. At most 4 MiB or 90 pictures wait
    for a slow consumer; then it loses the rest of the group of pictures.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        timeout_s: float = 10.0,
        transport: RtspTransport = "auto",
        ssl_context: ssl.SSLContext | None = None,
        on_audio: Callable[[AudioUnit], None] | None = None,
        codecs: Sequence[str] = ("H264",),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if transport not in RTSP_TRANSPORTS:
            raise ValueError(f"transport must be one of {', '.join(RTSP_TRANSPORTS)}, not {transport!r}")
        self._url = parse_rtsp_url(url)
        self._named_host = self._url.host
        user = username or self._url.username
        secret = password or self._url.password or ""
        self._login = Authenticator(user, secret) if user else None
        self._timeout_s = timeout_s
        self._transport = transport
        self._ssl_context = ssl_context
        self._on_audio = on_audio
        self._audio: AudioTrack | None = None
        self._sound: AudioDepacketizer | None = None
        self._sleep = sleep
        self._dialogue: RtspDialogue | None = None
        self._paths: RtspPaths | None = None
        self._offered: tuple[tuple[str, str], ...] = ()
        self._codecs = codecs
        self._assembler = H264Assembler()
        self._timing = CameraTiming()
        self._described: tuple[object, bool | None] | None = None
        self._video = self._assembler.video
        self._queue: ReaderQueue[AccessUnit] = ReaderQueue()
        self._take: Callable[[AccessUnit], bool] | None = None
        self._arrived = asyncio.Event()
        self._error: RtspError | None = None
        self._session_url = ""
        self._methods = ""
        self._opened_s = 0.0
        self._now = time.monotonic
        self._watchdog: asyncio.TimerHandle | None = None
        self._keepalive: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    @property
    def address(self) -> str:
        """Host and port of the camera, for people."""
        return self._url.address

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture by now; complete at the latest with the first access unit."""
        known = self._assembler.sps, self._assembler.has_b_frames
        if known != self._described:
            self._described, self._video = known, self._assembler.video
        return self._video

    @property
    def audio(self) -> AudioFormat | None:
        """The sound that comes; None where nobody takes it, or the camera sends none that can be used."""
        return None if self._audio is None else self._audio.format

    @property
    def sound_late_s(self) -> float | None:
        """How much later than its picture sound arrives, less than 0 where it comes first; None while unknown."""
        return self._timing.sound_late_s

    @property
    def offered(self) -> tuple[tuple[str, str], ...]:
        """All that the camera described, used or not: ("video", "H264"), ("audio", "PCMA")."""
        return self._offered

    @property
    def transport(self) -> str:
        """How the pictures come: "tcp" or "udp"; empty before that is settled."""
        return "" if self._paths is None else self._paths.transport

    @property
    def dropped_units(self) -> int:
        """Access units that a slow consumer lost."""
        return self._queue.dropped_units

    def stats(self) -> AssemblerStats:
        """Return what happened on the road from the camera."""
        return self._assembler.stats()

    def access_units(self) -> AsyncIterator[AccessUnit]:
        """Iterate over the pictures, the first one a key frame. Raises RtspError when the stream ends."""
        return _Units(self)

    def hand_over(self, take: Callable[[AccessUnit], bool]) -> None:
        """Ask `take` first, at the moment a picture comes: it spares each picture the wake-up of a task.

        What it does not take (False) is iterated over, and so is all that comes while anything waits there: the order
        stays. It is not asked any more once the client is being closed, or once it has raised.
        """
        self._take = take

    async def next_unit(self) -> AccessUnit:
        """Return the next picture. Raises RtspError when the stream has ended."""
        while (unit := self._queue.pop()) is None:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return unit

    async def _open(self) -> None:
        self._now = asyncio.get_running_loop().time
        for _ in range(_MAX_REDIRECTS + 1):
            dialogue = RtspDialogue(self._url, login=self._login, timeout_s=self._timeout_s)
            self._dialogue = dialogue
            await dialogue.connect(on_frame=self._take_frame, on_end=self._end, ssl_context=self._ssl_context)
            self._methods = (await dialogue.request("OPTIONS", self._url.request_uri)).headers.get("public").upper()
            response = await dialogue.request("DESCRIBE", self._url.request_uri, {"Accept": "application/sdp"})
            if not is_redirect(response):
                await self._play(dialogue, response)
                return
            await self._follow(response.headers.get("location"))
        raise RtspProtocolError(f"the camera at {self._url.address} redirects in a circle")

    async def _follow(self, location: str) -> None:
        await self._close_dialogue()
        target = redirect_target(location, self._url)
        if target.host != self._named_host or (self._url.scheme, target.scheme) == ("rtsps", "rtsp"):
            self._login = None  # the login was given for the host that its owner named, and as safe as they named it
        self._url = target

    async def _play(self, dialogue: RtspDialogue, description: RtspResponse) -> None:
        self._check("DESCRIBE", description)
        self._offered = offered_codecs(description)
        track = choose_video(description, self._url, self._codecs)
        self._session_url = track.session_url
        assembler = H265Assembler if track.codec == "H265" else H264Assembler
        self._assembler = assembler(parameter_sets=track.parameter_sets, payload_type=track.payload_type)
        paths = self._paths = RtspPaths(
            dialogue, self._url, transport=self._transport, on_packet=self._take_packet, on_report=self._take_report
        )
        response = await paths.set_up("video", track.control_url)
        dialogue.session, timeout_s = parse_session(response.headers.get("session"))
        if self._on_audio is not None:
            await self._set_up_audio(paths, choose_audio(description, self._url))
        # Without a Range: a live server takes one for a wish to seek, and makes every viewer wait for it.
        response = await dialogue.request("PLAY", track.session_url)
        self._check("PLAY", response)
        self._timing.began(response.headers.get("rtp-info"), video=track.control_url, audio=self._audio)
        self._opened_s = self._now()
        self._watch()
        self._keepalive = asyncio.create_task(self._keep_alive(dialogue, timeout_s), name="rtsp keep-alive")

    async def _set_up_audio(self, paths: RtspPaths, track: AudioTrack | None) -> None:
        """Sound is welcome, and never a reason to do without the picture."""
        if track is None:
            return
        try:
            await paths.set_up("audio", track.control_url)
        except (RtspProtocolError, RtspAuthError, RtspNotFoundError):
            return
        self._sound = AudioDepacketizer(track.format, payload_type=track.payload_type)
        self._audio = track
        self._timing = CameraTiming(track.format.clock_rate)

    def _check(self, method: str, response: RtspResponse) -> None:
        if (error := refusal(method, response, self._url)) is not None:
            raise error

    async def _keep_alive(self, dialogue: RtspDialogue, session_timeout_s: float) -> None:
        """The camera forgets a session it hears nothing of (RFC 2326 section 12.37)."""
        method = "GET_PARAMETER" if "GET_PARAMETER" in self._methods else "OPTIONS"
        interval_s = min(max(session_timeout_s / 2, _MIN_KEEPALIVE_S), _MAX_KEEPALIVE_S)
        while True:
            await self._sleep(interval_s)
            try:
                response = await dialogue.request(method, self._session_url)
            except RtspTimeoutError:
                continue  # pictures are what counts, and the watchdog counts them
            except RtspError as error:
                self._end(error)
                return
            if response.status >= 400 and method == "GET_PARAMETER":
                method = "OPTIONS"

    def _take_frame(self, channel: int, payload: bytes) -> None:
        if self._paths is not None:
            self._paths.take_frame(channel, payload)

    def _take_packet(self, kind: str, packet: bytes) -> None:
        if kind == "audio":
            if self._sound is not None and self._on_audio is not None:
                for sound in self._sound.push(packet):
                    self._on_audio(self._timing.sound(sound, self._sound.newest, self._now()))
            return
        now_s = self._now()
        for unit in self._assembler.push(packet, now_s):
            picture = self._timing.picture(unit, self._assembler.newest_stamp, now_s)
            if not self._is_taken(picture) and self._queue.push(picture):
                self._arrived.set()

    def _is_taken(self, picture: AccessUnit) -> bool:
        take = self._take
        if take is None or not self._queue.lets_pass(picture):
            return False
        self._take = None  # whoever raises meets the next picture, and its fault, in the task that iterates
        is_taken = take(picture)
        self._take = take
        return is_taken

    def _take_report(self, kind: str, data: bytes) -> None:
        self._timing.report(kind, data, self._now())

    def _end(self, error: RtspError) -> None:
        if self._error is None:
            self._error = error
        self._arrived.set()

    def _watch(self) -> None:
        """One timer that looks when the last picture came."""
        loop = asyncio.get_running_loop()
        verdict = judge(
            now_s=loop.time(),
            opened_s=self._opened_s,
            picture_s=self._assembler.last_picture_s,
            unit_s=self._assembler.last_unit_s,
            timeout_s=self._timeout_s,
        )
        if verdict.fault is not None:
            never = self._assembler.last_picture_s is None and self.transport == "udp"
            hint = ": it sends over UDP, which a firewall may drop" if never else ""
            self._end(RtspTimeoutError(f"the camera at {self._url.address} {verdict.fault}{hint}"))
        else:
            self._watchdog = loop.call_at(verdict.next_s + _TIMER_SLACK_S, self._watch)

    async def _close(self) -> None:
        self._take = None
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._keepalive is not None:
            self._keepalive.cancel()
            await asyncio.wait([self._keepalive])
        dialogue = self._dialogue
        if dialogue is not None and dialogue.session and self._error is None:
            with contextlib.suppress(RtspError, TimeoutError):
                await asyncio.wait_for(dialogue.request("TEARDOWN", self._session_url), _CLOSE_S)
        await self._close_dialogue()
        self._end(RtspConnectError(f"the connection to the camera at {self._url.address} was closed"))

    async def _close_dialogue(self) -> None:
        if self._paths is not None:
            self._paths.close()
        if self._dialogue is not None:
            await self._dialogue.close(within_s=_CLOSE_S)
            self._dialogue = None


class _Units:
    """The iterator over a client's pictures; holds nothing, so that it may be dropped at any point."""

    def __init__(self, client: RtspClient) -> None:
        self._client = client

    def __aiter__(self) -> _Units:
        return self

    async def __anext__(self) -> AccessUnit:
        return await self._client.next_unit()
