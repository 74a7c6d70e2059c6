"""A camera's H.265 decoded and encoded as H.264, once for all who need it. Loaded with the first of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from edged.cameras.errors import CameraError
from edged.cameras.local_sources import encoder_settings
from edged.cameras.session_pictures import GIVE_UP_AFTER
from edged.cameras.track import CameraTrack
from edged.settings import CameraSettings
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.decoding import VideoDecoder
from metered_realtime.media.taken import mark_taken
from metered_realtime.media.video_thread import EncoderCounts, VideoEncoderThread


async def transcode_h265(
    track: CameraTrack,
    settings: CameraSettings,
    deliver: Callable[[AccessUnit, str | None], None],
    started: Callable[[Callable[[], None]], None],
) -> None:
    """Read the H.265 of `track` as one more viewer, and call `deliver` with each H.264 picture and its encoder.

    `started` is given what asks that encoder for a key frame.
    Two threads of its own, with one picture waiting between them: too slow a machine leaves pictures out. Raises
    CameraError where no encoder takes them.
    """
    loop = asyncio.get_running_loop()
    counts = EncoderCounts()

    def encoded(units: list[AccessUnit]) -> None:
        if not is_over:
            for unit in units:
                deliver(unit, counts.encoder)

    is_over, is_first = False, True
    thread = VideoEncoderThread(encoder_settings(settings), loop=loop, deliver=encoded, counts=counts)
    decoder, executor = VideoDecoder("hevc"), ThreadPoolExecutor(1, thread_name_prefix="camera decoder")
    reader = track.open_codec("H265")
    thread.start()
    started(thread.request_key_frame)
    try:
        while counts.encoded or counts.failed < GIVE_UP_AFTER:
            packet = await reader.recv()
            unit = AccessUnit(bytes(packet), packet.pts, bool(packet.is_keyframe))
            frames = await loop.run_in_executor(executor, decoder.decode, unit)
            # Of the group of pictures it starts with the first is shown while the others are decoded, and the last is
            # the present.
            if frames and (is_first or not reader.backlog_units):
                thread.offer(mark_taken(frames[-1], reader.taken_s))
                is_first = False
    finally:
        is_over = True
        reader.stop()
        thread.stop()
        executor.shutdown(wait=False)
    raise CameraError("no H.264 encoder takes its pictures: see the log, or choose another encoder")
