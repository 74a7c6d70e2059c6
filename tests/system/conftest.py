"""A whole site of real parts on loopback, made anew for every test: broker, hub, camera, gateway, viewer, recorder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from scripts.lib import peers
from scripts.lib.browser import Browser
from scripts.lib.child import ROOT, Child
from scripts.lib.viewer import Viewer

CHANNEL = "farm"
PUBACK_TIMEOUT_S = 30.0


class Site:
    """The parts that a test has started; all end with the test, the last one first."""

    def __init__(self, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.hub: peers.Hub | None = None
        self.broker: peers.Broker | None = None

    async def start_hub(self, *words: str, port: int = 0) -> peers.Hub:
        self.hub = await self._stack.enter_async_context(peers.hub(*words, port=port))
        return self.hub

    async def start_broker(self) -> peers.Broker:
        self.broker = await self._stack.enter_async_context(peers.mosquitto())
        return self.broker

    async def start_camera(self, *words: str) -> peers.Camera:
        return await self._stack.enter_async_context(peers.rtsp_camera(*words))

    def settings(self, **parts: Any) -> dict[str, Any]:
        """Return settings for the hub and the broker that run; `parts` are added, or replace theirs."""
        assert self.hub is not None
        base: dict[str, Any] = {
            "gateway": {"name": "farm-1"},
            "hub": {"url": self.hub.url, "key": self.hub.key, "channel": CHANNEL},
        }
        if self.broker is not None:
            base["mqtt"] = {"port": self.broker.port}
        return {**base, **parts}

    def write(self, settings: dict[str, Any]) -> Path:
        file = self.folder / "edged.yaml"
        file.write_text(yaml.safe_dump(settings))
        return file

    async def start_gateway(self, settings: dict[str, Any]) -> peers.Gateway:
        """Start `edged run`; a second one of the same name finds the state that the first one left."""
        state = self.folder / f"state-{settings['gateway']['name']}"
        env = {"STATE_DIRECTORY": str(state)}
        return await self._stack.enter_async_context(peers.gateway(self.write(settings), env=env))

    async def open_viewer(self) -> Viewer:
        """Open the viewer page in Chromium and wait until it is in the channel."""
        assert self.hub is not None
        browser = await self._stack.enter_async_context(Browser())
        viewer = Viewer(await browser.open(f"{self.hub.page}#channel={CHANNEL}&key={self.hub.key}"))
        await viewer.joined()
        return viewer

    async def start_recorder(self) -> Recorder:
        """Subscribe to the channel with the official SDK, which knows nothing of edged."""
        assert self.hub is not None
        program = ROOT / "tests/interop/programs/client.py"
        options = json.dumps({"url": self.hub.url, "key": self.hub.key})
        child = Child("recorder", [ROOT / ".venv-official/bin/python", program, options], env={"PYTHONPATH": ""})
        await self._stack.enter_async_context(child)
        await child.event("ready")
        await child.tell({"do": "subscribe", "channel": CHANNEL})
        await child.event("done", do="subscribe")
        return Recorder(child)


class Recorder:
    """All readings of the channel in the order of their arrival, repeats included."""

    def __init__(self, child: Child) -> None:
        self.child = child

    @property
    def readings(self) -> list[dict[str, Any]]:
        messages = [event["data"] for event in self.child.events_of("message", channel=CHANNEL)]
        return [one for data in messages if data.get("type") == "edged/readings" for one in data["readings"]]

    def values(self, topic: str) -> list[Any]:
        return [reading["value"] for reading in self.readings if reading["topic"] == topic]

    async def until_values(self, topic: str, wanted: Iterable[Any], *, timeout_s: float = 30.0) -> list[Any]:
        """Wait until every wanted value has arrived; return all that came, repeats included."""
        missing = set(wanted)

        def all_there() -> bool:
            missing.difference_update(self.values(topic))
            return not missing

        await self.child.until(all_there, f"readings of {topic}", timeout_s=timeout_s)
        return self.values(topic)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with contextlib.AsyncExitStack() as stack:
        yield Site(tmp_path, stack)


def _publish(port: int, topic: str, payloads: list[str], pace_s: float) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        sent: list[MQTTMessageInfo] = []
        for payload in payloads:
            sent.append(client.publish(topic, payload, qos=1))
            time.sleep(pace_s)
        for info in sent:
            info.wait_for_publish(PUBACK_TIMEOUT_S)
            assert info.is_published(), "the broker did not acknowledge"
    finally:
        client.disconnect()
        client.loop_stop()


async def publish(broker: peers.Broker, topic: str, payloads: Iterable[Any], *, pace_s: float = 0.0) -> None:
    """Publish at QoS 1 as a sensor would, and return when the broker has acknowledged everything."""
    await asyncio.to_thread(_publish, broker.port, topic, [str(payload) for payload in payloads], pace_s)


async def subscribed(gateway: peers.Gateway) -> None:
    """Wait until the gateway has its subscriptions at the broker; what is published before is for nobody."""
    await gateway.log_line("mqtt: connected")
