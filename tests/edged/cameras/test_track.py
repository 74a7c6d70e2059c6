from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

from edged.cameras.track import CameraTrack
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource


class Watched:
    def __init__(self) -> None:
        self.calls: list[bool] = []
        self.track = CameraTrack(on_demand=self.calls.append, clock=lambda: 0.0)


def test_it_says_of_itself_what_the_source_behind_it_will_be() -> None:
    track = Watched().track
    assert (track.kind, track.mime_type) == (EncodedVideoSource.kind, EncodedVideoSource.mime_type)
    assert track.open_reader().id == track.id
    assert track.id != Watched().track.id
    assert CameraTrack(on_demand=lambda _watched: None, clock=lambda: 0.0, id="yard").open_reader().id == "yard"


async def test_every_reader_reads_from_one_source() -> None:
    watched = Watched()
    readers = [watched.track.open_reader() for _ in range(2)]
    assert watched.calls == []
    waiting = [asyncio.create_task(reader.recv()) for reader in readers]
    await asyncio.sleep(0)
    assert watched.calls == [True]
    watched.track.push(AccessUnit(b"picture", 0, True))
    assert [bytes(await packet) for packet in waiting] == [b"picture"] * 2
    for reader in readers:
        reader.stop()
    assert watched.calls == [True, False]


def test_it_knows_the_rate_of_its_pictures() -> None:
    now_s = [0.0]
    track = CameraTrack(on_demand=lambda _watched: None, clock=lambda: now_s[0])
    assert track.bps == 0.0
    for second in range(3):
        now_s[0] = float(second)
        track.push(AccessUnit(bytes(1000), second * 90_000, True))
    assert track.bps == 12_000


async def test_what_came_before_the_first_viewer_is_shown_to_it() -> None:
    watched = Watched()
    watched.track.rebase()
    await watched.track.load()
    await watched.track.load()
    watched.track.push(AccessUnit(b"picture", 0, True))
    reader = watched.track.open_reader()
    assert bytes(await reader.recv()) == b"picture"
    reader.stop()


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, time\n"
        "from edged.cameras.track import CameraTrack\n"
        "track = CameraTrack(on_demand=print, clock=time.monotonic)\n"
        "track.rebase()\n"
        "assert not {'av', 'aiortc', 'metered_realtime.media.encoded'} & set(sys.modules)\n"
        "track.open_reader()\n"
        "assert {'av', 'aiortc'} <= set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def agreed(watched: Watched, *codecs: str) -> Any:
    reader = watched.track.open_reader()
    reader.agree(codecs)
    return reader


async def test_everybody_is_sent_what_the_camera_sends_if_they_take_it() -> None:
    watched = Watched()
    both, old = agreed(watched, "video/H264", "video/H265"), agreed(watched, "video/H264")
    waiting = [asyncio.create_task(reader.recv()) for reader in (both, old)]
    await asyncio.sleep(0)
    watched.track.follow("H265")
    assert (watched.track.own_codec, watched.track.is_read("H265"), watched.track.is_read("H264")) == (
        "H265",
        True,
        True,
    )
    watched.track.push(AccessUnit(b"own", 0, True))
    watched.track.push(AccessUnit(b"made", 0, True), "H264")
    assert [bytes(await packet) for packet in waiting] == [b"own", b"made"]
    for reader in (both, old):
        reader.stop()
    assert watched.calls == [True, False], "it was wanted all the time"


async def test_one_codec_can_be_read_alone() -> None:
    watched = Watched()
    watched.track.follow("H265")
    watched.track.push(AccessUnit(b"own", 0, True))
    reader = watched.track.open_codec("H265")
    assert bytes(await reader.recv()) == b"own"
    assert watched.calls == [True]
    reader.stop()


async def test_another_codec_begins_with_its_own_pictures() -> None:
    watched = Watched()
    watched.track.push(AccessUnit(b"old", 0, True))
    watched.track.follow("H265")
    watched.track.push(AccessUnit(b"new", 0, True))
    watched.track.follow("H264")
    reader = agreed(watched, "video/H264")
    waiting = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    watched.track.push(AccessUnit(b"now", 0, True))
    assert bytes(await waiting) == b"now"
    reader.stop()
