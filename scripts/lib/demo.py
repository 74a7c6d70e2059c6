"""scripts/demo: a whole site on one machine (broker, hub, RTSP camera, greenhouse, edged), and a page to look at."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import string
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.lib import peers
from scripts.lib.browser import Browser
from scripts.lib.child import ROOT, Child, ChildError
from scripts.lib.viewer import Viewer

CHANNEL = "farm"
CONFIG_TEMPLATE = ROOT / "scripts/lib/demo.yaml"
SCREENSHOT = ROOT / "demo.png"
LAST_READINGS_S = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """The running parts, and where to look at them."""

    address: str
    broker_port: int
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a viewer got; the last line of `scripts/demo --headless`."""

    frames_decoded: int
    width: int
    height: int
    first_frame_ms: int
    readings_received: int
    readings_lost: int

    @property
    def is_good(self) -> bool:
        return self.frames_decoded > 0 and self.readings_received > 0 and self.readings_lost == 0


def greenhouse(port: int) -> Child:
    """Return the sensor program, not started yet."""
    return Child("greenhouse", [sys.executable, "-m", "scripts.lib.greenhouse", "--port", str(port)])


def write_config(folder: Path, *, hub: peers.Hub, broker: peers.Broker, camera: peers.Camera) -> Path:
    """Write the configuration file of this run."""
    file = folder / "edged.yaml"
    template = string.Template(CONFIG_TEMPLATE.read_text())
    file.write_text(template.substitute(hub_url=hub.url, hub_key=hub.key, mqtt_port=broker.port, camera_url=camera.url))
    return file


async def start_site(stack: contextlib.AsyncExitStack) -> Site:
    """Start everything but the sensors; `stack` stops it all in the reverse order."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-demo-")))
    broker = await stack.enter_async_context(peers.mosquitto())
    hub = await stack.enter_async_context(peers.hub())
    camera = await stack.enter_async_context(peers.rtsp_camera())
    config = write_config(folder, hub=hub, broker=broker, camera=camera)
    gateway = await stack.enter_async_context(peers.gateway(config, env={"STATE_DIRECTORY": str(folder)}, echo=say))
    say(f"settings of this run: {config}")
    address = f"{hub.page}#channel={CHANNEL}&key={hub.key}"
    return Site(address, broker.port, (broker.child, hub.child, camera.child, gateway))


def say(line: str) -> None:
    """Tell the person at the terminal; stdout is for the address and the summary."""
    print(f"demo: {line}", file=sys.stderr, flush=True)


async def show(site: Site, seconds: float | None) -> None:
    """Run until the time is over, or a part ends by itself."""
    async with greenhouse(site.broker_port) as sensors:
        await sensors.event("ready")
        print(f"Camera and sensors are live at  {site.address}  (Ctrl-C ends it)", flush=True)
        await one_ends((*site.children, sensors), seconds)


async def one_ends(children: tuple[Child, ...], seconds: float | None) -> None:
    """Return after `seconds`; ChildError if one of the children ends before."""
    ends = {asyncio.create_task(child.ended(), name=child.name): child for child in children}
    try:
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ends:
            task.cancel()
    for task in done:
        child = ends[task]
        raise ChildError(f"{child.name} ended by itself (exit code {child.returncode})\n{child.log}")


async def look(site: Site, seconds: float) -> Summary:
    """Watch the page in a headless Chromium for so long, and save what it shows."""
    print(f"Camera and sensors are live at  {site.address}", flush=True)
    async with Browser() as browser:
        viewer = Viewer(await browser.open(site.address))
        first_frame_ms = await viewer.first_frame_ms()
        # Sensors that began before the page was there would have said things that it cannot know.
        async with greenhouse(site.broker_port) as sensors:
            await one_ends((*site.children, sensors), seconds)
            await viewer.page.screenshot(SCREENSHOT)
            sensors.signal(signal.SIGTERM)
            published = (await sensors.event("published"))["count"]
        received = (await viewer.readings_at_least(published, timeout_s=LAST_READINGS_S)).count
        camera = next(iter(await viewer.cameras()))
    return Summary(
        frames_decoded=camera.frames,
        width=camera.width,
        height=camera.height,
        first_frame_ms=first_frame_ms,
        readings_received=received,
        readings_lost=max(0, published - received),
    )


async def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="look at it in Chromium; demo.png and a JSON summary")
    parser.add_argument("--seconds", type=float, help="end after so long (default: at Ctrl-C; with --headless 20)")
    options = parser.parse_args()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        async with contextlib.AsyncExitStack() as stack:
            site = await start_site(stack)
            if not options.headless:
                await show(site, options.seconds)
                return 0
            summary = await look(site, options.seconds or 20.0)
    except asyncio.CancelledError:
        say("stopped")
        return 130 if options.headless else 0
    except ChildError as error:
        say(str(error))
        return 1
    say(f"screenshot in {SCREENSHOT.relative_to(ROOT)}")
    print(json.dumps(asdict(summary)), flush=True)
    return 0 if summary.is_good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
