"""A recorder: pictures and sound of a camera into a file, until the camera is taken away, and again when it is back."""

import asyncio
import tempfile
from pathlib import Path

import av
from aiortc.contrib.media import MediaRecorder
from stage import Audience, Pictures, arrives, perform, play_tone

import metered_realtime as sdk

FACTS = (
    "the file has the pictures",
    "the file has the sound",
    "frames can be read after the recording",
    "the end of the stream is told",
    "reading frames ends with the stream",
    "a stream that comes back is recorded again",
)


async def record(stage, audience, file, number):
    """Record whatever the stream `number` brings, for two seconds of pictures."""
    if not await arrives(lambda: len(audience.all(sdk.Track)) >= 2 * number + 2):
        return False
    recorder = MediaRecorder(str(file))
    for event in audience.all(sdk.Track)[2 * number :]:
        recorder.addTrack(event.track)
    await recorder.start()
    await asyncio.sleep(2)
    await recorder.stop()
    return file.exists()


def contents(file):
    """Return how many pictures there are, and how many seconds of sound."""
    with av.open(str(file)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    with av.open(str(file)) as container:
        sound_s = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return pictures, sound_s


async def play(stage):
    camera, viewer = await stage.peer("b-camera"), await stage.peer("a-recorder")
    audience, tone = Audience(viewer, watches=False), sdk.AudioSource()
    stream = sdk.MediaStream([Pictures(), tone], id="camera")
    camera.add_stream(stream)
    playing = asyncio.create_task(play_tone(tone, 440))
    await stage.meet(viewer, camera)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first.mp4"), Path(folder, "second.mp4")
        pictures, sound_s = contents(first) if await record(stage, audience, first, 0) else (0, 0)
        stage.fact("the file has the pictures", pictures >= 20)
        stage.fact("the file has the sound", sound_s >= 1)
        for event in audience.all(sdk.Track):
            audience.watch(event.track)
        reading = await audience.sees(64) and await audience.hears(420, 460)
        stage.fact("frames can be read after the recording", reading)
        camera.remove_stream(stream)
        stage.fact("the end of the stream is told", await arrives(lambda: audience.all(sdk.StreamRemoved), 4))
        stage.fact(
            "reading frames ends with the stream", await arrives(lambda: all(t.done() for t in audience.watching), 2)
        )
        camera.add_stream(stream)
        again = contents(second) if await record(stage, audience, second, 1) else (0, 0)
        stage.fact("a stream that comes back is recorded again", again[0] >= 20)
    playing.cancel()


perform(play, FACTS)
