"""A real gateway at a real broker: what the site sees of it when it lives, dies and stops."""

import asyncio
import contextlib
import json
import os
import signal

import pytest

from edged.gateway import cameras_by_channel
from edged.mqtt import MqttDoor
from edged.settings import CameraSettings, HubLinkSettings, MqttSettings, Secret, Settings
from scripts.lib import peers

CONFIG = """
gateway: {{name: farm-1}}
hub: {{url: 'ws://127.0.0.1:9', key: pk_live_x}}
mqtt: {{port: {port}}}
{more}
"""
SENSORS = "telemetry: {routes: [{topic: greenhouse/#}]}"


class Watcher:
    """A dashboard of the site: knows what the broker holds."""

    def __init__(self, port):
        self.held = {}
        self.changed = asyncio.Event()
        self.door = MqttDoor(
            MqttSettings(port=port),
            client_id="dashboard",
            subscriptions=(("edged/#", 1), ("homeassistant/#", 1)),
            on_message=self._heard,
        )

    def _heard(self, message):
        message.ack()
        self.held[message.topic] = message.payload.decode()
        self.changed.set()

    async def until(self, topic, ready):
        async with asyncio.timeout(30):
            while not (topic in self.held and ready(self.held[topic])):
                self.changed.clear()
                await self.changed.wait()

    async def until_state(self, state):
        await self.until("edged/farm-1/state", lambda payload: payload == state)


@pytest.fixture
async def site(tmp_path):
    """A broker, a dashboard, and a way to start a gateway there."""
    children = []
    async with peers.mosquitto() as broker:
        watcher = Watcher(broker.port)
        watching = asyncio.create_task(watcher.door.run(lambda _detail: None))

        async def start(more):
            config = tmp_path / "edged.yaml"
            config.write_text(CONFIG.format(port=broker.port, more=more))
            env = {**os.environ, **peers.tree_environment(), "STATE_DIRECTORY": str(tmp_path / "state")}
            env.pop("NOTIFY_SOCKET", None)
            env.pop("RUNTIME_DIRECTORY", None)
            command = [*peers.edged_command("run", "--config", str(config))]
            child = await asyncio.create_subprocess_exec(*command, env=env, stderr=asyncio.subprocess.DEVNULL)
            children.append(child)
            return child

        async def status(*words):
            env = {**os.environ, **peers.tree_environment(), "STATE_DIRECTORY": str(tmp_path / "state")}
            env.pop("RUNTIME_DIRECTORY", None)
            command = peers.edged_command("status", "--config", str(tmp_path / "edged.yaml"), *words)
            child = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
            out, _ = await child.communicate()
            return child.returncode, out.decode()

        yield watcher, start, status
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_site_sees_its_gateway_live_die_and_stop(site):
    watcher, start, status = site
    gateway = await start(SENSORS + "\nsite: {homeassistant: true}\n")
    await watcher.until_state("online")
    await watcher.until("edged/farm-1/uplink", lambda payload: json.loads(payload)["state"] == "lost")
    await watcher.until("homeassistant/binary_sensor/edged_farm-1/connection/config", lambda payload: payload)
    code, said = await status("--json")
    assert code == 4, "its hub is away"
    assert json.loads(said)["account"]["unexplained"] == 0
    assert "account    received 0 = delivered 0" in (await status())[1]

    gateway.send_signal(signal.SIGKILL)
    await gateway.wait()
    await watcher.until_state("offline")
    assert (await status())[0] == 1

    gateway = await start(SENSORS)
    await watcher.until_state("online")
    await watcher.until("homeassistant/binary_sensor/edged_farm-1/connection/config", lambda payload: not payload)
    gateway.send_signal(signal.SIGTERM)
    assert await gateway.wait() == 0
    await watcher.until_state("offline")


async def test_a_gateway_of_cameras_says_nothing_unless_it_is_asked_to(site):
    watcher, start, status = site
    cameras = "cameras: {yard: {source: 'test:'}, gate: {source: 'test:'}}"
    await start(cameras + "\nsite: {state: always}\n")
    await watcher.until("edged/farm-1/camera/yard", lambda payload: json.loads(payload)["state"] == "idle")
    code, said = await status()
    assert code == 4
    assert "camera yard" in said
    assert "account" not in said


def test_cameras_are_grouped_by_channel():
    settings = Settings(
        hub=HubLinkSettings(channel="farm"), cameras=(camera("a"), camera("b", "barn"), camera("c", "farm"))
    )
    groups = cameras_by_channel(settings)
    assert {channel: [one.name for one in found] for channel, found in groups.items()} == {
        "farm": ["a", "c"],
        "barn": ["b"],
    }


def camera(name, channel=""):
    return CameraSettings(name=name, source=Secret("test:"), channel=channel)
