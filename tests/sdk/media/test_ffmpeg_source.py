"""Sources that FFmpeg reads, played live: a clip as fast as it comes, a microphone of ALSA's, a screen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.ffmpeg_input import FfmpegInput
from metered_realtime.media.ffmpeg_source import FfmpegSource
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.source_errors import (
    SourceFormatError,
    SourceLostError,
    SourceNotFoundError,
    SourceTimeoutError,
)
from metered_realtime.media.source_state import SourceStateChange
from tests.sdk.media.pictures import until
from tests.sdk.media.test_player import write_clip


def live(what: FfmpegInput, *kinds: str) -> LivePlayer:
    return LivePlayer(FfmpegSource(what), name=what.what, kinds=kinds)


async def test_frames_come_and_what_it_lacks_ends(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", seconds_of_sound=0)
    player = live(FfmpegInput(str(clip), "the clip"), "audio", "video")
    assert player.audio is not None
    assert player.video is not None
    async with asyncio.timeout(10):
        assert (await player.video.recv()).width == 64
        with pytest.raises(MediaStreamError):
            await player.audio.recv()
    await player.aclose()


async def test_the_end_of_it_is_a_loss(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", seconds_of_sound=0)
    player = live(FfmpegInput(str(clip), "the clip"), "video")
    lost = asyncio.Event()
    player.on(SourceStateChange, lambda change: lost.set() if isinstance(change.err, SourceLostError) else None)
    opening = asyncio.create_task(player.opened())
    async with asyncio.timeout(10):
        await lost.wait()
    await asyncio.gather(opening, return_exceptions=True)
    await player.aclose()


async def test_nothing_of_the_wanted_kind_is_a_fault(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", seconds_of_sound=0)
    player = live(FfmpegInput(str(clip), "the clip"), "audio")
    with pytest.raises(SourceFormatError, match="nothing that can be played"):
        await player.opened()
    await player.aclose()


async def test_a_microphone_gives_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.conf").write_text("pcm.silence { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "mine.conf"))
    player = live(FfmpegInput("silence", "the microphone silence", "alsa"), "audio")
    assert player.audio is not None
    async with asyncio.timeout(10):
        frame = await player.audio.recv()
    assert frame.sample_rate == 48_000
    await player.aclose()
    assert not [thread for thread in threading.enumerate() if "microphone" in thread.name]


async def test_a_screen_that_is_not_there_is_a_sentence() -> None:
    player = live(FfmpegInput(":9876", "the screen :9876", "x11grab"), "video")
    with pytest.raises(SourceNotFoundError, match="the screen :9876 is not there"):
        await player.opened()
    await player.aclose()


class Undecodable(FfmpegInput):
    """Packets without end, and never a picture."""

    def frames(self, container: Any, streams: list[Any]) -> Iterator[list[Any]]:
        while True:
            time.sleep(0.001)
            yield []


async def test_what_cannot_be_decoded_is_told_and_ends_when_it_is_stopped(tmp_path: Path) -> None:
    clip = str(write_clip(tmp_path / "clip.mkv", seconds_of_sound=0))
    player = live(Undecodable(clip, "the mute camera", timeout_s=0.05), "video")
    with pytest.raises(SourceTimeoutError, match=r"the mute camera gives nothing that can be decoded for 0\.05 s"):
        await player.opened()
    await player.aclose()
    patient = live(Undecodable(clip, "the mute camera"), "video")
    opening = asyncio.create_task(patient.opened())
    await until(lambda: [thread for thread in threading.enumerate() if "mute camera" in thread.name])
    await patient.aclose()
    assert not [thread for thread in threading.enumerate() if "mute camera" in thread.name]
    with pytest.raises(SourceLostError):
        await opening
