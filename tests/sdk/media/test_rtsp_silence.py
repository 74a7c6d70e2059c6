"""Cameras whose connection is as alive as can be, and which show nothing: pictures decide, not TCP."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator

import pytest

from metered_realtime.media import rtsp_watch
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.rtsp import RtspClient, RtspTimeoutError
from metered_realtime.media.rtsp_message import RtspRequest
from tests.sdk.media.h264_samples import rtp, slice_nal
from tests.sdk.media.scripted_camera import SDP, ScriptedCamera, answer, frame, key_frame, polite, scripted

TIMEOUT_S = 2
WITH_SOUND = SDP + b"m=audio 0 RTP/AVP 8\r\na=control:track2\r\n"
REPORT = struct.pack("!BBHIQIII", 0x80, 200, 6, 1, 0, 0, 0, 0)


def picture(number: int, *, lost_before: int = 0) -> bytes:
    """Return a picture that needs the one before it."""
    return frame(0, rtp(2 + number + lost_before, number * 3000, slice_nal(), marker=True))


def reports() -> Iterator[bytes]:
    return itertools.repeat(frame(1, REPORT))


def sounds() -> Iterator[bytes]:
    return (frame(2, rtp(number, number * 160, bytes(160), payload_type=8)) for number in itertools.count())


def no_key_frames() -> Iterator[bytes]:
    return (picture(number) for number in itertools.count())


def a_loss_and_no_key_frame_after_it() -> Iterator[bytes]:
    yield key_frame(0)
    yield from (picture(number, lost_before=1) for number in itertools.count(1))


def talkative(request: RtspRequest) -> bytes | None:
    """Answer everything, above all what keeps a session, and send nothing by itself."""
    if request.method == "DESCRIBE":
        return answer(request, body=WITH_SOUND)
    if request.method == "SETUP":
        channels = "2-3" if request.uri.endswith("track2") else "0-1"
        return answer(request, Transport=f"RTP/AVP/TCP;unicast;interleaved={channels}", Session="12;timeout=1")
    return polite(request) if request.method == "OPTIONS" else answer(request)


async def say_all(camera: ScriptedCamera, frames: Iterator[bytes]) -> None:
    for each in frames:
        camera.say(each)
        await asyncio.sleep(0.01)


async def watch(client: RtspClient, seen: list[AccessUnit]) -> None:
    while True:
        seen.append(await client.next_unit())


Speech = Callable[[], Iterator[bytes]]
SAYS: dict[Speech, str] = {
    reports: "sent no picture for 2 s",
    sounds: "sent no picture for 2 s",
    no_key_frames: "no key frame with parameter sets for 2.1 s",
    a_loss_and_no_key_frame_after_it: "no key frame with parameter sets for 2 s",
}


async def lost(speech: Speech) -> tuple[str, int, int]:
    """Return why a camera that says this is given up, and how many pictures and sounds came before."""
    heard: list[AudioUnit] = []
    seen: list[AccessUnit] = []
    async with (
        scripted(talkative) as camera,
        RtspClient(camera.url, timeout_s=TIMEOUT_S, on_audio=heard.append) as client,
    ):
        speaker = asyncio.create_task(say_all(camera, speech()), name="camera")
        with pytest.raises(RtspTimeoutError) as caught:
            await asyncio.wait_for(watch(client, seen), 20)
        speaker.cancel()
        await asyncio.wait([speaker])
    return str(caught.value), len(seen), len(heard)


async def test_a_camera_that_is_busy_showing_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_watch, "MAX_KEY_WAIT_S", 2.1)
    # All at once: each takes its time limit, which is long enough for a busy machine to say something before it.
    found = dict(zip(SAYS, await asyncio.gather(*map(lost, SAYS)), strict=True))
    for speech, (why, pictures, sounds_heard) in found.items():
        assert SAYS[speech] in why, speech.__name__
        assert pictures == (speech is a_loss_and_no_key_frame_after_it), speech.__name__
        assert bool(sounds_heard) is (speech is sounds), speech.__name__
