"""Cameras as sites have them, in a real browser: every kind of source, every refusal with its reason, never black."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edged.cameras.clips import film
from tests.system.conftest import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
SMALL = ("--width", "320", "--height", "240", "--kbps", "300", "--gop", "30")


async def test_what_browsers_cannot_show_is_encoded_or_refused_with_a_reason(site: Site) -> None:
    await site.start_hub()
    camera = await site.start_camera(*SMALL)
    cameras = {
        "hevc": {"source": f"{camera.url}/h265"},
        "motion": {"source": f"{camera.url}/mjpeg"},
        "reordered": {"source": f"{camera.url}/bframes"},
        "refused": {"source": f"{camera.url}/bframes", "transcode": "never"},
        "studio": {"source": f"{camera.url}/422", "transcode": "never"},
    }
    await site.start_gateway(site.settings(cameras=cameras))
    viewer = await site.open_viewer()
    for name in ("hevc", "motion", "reordered"):
        picture = await viewer.frames_above(name, 25, timeout_s=40)
        assert (picture.width, picture.height, picture.state) == (320, 240, "live")
    assert "switch them off" in (await viewer.camera_in_state("refused", "failed")).reason
    assert "choose 4:2:0" in (await viewer.camera_in_state("studio", "failed")).reason


async def test_sources_of_every_kind_are_shown(site: Site, tmp_path: Path) -> None:
    await site.start_hub()
    udp = await site.start_camera(*SMALL, "--transport", "udp")
    clip = film(tmp_path / "clip.mp4", frames=100, size=(320, 240))
    reordered = film(tmp_path / "reordered.mp4", frames=100, size=(320, 240), b_frames=2)
    pipe = film(tmp_path / "pipe.h264", frames=100, size=(320, 240), preset="ultrafast", tune="zerolatency")
    loop = f"while :; do cat {pipe}; sleep 1; done"
    cameras = {
        "udp": {"source": f"{udp.url}/cam"},
        "sound": {"source": f"{udp.url}/alaw", "audio": "pcma"},
        "sizes": {"source": f"{udp.url}/resize"},
        "clip": {"source": f"file:{clip}"},
        "reordered": {"source": f"file:{reordered}"},
        "pipe": {"source": f"exec:sh -c '{loop}'"},
        "broken": {"source": "exec:sh -c 'echo no camera is connected >&2; exit 3'"},
        "built-in": {"source": "test:"},
        "absent": {"source": "v4l2:/dev/video99"},
    }
    await site.start_gateway(site.settings(cameras=cameras))
    viewer = await site.open_viewer()
    for name in ("udp", "sound", "clip", "reordered", "pipe", "built-in"):
        picture = await viewer.frames_above(name, 25, timeout_s=40)
        assert (picture.width > 0, picture.state) == (True, "live"), name
    assert "ended with status 3: no camera is connected" in (await viewer.camera_in_state("broken", "lost")).reason
    assert "is it plugged in?" in (await viewer.camera_in_state("absent", "lost")).reason
    await viewer.page.wait_for("return edgedViewer.cameras().some((one) => one.name === 'sizes' && one.width === 160)")
    await viewer.page.wait_for("return edgedViewer.cameras().some((one) => one.name === 'sizes' && one.width === 320)")
    heard = "return [...document.querySelectorAll('video')].some((one) => one.srcObject?.getAudioTracks().length)"
    await viewer.page.wait_for(heard)
