"""The search for an encoder on a machine with cameras and a graphics node, none of which encodes H.264."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from metered_realtime.media.camera_source import CameraSource
from metered_realtime.media.encoder_search import Candidate
from metered_realtime.media.hardware_encoders import HardwareEncoders, look_for_devices, try_in_process
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.v4l2_controls import suggest_encoding
from metered_realtime.media.v4l2_encoders import encoder_nodes
from scripts.lib.child import Child
from tests.v4l2.conftest import COMPRESSED, PATIENCE_S, TEST_S, run, until
from tests.v4l2.test_edged import NOBODY, SMALL, probe

pytestmark = pytest.mark.timeout(TEST_S)
RENDER_NODE = "/dev/dri/renderD128"


@pytest.fixture
async def render_node() -> AsyncIterator[str]:
    """A graphics device without any encoder."""
    run("modprobe", "vgem")
    await until(Path(RENDER_NODE).exists, f"{RENDER_NODE} coming")
    run("udevadm", "settle")
    yield RENDER_NODE
    await until(lambda: run("sh", "-c", "modprobe --remove vgem && echo gone || true"), "vgem going")


async def test_cameras_and_loopbacks_are_no_encoders(raw_camera: str, compressed_camera: Child) -> None:
    assert encoder_nodes() == ((), ()), "a camera that gives H.264 takes no pictures"
    assert look_for_devices() == ((), ())


async def test_ffmpeg_looking_for_an_encoder_leaves_the_cameras_alone(compressed_camera: Child) -> None:
    source = CameraSource(COMPRESSED, width=320, height=240, fps=15, passthrough=True)
    player = LivePlayer(source, name=source.name, kinds=("video",), passthrough=True)
    assert player.video is not None
    reader = player.video.open_reader()  # type: ignore[union-attr]
    await asyncio.wait_for(reader.recv(), PATIENCE_S)
    tried = await asyncio.to_thread(try_in_process, Candidate("h264_v4l2m2m", COMPRESSED), PATIENCE_S)
    # FFmpeg takes a fed loopback for an encoder, and crashes on it: alone, in its own process.
    assert tried.pixel_format == ""
    for _ in range(5):
        await asyncio.wait_for(reader.recv(), PATIENCE_S)
    await player.aclose()


async def test_a_camera_without_such_controls_is_left_as_it_is(compressed_camera: Child) -> None:
    assert suggest_encoding(COMPRESSED, bitrate_bps=500_000, gop_pictures=30) == ()
    source = CameraSource(COMPRESSED, width=320, height=240, fps=15, passthrough=True)
    player = LivePlayer(source, name=source.name, kinds=("video",), passthrough=True)
    reader = player.video.open_reader()  # type: ignore[union-attr]
    await asyncio.wait_for(reader.recv(), PATIENCE_S)
    assert not source.request_key_frame()
    await player.aclose()


async def test_a_graphics_node_is_tried_and_found_to_be_no_encoder(render_node: str) -> None:
    search = await asyncio.to_thread(HardwareEncoders().search)
    assert search.found is None
    assert [(one.candidate.encoder, one.candidate.device) for one in search.trials] == [
        ("h264_vaapi", render_node),
        ("h264_qsv", render_node),
    ]
    assert all(one.reason for one in search.trials), search


async def test_probe_tells_what_was_tried_and_that_software_does_it(
    render_node: str, raw_camera: str, tmp_path: Path
) -> None:
    settings = {"hub": {"key": "pk_live_x"}, "cameras": {"raw": {"source": f"v4l2:{raw_camera}", **SMALL}}}
    (tmp_path / "edged.yaml").write_text(json.dumps(settings))
    code, text = await probe("raw", "--config", str(tmp_path / "edged.yaml"), "--json")
    assert code == 0, text
    report = json.loads(text)
    assert report["encoded"]["road"] == "encoded by libx264"
    assert report["encoder"]["found"] is None
    assert [one["encoder"] for one in report["encoder"]["tried"]] == ["h264_vaapi", "h264_qsv"]


async def test_a_user_who_may_not_use_the_device_is_told(render_node: str) -> None:
    text = run(
        *NOBODY,
        "python3",
        "-c",
        "from metered_realtime.media.hardware_encoders import look_for_devices; print(look_for_devices()[1])",
    )
    assert f'{render_node} may not be opened by this user: add the user to the group "render"' in text
