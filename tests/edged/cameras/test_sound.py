from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from edged.cameras.camera import Camera
from edged.cameras.opus import OpusConverter
from edged.cameras.sound import CameraSound
from edged.settings import CameraSettings, Secret
from metered_realtime.media.rtp_audio import AudioFormat, AudioUnit
from tests.edged.cameras.fakes import FakeSource, settings
from tests.sdk.media.camera_process import camera as rtsp_camera

PCMA = AudioFormat("PCMA", "pcm_alaw", 8000, 8000, 1)


class Loud:
    """Pictures with sound."""

    def __init__(self, audio: AudioFormat | None, *offered: str) -> None:
        self.audio = audio
        self.offered = (("video", "H264"), *(("audio", name) for name in offered))
        self.take: Callable[[AudioUnit], None] | None = None

    def hear(self, take: Callable[[AudioUnit], None]) -> None:
        self.take = take


async def test_the_sound_that_was_promised_reaches_every_reader() -> None:
    sound = CameraSound("yard", "pcma")
    assert (sound.kind, sound.mime_type) == ("audio", "audio/PCMA")
    reader = sound.open_reader()
    waiting = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    pictures = Loud(PCMA)
    sound.follow(pictures)
    assert pictures.take is not None
    pictures.take(AudioUnit(b"abc", 0))
    assert bytes(await waiting) == b"abc"
    assert reader.id == sound.id
    reader.stop()


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        (Loud(None), "it sends none; switch it on in the camera, or set audio: none"),
        (Loud(None, "AMR", "MP4A-LATM"), "its AMR and MP4A-LATM could not be taken; choose G.711, Opus or AAC"),
        (object(), "it is not taken where the picture is encoded here"),
        (Loud(AudioFormat("AAC", "aac", 48000, 48000, 2)), "it sends AAC, not pcma; set audio: opus with transcode"),
        (Loud(AudioFormat("PCMU", "pcm_mulaw", 8000, 8000, 1)), "it sends PCMU, not pcma; set audio: pcmu, or"),
        (Loud(AudioFormat("PCMA", "pcm_alaw", 16000, 16000, 1)), "not 8000 Hz mono"),
    ],
)
def test_another_sound_is_not_sent_and_told_once(caplog: pytest.LogCaptureFixture, pictures: object, says: str) -> None:
    sound = CameraSound("yard", "pcma")
    for _ in range(2):
        sound.follow(pictures)
    (line,) = caplog.messages
    assert line.startswith("camera yard: no sound: ")
    assert says in line
    assert getattr(pictures, "take", None) is None


def test_any_sound_becomes_opus_where_that_is_allowed() -> None:
    pictures = Loud(PCMA)
    CameraSound("yard", "opus", may_encode=True).follow(pictures)
    assert pictures.take is not None
    refused = Loud(PCMA)
    CameraSound("yard", "opus").follow(refused)
    assert refused.take is None


async def test_nothing_is_encoded_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[AudioUnit] = []
    monkeypatch.setattr(OpusConverter, "push", lambda _self, unit: heard.append(unit))
    pictures = Loud(PCMA)
    sound = CameraSound("yard", "opus", may_encode=True)
    sound.follow(pictures)
    assert pictures.take is not None
    pictures.take(AudioUnit(b"a", 0))
    reader = sound.open_reader()
    waiting = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    pictures.take(AudioUnit(b"b", 160))
    assert [unit.data for unit in heard] == [b"b"]
    waiting.cancel()
    reader.stop()


def test_a_camera_has_a_sound_track_where_the_settings_promise_one() -> None:
    def tracks(**options: str) -> list[str]:
        camera = Camera(
            settings(**options),
            report=lambda _state, _detail: None,
            on_status=lambda: None,
            open_source=FakeSource().open,
        )
        return [track.kind for track in camera.tracks]

    assert tracks() == ["video"]
    assert tracks(audio="opus") == ["video", "audio"]


async def test_a_camera_that_keeps_silent_says_so_beside_its_picture() -> None:
    source, reports = FakeSource(), asyncio.Queue[str]()
    camera = Camera(
        settings(audio="opus"),
        report=lambda _state, detail: reports.put_nowait(detail),
        on_status=lambda: None,
        open_source=source.open,
    )
    running = asyncio.create_task(camera.run())
    reading = asyncio.create_task(camera.track.open_reader().recv())
    (await source.life()).show(0)
    async with asyncio.timeout(5):
        while not (detail := await reports.get()).startswith("live"):
            pass
    assert "; no sound: it is not taken where the picture is encoded here" in detail
    for task in (reading, running):
        task.cancel()
    await asyncio.wait([reading, running])


@pytest.mark.system
@pytest.mark.parametrize(("path", "codec"), [("/alaw", "pcma"), ("/opus", "opus"), ("/aac", "opus")])
async def test_the_sound_of_a_real_camera_is_passed_through(path: str, codec: str) -> None:
    with rtsp_camera() as process:
        camera = Camera(
            CameraSettings(name="yard", source=Secret(process.url(path)), audio=codec, timeout_s=8),
            report=lambda _state, _detail: None,
            on_status=lambda: None,
        )
        task = asyncio.create_task(camera.run())
        picture, sound = (track.open_reader() for track in camera.tracks)
        watching = asyncio.create_task(picture.recv())
        async with asyncio.timeout(15):
            packets = [await sound.recv() for _ in range(10)]
            await watching
        steps = [after.pts - before.pts for before, after in pairwise(packets)]
        assert all(step > 0 for step in steps)
        assert max(steps[-4:]) - min(steps[-4:]) < 8
        for reader in (picture, sound):
            reader.stop()
        task.cancel()
        await asyncio.wait([task])
