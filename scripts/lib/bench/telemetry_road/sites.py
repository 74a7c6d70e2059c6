"""The two ends of the bench `telemetry`: a broker and what forwards from it; far away what takes it, and a listener.

Ours forwards to a hub, mosquitto's bridge to another mosquitto. The bridge is measured as it comes, and tuned so that
it may keep what ours keeps: no limit to its queue, a large window, and the queue on disk once a second.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scripts.lib import peers
from scripts.lib.bench.telemetry_road.progress import Progress
from scripts.lib.bench.viewing.servers import prefer
from scripts.lib.child import ROOT, Child

PROGRAMS = ROOT / "scripts/lib/bench/programs"
IN_MEMORY = "/dev/shm"
CHANNEL = "bench"
EDGED, BRIDGE = "edged", "mosquitto-bridge"
DEFAULT, TUNED = "default", "tuned"

CONFIG = """
gateway: {{name: bench}}
hub: {{url: "ws://127.0.0.1:{link}", key: "{key}", channel: {channel}}}
mqtt: {{port: {port}}}
telemetry: {{routes: [{{topic: bench/#}}]}}
"""
# As Debian sets mosquitto up.
PERSISTENT = "persistence true\npersistence_location {folder}/\n"
BRIDGED = "connection bench\naddress 127.0.0.1:{link}\ntopic bench/# out 1\n"
# Before the connection: for the whole broker.
TUNED_BROKER = "max_queued_messages 0\nmax_inflight_messages 1000\nautosave_interval 1\n"
TUNED_BRIDGE = "bridge_protocol_version mqttv50\nrestart_timeout 1\nkeepalive_interval 10\nnotifications false\n"
# The far broker is not what is measured: it must never be the one that drops.
FAR_BROKER = "max_queued_messages 0\n"


@dataclass(frozen=True, slots=True)
class Far:
    """Where messages go: the port that the site has to reach, and who listens behind it."""

    port: int
    listener: Child
    progress: Progress


@dataclass(frozen=True, slots=True)
class Site:
    """What runs at the site: the process that is measured, and the broker that the sensors publish to."""

    pid: int
    broker_pid: int
    port: int


StartFar = Callable[[], AbstractAsyncContextManager[Far]]
StartSite = Callable[[Path, int], AbstractAsyncContextManager[Site]]
"""Starts a site with its state in a folder, that forwards to a port of this machine."""


@dataclass(frozen=True, slots=True)
class Server:
    """One of those compared."""

    name: str
    setup: str
    far: StartFar
    site: StartSite


@contextlib.asynccontextmanager
async def _listening(where: dict[str, Any], port: int) -> AsyncIterator[Far]:
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder:
        path = str(Path(folder) / "progress")
        words = json.dumps({"progress": path, **where})
        argv: list[str | Path] = [sys.executable, PROGRAMS / "telemetry_listener.py", words]
        async with Child("listener", argv, env=peers.tree_environment()) as listener:
            await listener.event("listening")
            prefer(listener.pid)
            yield Far(port, listener, Progress(path))


@contextlib.asynccontextmanager
async def far_hub() -> AsyncIterator[Far]:
    async with peers.hub() as hub:
        prefer(hub.child.pid)
        port = int(hub.url.rpartition(":")[2])
        async with _listening({"hub": hub.url, "key": hub.key, "channel": CHANNEL}, port) as far:
            yield far


@contextlib.asynccontextmanager
async def far_broker() -> AsyncIterator[Far]:
    async with peers.mosquitto(extra=FAR_BROKER) as broker:
        prefer(broker.child.pid)
        async with _listening({"port": broker.port}, broker.port) as far:
            yield far


@contextlib.asynccontextmanager
async def edged_site(folder: Path, link: int, *, env: Mapping[str, str] | None = None) -> AsyncIterator[Site]:
    """Run a broker, and the gateway as a user would who sets nothing but what has to be set."""
    (folder / "broker").mkdir(parents=True)
    config = folder / "edged.yaml"
    async with peers.mosquitto(extra=PERSISTENT.format(folder=folder / "broker")) as broker:
        prefer(broker.child.pid)
        config.write_text(CONFIG.format(link=link, key=peers.DEMO_KEY, channel=CHANNEL, port=broker.port))
        # systemd gives a service such a folder, in memory; nothing in it is written to a disk.
        with tempfile.TemporaryDirectory(prefix="edged-bench-", dir=IN_MEMORY) as runtime:
            folders = {"STATE_DIRECTORY": str(folder), "RUNTIME_DIRECTORY": runtime}
            async with peers.gateway(config, env={**folders, **(env or {})}) as gateway:
                prefer(gateway.pid)
                await gateway.log_line("connected to the MQTT broker")
                yield Site(gateway.pid, broker.child.pid, broker.port)


@contextlib.asynccontextmanager
async def broker_site(extra: str, folder: Path, link: int) -> AsyncIterator[Site]:
    """Run a broker that bridges, or one that does not."""
    (folder / "broker").mkdir(parents=True)
    text = PERSISTENT.format(folder=folder / "broker") + extra.format(link=link)
    async with peers.mosquitto(extra=text) as broker:
        prefer(broker.child.pid)
        yield Site(broker.child.pid, broker.child.pid, broker.port)


SERVERS = {
    "edged": Server(EDGED, DEFAULT, far_hub, edged_site),
    "bridge": Server(BRIDGE, DEFAULT, far_broker, partial(broker_site, BRIDGED)),
    "bridge-tuned": Server(BRIDGE, TUNED, far_broker, partial(broker_site, TUNED_BROKER + BRIDGED + TUNED_BRIDGE)),
}
# What a broker costs by itself: it has the same messages to take, and nobody to hand them to.
ALONE = partial(broker_site, "")
