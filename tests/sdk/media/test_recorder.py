from __future__ import annotations

import asyncio
import itertools
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from metered_realtime import AudioSource, MeteredPeer, events
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.received import ReceivedTrack
from metered_realtime.media.received_gate import DecoderGate
from metered_realtime.media.recorder import Recorder
from metered_realtime.media.recorder_events import FileFinished, FileStarted, RecordingFailed, TrackRefused
from metered_realtime.media.relay import Relay
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from metered_realtime.media.video_source import VideoSource
from tests.sdk.media.pictures import BLUE, GREEN, RED, is_near, native_threads, solid, threads_end, until
from tests.sdk.media.tracks import Clock, Scripted, sound
from tests.sdk.real_hub import KEY, channel, environment, hub_url  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _no_thread_is_left_to_the_next_test() -> Iterator[None]:
    yield
    assert threads_end("recorder", "video encoder")


class Played:
    """What a file holds."""

    def __init__(self, path: Path) -> None:
        with av.open(str(path)) as container:
            self.codecs = [stream.codec_context.name for stream in container.streams]
            self.times: dict[str, list[float]] = {"video": [], "audio": []}
            self.frames: list[Any] = []
            self.loudness: list[tuple[float, int]] = []
            for frame in container.decode():
                if isinstance(frame, av.VideoFrame):
                    self.times["video"].append(frame.time)
                    self.frames.append(frame)
                else:
                    self.times["audio"].append(frame.time)
                    self.loudness.append((frame.time, loudness(frame)))
        with av.open(str(path)) as container:
            self.packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
            self.sizes = [packet.size for packet in self.packets]
            self.first_is_key = not self.packets or self.packets[0].is_keyframe


def loudness(frame: Any) -> int:
    resampled = av.AudioResampler(format="s16", layout="mono", rate=48_000).resample(frame)
    data = b"".join(bytes(each.planes[0])[: each.samples * 2] for each in resampled)
    return max((abs(value) for (value,) in struct.iter_unpack("h", data)), default=0)


@asynccontextmanager
async def ticking(step: Callable[[], object], *, per_s: float = 30) -> AsyncIterator[None]:
    """Call `step` all the while."""

    async def run() -> None:
        begun_s, number = time.monotonic(), 0
        while True:
            step()
            number += 1
            await asyncio.sleep(max(0.0, begun_s + number / per_s - time.monotonic()))

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def finished(recorder: Recorder) -> list[FileFinished]:
    out: list[FileFinished] = []
    recorder.on(FileFinished, out.append)
    return out


async def written(recorder: Recorder, samples: int) -> None:
    await until(lambda: recorder.stats().written_samples >= samples)


def recording_threads() -> int:
    return sum(thread.name in ("recorder", "video encoder") for thread in threading.enumerate())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
async def test_raw_pictures_and_sound_are_recorded_together(tmp_path: Path, suffix: str) -> None:
    before = native_threads()
    video, audio = ReceivedTrack("video", "v"), AudioSource(input_rate=48_000)
    path = tmp_path / f"out{suffix}"
    async with Recorder(path, [video, audio]) as recorder:
        files = finished(recorder)
        async with ticking(lambda: video.put(solid(GREEN, 160, 120))):
            await written(recorder, 60)
        assert recorder.tracks == [video, audio]
    audio.stop()
    assert recording_threads() == 0
    await until(lambda: native_threads() <= before)
    assert files == [FileFinished(path, files[0].duration_s, path.stat().st_size)]
    played = Played(path)
    assert played.codecs == {".mp4": ["h264", "aac"], ".mkv": ["h264", "opus"], ".webm": ["vp8", "opus"]}[suffix]
    assert played.first_is_key
    assert is_near(played.frames[-1], GREEN)
    assert played.times["video"][0] == pytest.approx(0, abs=0.01)
    # Each ends with what the other had brought when the recording ended, a second's sound at most on a busy machine.
    assert 0 < played.times["video"][-1] <= files[0].duration_s
    assert 0 < played.times["audio"][-1] <= files[0].duration_s


async def test_encoded_pictures_are_written_without_decoding(tmp_path: Path) -> None:
    source = EncodedVideoSource()
    encoder = VideoEncoder(EncoderSettings())
    units = [u for n in range(30) for u in encoder.encode(solid(RED), n * 3000)]
    path = tmp_path / "out.mkv"
    async with Recorder(path, [source]) as recorder:
        for unit in units:
            source.push(unit)
        await written(recorder, 30)
        assert source.viewers == 1
    assert source.viewers == 0
    played = Played(path)
    assert played.sizes == [unit.size_bytes for unit in units] or len(played.sizes) == 30
    assert len(played.frames) == 30
    assert is_near(played.frames[-1], RED)


async def test_what_came_shortly_before_is_recorded_at_its_own_time(tmp_path: Path) -> None:
    clock = Clock(time.monotonic() - 2)
    source = EncodedVideoSource(clock=clock)
    encoder = VideoEncoder(EncoderSettings())
    for number in range(30):
        clock.now_s += 1 / 20
        for unit in encoder.encode(solid(BLUE), number * 4500):
            source.push(unit)
    path = tmp_path / "out.mp4"
    async with Recorder(path, [source]) as recorder:
        files = finished(recorder)
        await written(recorder, 25)
    times = Played(path).times["video"]
    assert files[0].duration_s == pytest.approx(len(times) / 20, abs=0.1)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([1 / 20] * (len(times) - 1), abs=0.01)


async def test_a_video_source_is_recorded_with_the_encoder_its_viewers_share(tmp_path: Path) -> None:
    source = VideoSource(key_frame_interval_s=600)
    async with Recorder(tmp_path / "out-{n}.mp4", [source], rotate_s=0.7) as recorder:
        files = finished(recorder)
        async with ticking(lambda: source.push(solid(BLUE))):
            await until(lambda: len(files) == 3)
    source.end()
    played = [Played(file.path) for file in files]
    assert all(each.first_is_key for each in played), "key frames were asked for"
    assert all(is_near(each.frames[0], BLUE) for each in played)
    assert source.stats().key_frames == len(files)
    total = sum(len(each.frames) for each in played)
    assert sum(file.duration_s for file in files) == pytest.approx(total / 30, abs=0.35), "piece follows piece"
    assert [file.path.name for file in files] == [f"out-{n}.mp4" for n in range(1, len(files) + 1)]
    await until(lambda: recording_threads() == 0)


async def test_a_track_that_ends_and_comes_anew_goes_on_in_the_same_file(tmp_path: Path) -> None:
    first, second = ReceivedTrack("video", "v"), ReceivedTrack("video", "v")
    path = tmp_path / "out.mp4"
    async with Recorder(path) as recorder:
        files = finished(recorder)
        recorder.add_track(first)
        recorder.add_track(first)
        async with ticking(lambda: first.put(solid(RED))):
            await written(recorder, 20)
        first.stop()
        await until(lambda: recorder.tracks == [])
        await asyncio.sleep(0.3)
        recorder.add_track(second)
        async with ticking(lambda: second.put(solid(GREEN))):
            await written(recorder, 40)
        recorder.remove_track(second)
        recorder.remove_track(second)
        assert recorder.tracks == []
    assert len(files) == 1
    played = Played(path)
    assert is_near(played.frames[0], RED)
    assert is_near(played.frames[-1], GREEN)
    gaps = [b - a for a, b in itertools.pairwise(played.times["video"])]
    assert max(gaps) > 0.25, "the pause keeps its length"


async def test_a_local_track_is_recorded_beside_the_peers_that_read_it(tmp_path: Path) -> None:
    track = Scripted("audio")
    peers = Relay(track)
    peer = peers.open_reader()
    reading = asyncio.create_task(peer.recv())
    async with Recorder(tmp_path / "out.mkv", [track]) as recorder:
        numbers = iter(range(10_000))
        async with ticking(lambda: track.items.put_nowait(sound(next(numbers) * 960)), per_s=50):
            await reading
            await written(recorder, 20)
            peer.stop()
            await peers.settle()
            count = recorder.stats().written_samples
            await written(recorder, count + 20)
    assert track.reads > 40
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["opus"]


async def test_what_the_container_has_no_place_for_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    h264, audio, odd = EncodedVideoSource(id="cam"), AudioSource(), Scripted("audio", av.Packet(b"opus"))
    refused: list[TrackRefused] = []
    async with Recorder(tmp_path / "out.webm", [h264, audio, odd]) as recorder:
        recorder.on(TrackRefused, refused.append)
        h264.push(AccessUnit(b"\0\0\0\1\x65", 0, is_key=True))
        await until(lambda: len(refused) == 2)
        await written(recorder, 10)
        assert recorder.tracks == [audio]
    audio.stop()
    assert {each.track_id for each in refused} == {"cam", odd.id}


async def test_a_full_disk_is_one_event_and_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    video = ReceivedTrack("video", "v")
    told: list[Any] = []
    async with Recorder(path, [video]) as recorder:
        for kind in (FileStarted, FileFinished, RecordingFailed):
            recorder.on(kind, told.append)
        async with ticking(lambda: video.put(solid(RED)), per_s=60):
            await until(lambda: recorder.stats().failed_samples > 10)
        assert recorder.tracks == [video]
    assert [event.err.errno for event in told if isinstance(event, RecordingFailed)] == [28]
    assert recorder.stats().failures >= 1
    assert len(caplog.records) == 1


KILLED = """
import asyncio, os, sys
from metered_realtime.media.recorder import Recorder
from metered_realtime.media.received import ReceivedTrack
from tests.sdk.media.pictures import RED, solid

async def main():
    video = ReceivedTrack("video", "v")
    async with Recorder(sys.argv[1], [video]) as recorder:
        while recorder.stats().written_samples < 90:
            video.put(solid(RED))
            await asyncio.sleep(1 / 60)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_a_killed_program_leaves_a_file_that_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment(), check=False, timeout=50)
    assert done.returncode == -signal.SIGKILL
    played = Played(path)
    assert played.times["video"][-1] > 0.4
    assert is_near(played.frames[-1], RED)


LIMITED = """
import asyncio, resource, sys
from metered_realtime.media.recorder import Recorder
from metered_realtime.media.recorder_events import FileFinished, RecordingFailed
from metered_realtime.media.received import ReceivedTrack
from tests.sdk.media.pictures import GREEN, RED, solid

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    video, told = ReceivedTrack("video", "v"), []
    async with Recorder(sys.argv[1], [video]) as recorder:
        recorder.on(RecordingFailed, lambda event: told.append(type(event.err).__name__))
        recorder.on(FileFinished, lambda event: told.append(event.size_bytes))
        while not recorder.stats().failed_samples:
            video.put(solid(RED, 320, 240))
            await asyncio.sleep(1 / 60)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        count = recorder.stats().written_samples
        while recorder.stats().written_samples < count + 20:
            video.put(solid(GREEN, 320, 240))
            await asyncio.sleep(1 / 60)
    assert [type(each) for each in told] == [str, int, int], told

asyncio.run(main())
"""


def test_recording_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out-{n}.mp4")], env=environment(), check=True, timeout=50
    )
    assert is_near(Played(tmp_path / "out-2.mp4").frames[-1], GREEN)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("out.avi", {}),
        ("out.mp4", {"rotate_s": 0}),
        ("out.mp4", {"rotate_bytes": -1}),
        ("out.mp4", {"video_bitrate_bps": 1}),
    ],
)
def test_what_cannot_work_is_refused_at_once(path: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"mp4|rotate|bitrate"):
        Recorder(path, **options)


async def test_what_is_no_track_is_refused(tmp_path: Path) -> None:
    async with Recorder(tmp_path / "out.mp4") as recorder:
        with pytest.raises(TypeError, match="track"):
            recorder.add_track(object())
    recorder.add_track(ReceivedTrack("audio", "late"))
    assert recorder.tracks == []
    await recorder.aclose()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "files"), [(".webm", 1), (".mp4", 2)])
async def test_another_size_is_another_file_only_where_the_codec_needs_it(
    tmp_path: Path, suffix: str, files: int
) -> None:
    video = ReceivedTrack("video", "v")
    async with Recorder(tmp_path / f"{{n}}{suffix}", [video]) as recorder:
        done = finished(recorder)
        for size in ((160, 120), (320, 240)):
            count = recorder.stats().written_samples
            async with ticking(lambda size=size: video.put(solid(GREEN, *size))):
                await written(recorder, count + 20)
    assert len(done) == files
    frames = [frame for each in done for frame in Played(each.path).frames]
    assert {(frame.width, frame.height) for frame in frames} == {(160, 120), (320, 240)}
    assert all(is_near(frame, GREEN) for frame in frames)


async def test_it_is_entered_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mp4")
    async with recorder:
        with pytest.raises(RuntimeError, match="entered once"):
            await recorder.__aenter__()
    with pytest.raises(RuntimeError, match="entered once"):
        await recorder.__aenter__()
    assert recording_threads() == 0


async def test_what_a_peer_takes_away_is_taken_off_and_what_it_brings_back_is_recorded_once(tmp_path: Path) -> None:
    gate = DecoderGate("video", want_key_frame=lambda: None)
    codec = SimpleNamespace(name="H264", mimeType="video/H264")
    first, again = (ReceivedTrack("video", "cam", gate=gate) for _ in range(2))
    encoder = VideoEncoder(EncoderSettings(key_frame_interval_s=0.1))
    numbers = itertools.count()
    path = tmp_path / "out.mp4"

    def step() -> None:
        number = next(numbers)
        for unit in encoder.encode(solid(RED), number * 3000):
            gate.put((codec, SimpleNamespace(data=unit.data, timestamp=unit.pts_90k)))

    async with Recorder(path, [first]) as recorder, ticking(step):
        files = finished(recorder)
        await written(recorder, 10)
        first.stop()
        await until(lambda: recorder.tracks == [])
        recorder.add_track(again)
        await written(recorder, recorder.stats().written_samples + 10)
        assert recorder.tracks == [again]
    again.stop()
    assert [file.path for file in files] == [path]
    assert Played(path).codecs == ["h264"], "in the place of the first, and not beside it"


async def test_a_remote_peer_is_recorded_with_picture_and_sound_in_time(
    tmp_path: Path,
    hub_url: str,  # noqa: F811
    channel: str,  # noqa: F811
) -> None:
    video, audio = VideoSource(), AudioSource(input_rate=48_000)
    path = tmp_path / "meeting.mp4"
    shown = [BLUE]
    async with AsyncExitStack() as stack:
        sender, bot = (MeteredPeer(api_key=KEY, url=hub_url) for _ in range(2))
        for peer in (sender, bot):
            stack.push_async_callback(peer.close)
        recorder = await stack.enter_async_context(Recorder(path))

        def met(event: events.PeerJoined) -> None:
            event.peer.on(events.Track, lambda arrived: recorder.add_track(arrived.track))

        bot.on(events.PeerJoined, met)
        sender.add_track(video)
        sender.add_track(audio)
        await bot.join(channel)
        await sender.join(channel)
        await stack.enter_async_context(ticking(lambda: video.push(solid(shown[0], 160, 120))))
        await written(recorder, 60)
        shown[0] = RED
        await audio.push(struct.pack("9600h", *([12_000] * 24 + [-12_000] * 24) * 200))
        count = recorder.stats().written_samples
        await written(recorder, count + 60)
    video.end()
    audio.end()
    played = Played(path)
    assert played.codecs == ["h264", "aac"]
    red_s = next(t for t, frame in zip(played.times["video"], played.frames, strict=True) if is_near(frame, RED, 40))
    loud_s = next(t for t, level in played.loudness if level > 4000)
    assert abs(red_s - loud_s) < 1.0, "one clock; how late a picture is depends on how busy the machine is"
    assert recorder.stats().failed_items == 0


async def test_what_a_peer_sends_is_recorded_without_decoding(tmp_path: Path, hub_url: str, channel: str) -> None:  # noqa: F811
    video = VideoSource(key_frame_interval_s=600)
    async with AsyncExitStack() as stack:
        sender, bot = (MeteredPeer(api_key=KEY, url=hub_url) for _ in range(2))
        for peer in (sender, bot):
            stack.push_async_callback(peer.close)
        recorder = await stack.enter_async_context(Recorder(tmp_path / "{n}.mp4", rotate_s=1))
        files = finished(recorder)
        tracks: list[Any] = []

        def met(event: events.PeerJoined) -> None:
            event.peer.on(
                events.Track, lambda arrived: tracks.append(arrived.track) or recorder.add_track(arrived.track)
            )

        bot.on(events.PeerJoined, met)
        sender.add_track(video)
        await bot.join(channel)
        await sender.join(channel)
        await stack.enter_async_context(ticking(lambda: video.push(solid(BLUE, 160, 120))))
        await until(lambda: len(files) == 1)
        decoded = len(tracks[0]._frames) + tracks[0].dropped_frames
        await until(lambda: len(files) == 2)
        assert len(tracks[0]._frames) + tracks[0].dropped_frames == decoded, "nobody looks: nothing is decoded"
        frame = await tracks[0].recv()
        assert is_near(frame, BLUE)
    video.end()
    assert video.stats().key_frames >= 3, "the recorder asked its peer for them"
    assert [len(Played(file.path).frames) > 10 for file in files[:2]] == [True, True]
