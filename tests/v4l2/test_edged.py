"""`edged run` and `edged probe` with real device nodes, seen by a member of the channel."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from metered_realtime import Data, MeteredPeer, PeerJoined, StateChange, Track, iter_frames
from scripts.lib import peers
from scripts.lib.child import Child
from tests.v4l2.conftest import BY_ID, COMPRESSED, MOTION, PATIENCE_S, TEST_S, node, plug_in, unplug, until

pytestmark = pytest.mark.timeout(TEST_S)
CHANNEL = "yard"
SMALL = {"width": 320, "height": 180, "fps": 10, "bitrate_kbps": 300}
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


class Watcher:
    """A member of the channel that counts the pictures of each camera and keeps what is said of them."""

    def __init__(self, hub: peers.Hub) -> None:
        self.peer = MeteredPeer(api_key=hub.key, url=hub.url)
        self.frames: Counter[str] = Counter()
        self.sizes: dict[str, tuple[int, int]] = {}
        self.said: dict[str, dict[str, Any]] = {}
        self.links: list[str] = []
        self.peer.on(PeerJoined, self._joined)
        self.peer.on(Data, self._data)

    def _joined(self, joined: PeerJoined) -> None:
        joined.peer.on(Track, self._track)
        joined.peer.on(StateChange, lambda change: self.links.append(change.to))

    async def _track(self, event: Track) -> None:
        name = (event.metadata or {}).get("camera", "?")
        async for frame in iter_frames(event.track):
            self.frames[name] += 1
            self.sizes[name] = (frame.width, frame.height)

    def _data(self, event: Data) -> None:
        if event.data.get("type") == "edged/camera":
            self.said[event.data["camera"]] = event.data

    async def more_of(self, camera: str, count: int) -> None:
        """Wait for so many more pictures of it."""
        enough = self.frames[camera] + count
        await until(lambda: self.frames[camera] >= enough, f"{count} pictures of {camera}: {self.said.get(camera)}")

    async def state(self, camera: str, state: str) -> str:
        """Wait until the camera is said to be in that state; return the reason."""
        said = self.said
        await until(lambda: said.get(camera, {}).get("state") == state, f"{camera} {state}, but {said.get(camera)}")
        return str(said[camera]["reason"])


@pytest.fixture
async def hub() -> AsyncIterator[peers.Hub]:
    async with peers.hub() as running:
        yield running


async def site(stack: AsyncExitStack, folder: Path, hub: peers.Hub, cameras: dict[str, Any]) -> Watcher:
    """Start `edged run` with these cameras, and one who watches."""
    settings = {"gateway": {"name": "gate"}, "hub": {"url": hub.url, "key": hub.key, "channel": CHANNEL}}
    file = folder / "edged.yaml"
    file.write_text(yaml.safe_dump({**settings, "cameras": cameras}))
    gateway = peers.Gateway(file, env={"STATE_DIRECTORY": str(folder)})
    await stack.enter_async_context(gateway)
    await gateway.ready(timeout_s=PATIENCE_S)
    watcher = Watcher(hub)
    await stack.enter_async_context(watcher.peer)
    await watcher.peer.join(CHANNEL)
    return watcher


async def test_cameras_of_every_kind_are_shown(
    raw_camera: str, motion_camera: Child, compressed_camera: Child, hub: peers.Hub, tmp_path: Path
) -> None:
    cameras = {
        "raw": {"source": f"v4l2:{raw_camera}", **SMALL},
        "motion": {"source": f"v4l2:{MOTION}", **SMALL},
        "compressed": {"source": f"v4l2:{COMPRESSED}", **SMALL},
        "absent": {"source": "v4l2:/dev/video77"},
    }
    async with AsyncExitStack() as stack:
        watcher = await site(stack, tmp_path, hub, cameras)
        for name in ("raw", "motion", "compressed"):
            await watcher.more_of(name, 10)
            assert watcher.said[name]["state"] == "live"
        assert watcher.sizes["raw"] == (320, 180)
        assert watcher.sizes["compressed"] == (320, 240), "passed through as it is"
        assert "the camera /dev/video77 is not there: is it plugged in?" in await watcher.state("absent", "lost")


async def test_unplugged_and_plugged_in_again_its_viewer_stays(raw_camera: str, hub: peers.Hub, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        controls = {"brightness": 33}
        camera = {"source": f"v4l2:{raw_camera}", **SMALL, "controls": controls}
        watcher = await site(stack, tmp_path, hub, {"raw": camera})
        for _ in range(2):
            await watcher.more_of("raw", 5)
            assert brightness() == 33, "set again after each opening"
            await unplug()
            reason = await watcher.state("raw", "lost")
            assert "went away: No such device" in reason or "is it plugged in?" in reason
            await plug_in()
            await watcher.state("raw", "live")
        await watcher.more_of("raw", 5)
        assert watcher.links.count("connected") == 1, watcher.links


def brightness() -> int:
    shown = subprocess.run(
        ["v4l2-ctl", "--device", BY_ID, "--get-ctrl", "brightness"], check=True, capture_output=True, text=True
    )
    return int(shown.stdout.split(":")[1])


async def probe(*words: str, as_user: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run `edged probe`; return its exit code and what it wrote."""
    child = await asyncio.create_subprocess_exec(
        *as_user,
        *peers.edged_command("probe", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    written, _ = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    assert child.returncode is not None
    return child.returncode, written.decode()


async def test_probe_of_a_raw_camera_tells_formats_sizes_controls_and_the_road(raw_camera: str) -> None:
    path = node()
    code, text = await probe(path)
    assert code == 0, text
    assert text.startswith(f"v4l2:{path}\n")
    assert "vivid (vivid)" in text
    for part in ("YUYV", "NV12", "320x180@", "640x480@", "brightness: now", "number 0 to 255", "disconnect: button"):
        assert part in text
    assert "taken     YU12 1280x720" in text
    assert "decoded and encoded again, once for all viewers" in text
    report = json.loads((await probe(path, "--json"))[1])
    assert report["browsers"] == "encoded"
    assert report["device"]["taken"]["format"] == "YU12"


async def test_probe_of_a_camera_with_h264_says_that_it_goes_as_it_is(compressed_camera: Child) -> None:
    code, text = await probe(COMPRESSED)
    assert code == 0, text
    assert "taken     H264 320x240" in text
    assert "as the camera sends it" in text
    assert "video     H264 Constrained Baseline" in text


async def test_probe_of_what_cannot_be_read_is_one_sentence(raw_camera: str) -> None:
    code, text = await probe("/dev/video77")
    assert code == 1
    assert "the camera /dev/video77 is not there: is it plugged in?" in text
    path = node()
    code, text = await probe(path, as_user=NOBODY)
    assert code == 1
    assert f'the camera {path} may not be opened by this user: add the user to the group "video"' in text
    assert "Traceback" not in text
