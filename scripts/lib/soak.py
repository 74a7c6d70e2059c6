"""scripts/soak: viewers come and go at a real gateway for an hour, and it must not grow.

A real RTSP camera with two pictures, a real hub, `edged run`, and viewers that are processes of their own: most leave
properly, some are killed, some fall silent; some ask for the second picture or for none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.lib import peers
from scripts.lib.child import Child, ChildError, Event
from scripts.lib.soak_judge import FPS, Sample, Tally, Verdict, judge, line_of

CHANNEL = "farm"
MAIN_WIDTH, SUB_WIDTH = 320, 160
PRESENT = 8
LINGER_S = 2.0
# Until a viewer that fell silent is gone, and the camera after it.
GONE_S = 15.0
FIRST_STAY_S = 2.0
SAMPLES = 60
ENDS = ("leave",) * 6 + ("kill",) * 3 + ("freeze",)
WISHES = ("main",) * 7 + ("sub",) * 2 + ("none",)
CONFIG = """
gateway: {{name: soak}}
hub: {{url: "{hub.url}", key: "{hub.key}", channel: {channel}}}
cameras: {{yard: {{source: "{main}/cam", sub: "{sub}/cam", linger_s: {linger_s}}}}}
"""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long, and how many viewers in that time."""

    seconds: float
    joins: int
    seed: int

    @property
    def stay_s(self) -> float:
        """How long a viewer stays on average."""
        return PRESENT * self.seconds / self.joins


class Crowd:
    """The viewers, and what they said."""

    def __init__(self, *, main_width: int = MAIN_WIDTH) -> None:
        self.tally = Tally(main_width, SUB_WIDTH)
        self.stays_s: dict[int, float] = {}
        self.present: set[int] = set()
        self.joined = 0
        self._told: set[int] = set()
        self.child = Child(
            "viewers",
            [sys.executable, "-m", "scripts.lib.soak_viewers"],
            env=peers.tree_environment(),
            on_event=self._heard,
        )
        self._is_ready = False

    def _heard(self, event: Event) -> None:
        number = event.get("number", -1)
        match event["event"]:
            case "ready":
                self._is_ready = True
            case "seen":
                self.tally.take(event, self.stays_s[number])
                self._told.add(number)
            case "frozen":
                self.present.discard(number)
            case "failed":
                self.tally.faults.append(f"viewer {number} failed: {event['why']}")
            case "gone":
                self.present.discard(number)
                del self.stays_s[number]
                if number not in self._told:
                    self.tally.faults.append(f"viewer {number} ended without a word")
                self._told.discard(number)

    async def ready(self) -> None:
        await self.child.until(lambda: self._is_ready, "a nursery for viewers", timeout_s=30)

    async def join(self, hub: peers.Hub, *, wish: str, stay_s: float, end: str) -> None:
        number, self.joined = self.joined, self.joined + 1
        self.stays_s[number] = stay_s
        self.present.add(number)
        width = {"main": self.tally.main_width, "sub": self.tally.sub_width, "none": 0}[wish]
        at = {"url": hub.url, "key": hub.key, "channel": CHANNEL, "width": width}
        await self.child.tell({"number": number, **at, "wish": wish, "stay_s": stay_s, "end": end})

    async def all_gone(self, timeout_s: float) -> None:
        await self.child.until(lambda: not self.stays_s, "end of the last viewer", timeout_s=timeout_s)


def sample(pid: int, begin_s: float, crowd: Crowd) -> Sample:
    """Read what the daemon costs at this moment (proc(5))."""
    rollup = {
        words[0].rstrip(":"): int(words[1]) / 1024
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        if (words := line.split())
    }
    return Sample(
        at_s=time.monotonic() - begin_s,
        rss_mb=rollup["Rss"],
        pss_mb=rollup["Pss"],
        private_dirty_mb=rollup["Private_Dirty"],
        fds=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
        present=len(crowd.present),
        joined=crowd.joined,
    )


@contextlib.asynccontextmanager
async def site(folder: Path) -> AsyncIterator[tuple[peers.Hub, peers.Gateway]]:
    """Run the hub, the two pictures of the camera, and the gateway."""
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(peers.hub())
        urls = []
        for width, height in ((MAIN_WIDTH, 240), (SUB_WIDTH, 128)):
            size = [str(word) for word in ("--width", width, "--height", height, "--fps", FPS, "--gop", 2 * FPS)]
            camera = await stack.enter_async_context(peers.rtsp_camera(*size, "--kbps", "200"))
            urls.append(camera.url)
        config = folder / "edged.yaml"
        config.write_text(CONFIG.format(hub=hub, channel=CHANNEL, main=urls[0], sub=urls[1], linger_s=LINGER_S))
        gateway = await stack.enter_async_context(peers.gateway(config, env={"STATE_DIRECTORY": str(folder)}))
        yield hub, gateway


async def send_in(effort: Effort, crowd: Crowd, hub: peers.Hub) -> None:
    """Let viewers come, evenly with some jitter; what each does is the same with the same seed."""
    dice = random.Random(effort.seed)
    begin_s, interval_s = time.monotonic(), effort.seconds / effort.joins
    for number in range(effort.joins):
        due_s = begin_s + (number + dice.random()) * interval_s
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        stay_s = effort.stay_s * dice.uniform(0.5, 1.5)
        await crowd.join(hub, wish=dice.choice(WISHES), stay_s=stay_s, end=dice.choice(ENDS))


async def until_idle(gateway: peers.Gateway, since: int) -> None:
    """Wait until the daemon says that nobody watches."""

    def is_idle() -> bool:
        told = [event["STATUS"] for event in list(gateway.events)[since:] if "STATUS" in event]
        return bool(told) and "camera yard idle" in told[-1] and "camera yard sub idle" in told[-1]

    await gateway.until(is_idle, "idle camera after the last viewer", timeout_s=GONE_S + LINGER_S)


async def watch(effort: Effort, gateway: peers.Gateway, crowd: Crowd, begin_s: float, samples: list[Sample]) -> None:
    """Take a sample a minute (more often in a short run), and tell it."""
    while True:
        await asyncio.sleep(min(60.0, effort.seconds / SAMPLES))
        samples.append(sample(gateway.pid, begin_s, crowd))
        print(line_of(samples[-1], crowd.tally), flush=True)


async def soak(effort: Effort) -> Verdict:
    """Run it all, and judge."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="edged-soak-") as folder:
        async with site(Path(folder)) as (hub, gateway):
            crowd = Crowd()
            async with crowd.child:
                await crowd.ready()
                begin_s = time.monotonic()
                # The first viewer loads everything.
                await crowd.join(hub, wish="main", stay_s=FIRST_STAY_S, end="leave")
                await crowd.all_gone(30.0)
                await until_idle(gateway, 0)
                empty_before = sample(gateway.pid, begin_s, crowd)
                print(f"{line_of(empty_before, crowd.tally)}  (no viewer)", flush=True)
                watching = asyncio.create_task(watch(effort, gateway, crowd, begin_s, samples), name="watch")
                try:
                    await send_in(effort, crowd, hub)
                finally:
                    watching.cancel()
                    await asyncio.wait([watching])
                # Those who fell silent are processes still; the daemon must be rid of them long before their end.
                await crowd.child.until(
                    lambda: not crowd.present, "end of the viewers", timeout_s=2 * effort.stay_s + 30
                )
                await until_idle(gateway, 0)
                empty_after = sample(gateway.pid, begin_s, crowd)
                print(f"{line_of(empty_after, crowd.tally)}  (no viewer)", flush=True)
    return judge(samples, crowd.tally, empty_before=empty_before, empty_after=empty_after)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long viewers come (default: 3600)")
    parser.add_argument("--joins", type=int, default=2000, help="how many come in that time (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="which viewer does what")
    parser.add_argument("--json", action="store_true", help="the verdict as one JSON object in the last line")
    return parser.parse_args()


async def main() -> int:
    options = parse_arguments()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        verdict = await soak(Effort(options.seconds, options.joins, options.seed))
    except asyncio.CancelledError:
        print("soak: stopped", file=sys.stderr)
        return 130
    except ChildError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    show(verdict, as_json=options.json)
    return 1 if verdict.faults else 0


def show(verdict: Verdict, *, as_json: bool) -> None:
    """Tell the verdict."""
    for fault in verdict.faults:
        print(f"FAULT: {fault}")
    few = "" if verdict.is_growth_judged else " (too few viewers came to judge that)"
    print(f"{'FAILED' if verdict.faults else 'passed'}: growth {verdict.growth_mb} MB after the warm-up{few}, ", end="")
    print(f"open files {verdict.fds[0]:.0f} to {verdict.fds[1]:.0f}, threads {verdict.threads[0]:.0f} to ", end="")
    print(f"{verdict.threads[1]:.0f}, {verdict.lost} of {verdict.pictures + verdict.lost} pictures lost")
    if as_json:
        shown: dict[str, Any] = asdict(verdict)
        print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
