"""The composition root: parts start, say so, feed the watchdog, and stop in their order. The hub is out of reach."""

import asyncio
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from edged.app import serve
from edged.demo_sensors import SensorMessage
from edged.settings import (
    CameraSettings,
    CommandRuleSettings,
    CommandSettings,
    GatewaySettings,
    HubLinkSettings,
    RouteSettings,
    Secret,
    SenderSettings,
    Settings,
    TelemetrySettings,
)
from edged.status.desk import Desk

TELEMETRY = Settings(
    gateway=GatewaySettings(name="farm-1"),
    # Port 9 (discard) of this machine: nothing answers there.
    hub=HubLinkSettings(url="ws://127.0.0.1:9", key=Secret("pk_live_x")),
    telemetry=TelemetrySettings(routes=(RouteSettings(topic="greenhouse/#"),)),
)


def camera(name, channel=""):
    return CameraSettings(name=name, source=Secret("test:"), channel=channel)


class FakeDoor:
    """In place of the broker: hands in one message, and remembers what was acknowledged when it was told to end."""

    def __init__(self, settings, client_id, subscriptions, on_message, **_more):
        self.client_id = client_id
        self.subscriptions = subscriptions
        self.acknowledged = False
        self.acknowledged_at_end = None
        self._on_message = on_message

    async def run(self, up):
        up("a fake")
        self._on_message(SensorMessage("greenhouse/t", b"21.5", 1_790_000_000_000, self._ack))
        try:
            await asyncio.Event().wait()
        finally:
            self.acknowledged_at_end = self.acknowledged

    def pause_reading(self):
        """Never needed."""

    def resume_reading(self):
        """Never needed."""

    def _ack(self):
        self.acknowledged = True


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A service manager's end of the notification socket."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield receiver


async def until(manager, wanted):
    loop = asyncio.get_running_loop()
    said = []
    async with asyncio.timeout(20):
        while not said or wanted not in said[-1]:
            said.append((await loop.sock_recv(manager, 2000)).decode())
    return said


async def test_the_gateway_is_ready_though_nothing_answers_and_stops_in_order(manager, tmp_path):
    stop = asyncio.Event()
    doors = []

    def open_door(*arguments, **more):
        doors.append(FakeDoor(*arguments, **more))
        return doors[0]

    async with asyncio.TaskGroup() as group:
        running = group.create_task(serve(TELEMETRY, stop, state_dir=tmp_path, open_door=open_door))
        said = await until(manager, "READY=1")
        said += await until(manager, "telemetry lost")
        stop.set()
        said += await until(manager, "STOPPING=1")
        await running
    assert "mqtt live (a fake)" in " ".join(said)
    assert "no connection to the hub at ws://127.0.0.1:9" in " ".join(said)
    assert doors[0].client_id == "edged-farm-1"
    assert doors[0].subscriptions == (("greenhouse/#", 1),)
    # Telemetry wrote the reading to disk and acknowledged it while there was still a broker to tell.
    assert doors[0].acknowledged_at_end is True
    assert (tmp_path / "outbox.db").stat().st_size > 0


async def test_what_cannot_say_how_it_is_ends_nothing(manager, tmp_path, monkeypatch, caplog):
    line = Desk.line
    faults = iter([KeyError("a fault of ours")])

    def faulty(desk):
        for fault in faults:
            raise fault
        return line(desk)

    monkeypatch.setattr(Desk, "line", faulty)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(TELEMETRY, stop, state_dir=tmp_path, open_door=FakeDoor))
        await until(manager, "mqtt live (a fake)")
        stop.set()
    assert "status line: unexpected KeyError" in caplog.text


async def commands_until(manager, tmp_path, wanted, **rule):
    """Run a gateway of nothing but commands until its status line says something; return that."""
    one = CommandRuleSettings(topics=("farm/+/set",), sender=SenderSettings(anyone=True), **rule)
    settings = dataclasses.replace(TELEMETRY, telemetry=TelemetrySettings(), commands=CommandSettings(rules=(one,)))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(settings, stop, state_dir=tmp_path, open_door=FakeDoor))
        said = await until(manager, wanted)
        stop.set()
    return " ".join(said)


async def test_a_gateway_of_commands_reaches_for_broker_and_hub(manager, tmp_path):
    said = await commands_until(manager, tmp_path, "commands lost")
    assert "no connection to the hub at ws://127.0.0.1:9" in said


async def test_a_schema_that_is_none_ends_commands_and_nothing_else(manager, tmp_path, caplog):
    await commands_until(manager, tmp_path, "mqtt live (a fake)", schema={"type": "colour"})
    assert "commands: none is taken: commands.rules[0].schema: not a JSON schema" in caplog.text


async def test_cameras_that_cannot_be_shown_leave_the_sensors_alone(manager, caplog, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "aiortc", None)
    settings = dataclasses.replace(TELEMETRY, cameras=(camera("yard"),))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(settings, stop, state_dir=tmp_path, open_door=FakeDoor))
        await until(manager, "mqtt live (a fake)")
        if "WebRTC is not installed" not in caplog.text:
            await until(manager, "channel edged failed")
        stop.set()
    assert "channel edged: its cameras are not shown: WebRTC is not installed; install aiortc" in caplog.text


async def test_a_camera_waits_for_its_viewers_though_the_hub_is_away(manager, tmp_path):
    settings = Settings(hub=TELEMETRY.hub, cameras=(camera("yard"),))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(settings, stop, state_dir=tmp_path))
        said = await until(manager, "channel edged lost (no connection to the hub at ws://127.0.0.1:9: ")
        stop.set()
    assert any("READY=1" in one for one in said)


async def test_the_watchdog_is_fed_while_the_loop_runs(manager, monkeypatch, tmp_path):
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(Settings(), stop, state_dir=tmp_path))
        for _ in range(3):
            await until(manager, "WATCHDOG=1")
        stop.set()


async def test_a_gateway_with_nothing_to_do_says_so(manager, caplog, tmp_path):
    stop = asyncio.Event()
    started = []

    def on_started():
        started.append(True)
        stop.set()

    await serve(Settings(), stop, state_dir=tmp_path, on_started=on_started)
    assert started == [True]
    assert "nothing to do: the settings have neither cameras nor telemetry.routes" in caplog.text


# The process: signals and exit codes.

RUN = "from edged.app import run\nfrom edged.settings import Settings\n"


@pytest.fixture
def process(tmp_path):
    started = []

    def start(code):
        env = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        env.pop("NOTIFY_SOCKET", None)
        child = subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_gateway_well(process, number):
    child = process("from edged import log\nlog.configure()\n" + RUN + "raise SystemExit(run(Settings()))")
    assert "ready: gateway" in child.stderr.readline()
    assert "nothing to do" in child.stderr.readline()
    child.send_signal(signal.SIGHUP)
    assert "SIGHUP is ignored" in child.stderr.readline()
    child.send_signal(number)
    _, rest = child.communicate(timeout=20)
    assert child.returncode == 0
    assert "stopping" in rest
    assert "Traceback" not in rest


def test_a_state_directory_that_cannot_be_made_is_one_sentence(process, tmp_path):
    (tmp_path / "file").touch()
    place = json.dumps(str(tmp_path / "file" / "state"))
    code = f"import os\nos.environ['STATE_DIRECTORY'] = {place}\nfrom edged import log\nlog.configure()\n"
    child = process(code + RUN + "raise SystemExit(run(Settings()))")
    _, err = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "cannot be made (Not a directory); set STATE_DIRECTORY" in err
    assert err.count("\n") == 1


def test_a_second_gateway_does_not_take_the_state_of_the_first(process):
    code = "from edged import log\nlog.configure()\n" + RUN + "raise SystemExit(run(Settings()))"
    first = process(code)
    assert "ready: gateway" in first.stderr.readline()
    second = process(code)
    _, err = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "another gateway uses the state directory" in err
    assert err.count("\n") == 1
    first.kill()
    first.wait()
    third = process(code)
    assert "ready: gateway" in third.stderr.readline()


async def test_the_line_of_the_service_manager_has_the_account(manager, tmp_path, monkeypatch):
    monkeypatch.setattr("edged.app._STATUS_LINE_S", 0.05)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(TELEMETRY, stop, state_dir=tmp_path, open_door=FakeDoor))
        said = await until(manager, "telemetry lost")
        stop.set()
    assert "READY=1" in said
