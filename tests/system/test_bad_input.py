"""What a user gets wrong: each fault is one sentence that says what to change, and the rest of the gateway runs on."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from scripts.lib import peers
from scripts.lib.child import Child
from tests.system.conftest import Site, publish, subscribed

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
ROUTES = {"routes": [{"topic": "plant/#"}]}
EXIT_CONFIG = 78
SECRET = "correct-horse-battery"


async def one_sentence(child: Child, *parts: str) -> str:
    """Wait for the one line that has the first part; assert that it has the others and that it is no traceback."""
    line = await child.log_line(parts[0], timeout_s=30)
    for part in parts:
        assert part in line
    assert "Traceback" not in child.log
    assert SECRET not in child.log
    return line


async def readings_flow(site: Site, broker: peers.Broker, gateway: peers.Gateway) -> None:
    """Assert that telemetry of this gateway works."""
    await subscribed(gateway)
    recorder = await site.start_recorder()
    await publish(broker, "plant/still-works", [1])
    assert await recorder.until_values("plant/still-works", [1]) == [1]


async def run_to_its_end(*words: str) -> tuple[int, str]:
    """Run `edged WORDS` and return exit code and output."""
    async with Child("edged", peers.edged_command(*words), env=peers.tree_environment()) as child:
        return await child.exited(timeout_s=15), child.log


async def test_wrong_camera_password_is_told_once_and_readings_flow(site: Site) -> None:
    broker, _ = await site.start_broker(), await site.start_hub()
    camera = await site.start_camera("--digest", "admin:right")
    yard = {"source": f"{camera.url}/cam", "username": "admin", "password": SECRET, "keep_warm": True}

    gateway = await site.start_gateway(site.settings(cameras={"yard": yard}, telemetry=ROUTES))

    await one_sentence(gateway, "yard", "password")
    await readings_flow(site, broker, gateway)


async def test_camera_without_h264_says_what_it_found(site: Site) -> None:
    broker, _, camera = await site.start_broker(), await site.start_hub(), await site.start_camera()
    cameras = {
        "barn": {"source": f"{camera.url}/mjpeg", "keep_warm": True, "transcode": "never"},
        "yard": {"source": f"{camera.url}/cam"},
    }

    gateway = await site.start_gateway(site.settings(cameras=cameras, telemetry=ROUTES))

    await one_sentence(gateway, "barn", "JPEG", "H.264")
    await readings_flow(site, broker, gateway)
    viewer = await site.open_viewer()
    await viewer.frames_above("yard", 5, timeout_s=30)
    assert (await viewer.camera_in_state("barn", "failed")).reason


async def test_unreachable_camera_is_told_and_shown_to_viewers(site: Site) -> None:
    await site.start_hub()
    port = peers.free_port()

    gateway = await site.start_gateway(site.settings(cameras={"yard": {"source": f"rtsp://127.0.0.1:{port}/cam"}}))
    viewer = await site.open_viewer()

    await one_sentence(gateway, "yard", str(port))
    assert (await viewer.camera_in_state("yard", "lost")).reason


async def test_unreachable_broker_is_told_and_the_camera_works(site: Site) -> None:
    await site.start_hub()
    camera = await site.start_camera()
    port = peers.free_port()
    settings = site.settings(cameras={"yard": {"source": f"{camera.url}/cam"}}, telemetry=ROUTES, mqtt={"port": port})

    gateway = await site.start_gateway(settings)

    await one_sentence(gateway, "mqtt", f"127.0.0.1:{port}")
    viewer = await site.open_viewer()
    await viewer.frames_above("yard", 5, timeout_s=30)


async def test_refused_hub_key_is_told_and_readings_are_kept_for_the_right_one(site: Site) -> None:
    broker, hub = await site.start_broker(), await site.start_hub()
    right = site.settings(telemetry=ROUTES)
    wrong = {**right, "hub": {**right["hub"], "key": f"pk_live_{SECRET}"}}
    gateway = await site.start_gateway(wrong)
    await subscribed(gateway)

    await one_sentence(gateway, "hub.key", hub.url)
    await publish(broker, "plant/counter", range(20))
    await gateway.stop()

    recorder = await site.start_recorder()
    await site.start_gateway(right)
    assert list(dict.fromkeys(await recorder.until_values("plant/counter", range(20)))) == list(range(20))


async def test_hub_on_a_port_in_use_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        code, output = await run_to_its_end("hub", "--listen", f"127.0.0.1:{port}", "--key", "pk_live_x")

    assert code == 1
    assert str(port) in output
    assert "in use" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (None, ["edged.yaml", "no such file"]),
        ("hub: {url: ws://127.0.0.1:1\n", ["edged.yaml:"]),
        ("mqtt: {port: many}\n", ["edged.yaml:1:", "mqtt.port", "number"]),
        ("camera: {}\n", ["edged.yaml:1:1", "camera", "cameras"]),
        ("mqtt:\n  prot: 1\nlog:\n  level: loud\n", ["edged.yaml:2:3", "port", "edged.yaml:4:", "debug"]),
    ],
    ids=["missing file", "syntax", "wrong type", "unknown key", "two faults"],
)
async def test_faulty_file_is_refused_with_its_place(tmp_path: Path, text: str | None, parts: list[str]) -> None:
    file = tmp_path / "edged.yaml"
    if text is not None:
        file.write_text(text)

    runs: list[tuple[int, str]] = await asyncio.gather(
        run_to_its_end("check", str(file)), run_to_its_end("run", "--config", str(file))
    )

    for code, output in runs:
        assert code == EXIT_CONFIG
        assert "Traceback" not in output
        for part in parts:
            assert part.lower() in output.lower()


async def test_gateway_without_a_camera_never_loads_webrtc(site: Site) -> None:
    await site.start_broker()
    await site.start_hub()

    gateway = await site.start_gateway(site.settings(telemetry=ROUTES))
    await subscribed(gateway)

    mapped: Any = Path(f"/proc/{gateway.pid}/maps").read_text()
    for library in ("libav", "pylibsrtp", "cryptography"):
        assert library not in mapped
