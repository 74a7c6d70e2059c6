"""Files and devices played in a thread."""

from __future__ import annotations

import asyncio
import itertools
import logging
from fractions import Fraction
from pathlib import Path

import av
import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media import player as player_module
from metered_realtime.media.frames import iter_frames
from metered_realtime.media.player import Player
from metered_realtime.media.player_track import PlayerTrack
from tests.sdk.media.tracks import picture, sound


def write_clip(path: Path, *, pictures: int = 6, seconds_of_sound: float = 0.2) -> Path:
    """A clip of 25 pictures a second and, if wanted, sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=48_000) if seconds_of_sound else None
        for number in range(pictures):
            container.mux(video.encode(picture(number, time_base=Fraction(1, 25))))
        container.mux(video.encode(None))
        if audio is not None:
            for number in range(int(seconds_of_sound * 50)):
                container.mux(audio.encode(sound(number * 960)))
            container.mux(audio.encode(None))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


async def test_pictures_and_sound_of_a_file_until_its_end(clip: Path) -> None:
    player = Player(str(clip))
    assert player.video is not None
    assert player.audio is not None

    async def frames(track: object) -> list:
        return [frame async for frame in iter_frames(track)]

    async with asyncio.timeout(10):
        pictures, sounds = await asyncio.gather(frames(player.video), frames(player.audio))
    assert len(pictures) == 6
    assert sum(frame.samples for frame in sounds) >= 0.2 * 48_000
    assert player.video.readyState == player.audio.readyState == "ended"


async def test_a_file_is_played_at_the_speed_of_time(clip: Path) -> None:
    player = Player(str(clip), kinds=("video",))
    started_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        count = len([frame async for frame in iter_frames(player.video)])
    assert count == 6
    assert asyncio.get_running_loop().time() - started_s >= 0.19


async def test_a_loop_goes_on_after_the_end(clip: Path) -> None:
    player = Player(str(clip), loop=True, kinds=("video",))
    assert player.video is not None
    async with asyncio.timeout(10):
        for _ in range(8):
            await player.video.recv()
    player.stop()
    with pytest.raises(MediaStreamError):
        await player.video.recv()


async def test_a_loop_has_no_gap_and_its_stamps_go_on(clip: Path) -> None:
    player = Player(str(clip), loop=True, kinds=("video",))
    assert player.video is not None
    loop = asyncio.get_running_loop()
    arrivals, seconds = [], []
    async with asyncio.timeout(10):
        for _ in range(20):
            frame = await player.video.recv()
            arrivals.append(loop.time())
            seconds.append(float(frame.pts * frame.time_base))
    player.stop()
    steps = [after - before for before, after in itertools.pairwise(seconds)]
    # Whole pictures apart: on a machine that is busy, one of them may be lost.
    assert all(step > 0.03 and step / 0.04 == pytest.approx(round(step / 0.04), abs=0.03) for step in steps)
    # Three times around at the speed of time, with no pause between.
    assert arrivals[-1] - arrivals[0] >= 19 * 0.04 - 0.2
    assert seconds[-1] - seconds[0] == pytest.approx(arrivals[-1] - arrivals[0], abs=0.5)


async def test_sound_and_picture_stay_together_over_a_loop(tmp_path: Path) -> None:
    player = Player(str(write_clip(tmp_path / "clip.mkv", pictures=5, seconds_of_sound=0.4)), loop=True)
    assert player.video is not None
    assert player.audio is not None
    ends: dict[str, float] = {}

    async def read(track: PlayerTrack, seconds: float) -> None:
        at_s = -1.0
        while at_s < seconds:
            frame = await track.recv()
            assert float(frame.pts * frame.time_base) > at_s
            at_s = float(frame.pts * frame.time_base)
        ends[track.kind] = at_s

    async with asyncio.timeout(10):
        await asyncio.gather(read(player.video, 1.0), read(player.audio, 1.0))
    player.stop()
    assert abs(ends["video"] - ends["audio"]) < 0.5


async def test_a_kind_the_source_lacks_ends_at_once(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "mute.mp4", seconds_of_sound=0)
    player = Player(str(clip))
    assert player.audio is not None
    async with asyncio.timeout(10):
        with pytest.raises(MediaStreamError):
            await player.audio.recv()
    player.stop()


async def test_a_source_that_cannot_be_opened_is_one_warning_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    player = Player("http://user:secret@127.0.0.1:9/none", is_live=True, kinds=("video",))
    assert player.video is not None
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(10):
            with pytest.raises(MediaStreamError):
                await player.video.recv()
    assert "cannot be played" in caplog.text
    assert "secret" not in caplog.text


async def test_a_stopped_track_opens_nothing(clip: Path) -> None:
    player = Player(str(clip))
    player.stop()
    assert player.video is not None
    with pytest.raises(MediaStreamError):
        await player.video.recv()
    assert player._thread is None


async def test_a_file_waits_while_nobody_reads(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player_module, "PAUSE_AFTER_S", 0.05)
    player = Player(str(clip), kinds=("video",))
    assert player.video is not None
    async with asyncio.timeout(10):
        first = await player.video.recv()
        await asyncio.sleep(0.3)  # longer than the rest of the clip
        later = [await player.video.recv() for _ in range(3)]
    assert first.pts == 0
    assert player.video.readyState == "live"
    assert len(later) == 3
    player.stop()


async def test_a_file_slower_than_its_reader_is_patient_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player_module, "PAUSE_AFTER_S", 0.0)  # every picture comes later than that after its read
    player = Player(str(write_clip(tmp_path / "clip.mkv", pictures=4, seconds_of_sound=0)), kinds=("video",))
    async with asyncio.timeout(10):
        assert len([frame async for frame in iter_frames(player.video)]) == 4


@pytest.mark.parametrize("loops", [True, False])
def test_a_player_nobody_stopped_ends_with_its_event_loop(clip: Path, loops: bool) -> None:
    async def forget() -> Player:
        player = Player(str(clip), loop=loops, kinds=("video",))
        assert player.video is not None
        await player.video.recv()
        return player

    player = asyncio.run(forget())
    assert player._thread is not None
    player._thread.join(10)
    assert not player._thread.is_alive()
