"""`VideoSource`: pictures an application makes, encoded once for all peers, and only while somebody watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
from aiortc.mediastreams import MediaStreamTrack

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.video_arrays import picture_from
from metered_realtime.media.video_settings import EncoderSettings, VideoCodec
from metered_realtime.media.video_thread import EncoderCounts, VideoEncoderThread


@dataclass(frozen=True, slots=True)
class VideoSourceStats:
    """Counters of one source since it was made.

    `dropped_frames` came faster than they could be encoded, `unwatched_frames` while nobody watched, `failed_frames`
    could not be encoded. `encoder` and `size` (width, height) are those in use, None before the first picture.
    """

    viewers: int
    pushed_frames: int
    encoded_frames: int
    dropped_frames: int
    unwatched_frames: int
    failed_frames: int
    key_frames: int
    encoded_bytes: int
    encoder: str | None
    size: tuple[int, int] | None


class VideoSource(MediaStreamTrack):
    """A track for `MeteredPeer.add_track`/`add_stream` fed with raw pictures; one encoder serves every peer.

    ::

        source = VideoSource(fps=25, bitrate_bps=2_000_000)
        peer.add_track(source)
        while drawing:
            source.push(frame)      # av.VideoFrame, or an array of shape (height, width, 3)
        source.end()

    `codec` is `H264` or `VP8`; peers are offered that alone. `fps` and `bitrate_bps` (bits per second) are what the
    encoder plans with: pictures are sent when they are pushed. `max_size` (width, height) scales larger pictures down.
    A newcomer or a receiver that lost pictures gets a key frame at once, others come every `key_frame_interval_s`.
    `encoder` names another encoder of FFmpeg, such as `h264_v4l2m2m`, or is `auto`: the hardware of this machine that
    proves to work. Where there is none, or it fails, software does it.
    Raises ValueError for values no encoder takes.
    """

    kind = "video"

    def __init__(
        self,
        *,
        fps: int = 30,
        bitrate_bps: int = 1_500_000,
        codec: VideoCodec = "H264",
        max_size: tuple[int, int] | None = None,
        key_frame_interval_s: float = 10.0,
        encoder: str | None = None,
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._settings = EncoderSettings(codec, bitrate_bps, fps, key_frame_interval_s, max_size, encoder)
        self._clock = clock
        self._encoded = EncodedVideoSource(
            id=id,
            mime_type=self._settings.mime_type,
            on_demand=self._demand,
            on_key_frame_wanted=self._want_key_frame,
            clock=clock,
        )
        self.mime_type: str | None = self._settings.mime_type
        self._newest: av.VideoFrame | None = None
        self._thread: VideoEncoderThread | None = None
        self._counts = EncoderCounts()
        self._pushed = self._unwatched = 0

    @property
    def id(self) -> str:
        """The id given, else a random one."""
        return self._encoded.id

    @property
    def viewers(self) -> int:
        """Readers between their first `recv()` and their `stop()`."""
        return self._encoded.viewers

    def stats(self) -> VideoSourceStats:
        """Return the counters."""
        encoded, counts = self._encoded.stats(), self._counts
        return VideoSourceStats(
            viewers=encoded.viewers,
            pushed_frames=self._pushed,
            encoded_frames=counts.encoded,
            dropped_frames=counts.dropped,
            unwatched_frames=self._unwatched,
            failed_frames=counts.failed,
            key_frames=encoded.key_units,
            encoded_bytes=encoded.total_bytes,
            encoder=counts.encoder,
            size=counts.size,
        )

    def push(self, frame: av.VideoFrame | Any, *, pixel_format: str = "rgb24") -> None:
        """Hand over the next picture. Never waits, and may be called from any thread, by one at a time.

        `frame` is an `av.VideoFrame`, whose pixels must not change any more, or an array of bytes (copied) of shape
        (height, width, channels) in `pixel_format`: `rgb24`, `bgr24`, `rgba`, `bgra`, or (height, width) for gray.
        A frame's own `pts` is its time where it has one, else now. No effect after `end()`.
        Raises TypeError for anything else, ValueError for another shape.
        """
        picture = frame if isinstance(frame, av.VideoFrame) else picture_from(frame, pixel_format)
        if self.readyState != "live":
            return
        self._pushed += 1
        # Kept: who comes while the picture stands still must see it too.
        self._newest = picture
        thread = self._thread
        if thread is None:
            self._unwatched += 1
        else:
            thread.offer(picture)

    def open_reader(self) -> MediaStreamTrack:
        """Return a track for one peer: `recv()` gives `av.Packet`s (time base 1/90000), the first a key frame."""
        return self._encoded.open_reader()

    def request_key_frame(self) -> None:
        """Make a key frame soon; what is asked twice within half a second is one."""
        self._encoded.request_key_frame()

    async def recv(self) -> av.Packet[Any]:
        """Read as a plain aiortc track, through one reader of the source's own."""
        return await self._encoded.recv()

    def end(self) -> None:
        """No more pictures will come: the track ends now, with every reader of it. May be called again."""
        self.stop()

    def stop(self) -> None:
        """End at once."""
        super().stop()
        self._encoded.stop()
        self._newest = None

    def _demand(self, is_watched: bool) -> None:
        if not is_watched:
            if self._thread is not None:
                self._thread.stop()
                self._thread = None
            self._encoded.rebase()
            return
        thread = VideoEncoderThread(
            self._settings,
            loop=asyncio.get_running_loop(),
            deliver=lambda units: self._deliver(thread, units),
            counts=self._counts,
            clock=self._clock,
        )
        thread.start()
        self._thread = thread
        if self._newest is not None:
            thread.offer(self._newest)

    def _want_key_frame(self) -> None:
        if self._thread is not None:
            self._thread.request_key_frame()

    def _deliver(self, thread: VideoEncoderThread, units: list[AccessUnit]) -> None:
        if thread is not self._thread:
            return  # encoded for viewers that have left
        for unit in units:
            self._encoded.push(unit)
