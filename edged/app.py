"""The composition root: from settings to running parts, and the one order in which they stop.

Every link of a part lives in `keep_running`, so that its failure never ends another part; this module only builds,
starts and stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from edged.hub_link import HubLink
from edged.settings import CameraSettings, MqttSettings, Settings
from edged.settings_checks import name_fault
from edged.status.board import Board
from edged.supervise import keep_running
from edged.systemd import Notifier

_log = logging.getLogger(__name__)

_STOP_STAGE_S = 10.0
_WEBRTC = ("aiortc", "av")
EXIT_FAILED = 1

Up = Callable[[str], None]
Subscriptions = tuple[tuple[str, int], ...]


class Door(Protocol):
    """Where readings come from: the MQTT broker, or what a demonstration puts in its place."""

    async def run(self, up: Up) -> None:
        """Live through one connection; raise when it ends."""

    def pause_reading(self) -> None:
        """Take nothing more in for now."""

    def resume_reading(self) -> None:
        """Go on."""


OpenDoor = Callable[[MqttSettings, str, Subscriptions, Callable[[Any], None]], Door]


def open_mqtt_door(
    settings: MqttSettings, client_id: str, subscriptions: Subscriptions, on_message: Callable[[Any], None]
) -> Door:
    """Return the door to the site's broker."""
    from edged.mqtt import MqttDoor  # noqa: PLC0415 - a gateway without routes never loads paho

    return MqttDoor(settings, client_id=client_id, subscriptions=subscriptions, on_message=on_message)


def gateway_name(settings: Settings, host_name: str) -> str:
    """Return the gateway's name: the one that is set, else the host's if it can be a name."""
    if settings.gateway.name:
        return settings.gateway.name
    return host_name if not name_fault(host_name) else "gateway"


def cameras_by_channel(settings: Settings) -> dict[str, tuple[CameraSettings, ...]]:
    """Group cameras by the channel they are shown in; cameras of one channel share one peer."""
    groups: dict[str, tuple[CameraSettings, ...]] = {}
    for camera in settings.cameras:
        channel = camera.channel or settings.hub.channel
        groups[channel] = (*groups.get(channel, ()), camera)
    return groups


def state_directory(environ: Mapping[str, str], home: Path) -> Path:
    """Where state is kept: what the service manager made for us, else the user's own place."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else home / ".local" / "state" / "edged"


class Gateway:
    """The parts of one gateway, in stages: a stage is stopped, and has ended, before the next one is."""

    def __init__(
        self, settings: Settings, state_dir: Path, *, board: Board, open_door: OpenDoor = open_mqtt_door
    ) -> None:
        self._settings = settings
        self._state_dir = state_dir
        self._board = board
        self._open_door = open_door
        self._name = gateway_name(settings, socket.gethostname())
        self._link = HubLink(settings.hub)
        self._door: Door | None = None
        self._stages: list[list[asyncio.Task[Any]]] = []

    def start(self, group: asyncio.TaskGroup) -> None:
        """Build and start every part the settings ask for."""
        cameras = cameras_by_channel(self._settings)
        self._stages.append(
            [
                group.create_task(self._run_cameras(channel, found), name=f"cameras of {channel}")
                for channel, found in cameras.items()
            ]
        )
        if self._settings.telemetry.routes:
            self._start_telemetry(group)
        routes = len(self._settings.telemetry.routes)
        _log.info("ready: gateway %s, cameras: %d, routes: %d", self._name, len(self._settings.cameras), routes)
        if not cameras and not routes:
            _log.warning("nothing to do: the settings have neither cameras nor telemetry.routes")

    async def stop(self) -> None:
        """Stop cameras, then telemetry (which writes what is left to disk), then the broker it acknowledges to."""
        for stage in self._stages:
            for task in stage:
                task.cancel()
            _, late = await asyncio.wait(stage, timeout=_STOP_STAGE_S) if stage else (None, ())
            for task in late:
                _log.warning("%s has not stopped within %.0f s; going on", task.get_name(), _STOP_STAGE_S)

    async def _run_cameras(self, channel: str, cameras: tuple[CameraSettings, ...]) -> None:
        """Show the cameras of one channel until cancelled."""
        name = f"channel {channel}"
        report = self._board.reporter(name)
        # It is loaded with the first viewer; that it is not there should be known before.
        if absent := [library for library in _WEBRTC if find_spec(library) is None]:
            sentence = f"its cameras are not shown: WebRTC is not installed; install {' and '.join(absent)}"
            _log.error("%s: %s", name, sentence)
            report("failed", sentence)
            return
        from edged.cameras.channel import CameraChannel  # noqa: PLC0415 - a gateway of sensors loads no cameras

        part = CameraChannel(
            channel, cameras, gateway=self._name, open_peer=self._link.open_peer, report=self._board.reporter
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(part.run_cameras(), name=f"cameras of {name}")
            group.create_task(keep_running(name, part.run, report=report), name=name)

    def _start_telemetry(self, group: asyncio.TaskGroup) -> None:
        from edged.telemetry.telemetry import Telemetry  # noqa: PLC0415 - a gateway of cameras only loads no database

        settings = self._settings
        telemetry = Telemetry(
            settings.telemetry,
            gateway=self._name,
            default_channel=settings.hub.channel,
            open_client=self._link.open_client,
            state_dir=self._state_dir,
            report=self._board.reporter("telemetry"),
            pause=self._pause_reading,
            resume=self._resume_reading,
        )
        client_id = settings.mqtt.client_id or f"edged-{self._name}"
        door = self._door = self._open_door(settings.mqtt, client_id, telemetry.subscriptions, telemetry.accept)
        self._stages.append([group.create_task(telemetry.run(), name="telemetry")])
        mqtt = keep_running("mqtt", door.run, report=self._board.reporter("mqtt"))
        self._stages.append([group.create_task(mqtt, name="mqtt")])

    def _pause_reading(self) -> None:
        if self._door is not None:
            self._door.pause_reading()

    def _resume_reading(self) -> None:
        if self._door is not None:
            self._door.resume_reading()


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    *,
    state_dir: Path,
    open_door: OpenDoor = open_mqtt_door,
    on_started: Callable[[], None] = lambda: None,
) -> None:
    """Run a gateway until `stop` is set."""
    notifier = Notifier()
    gateway = Gateway(settings, state_dir, board=Board(time.monotonic, notifier.status), open_door=open_door)
    try:
        async with asyncio.TaskGroup() as group:
            feeder = group.create_task(_feed_watchdog(notifier), name="watchdog")
            gateway.start(group)
            notifier.ready()
            on_started()
            await stop.wait()
            notifier.stopping()
            _log.info("stopping")
            await gateway.stop()
            feeder.cancel()
    finally:
        notifier.close()


async def _feed_watchdog(notifier: Notifier) -> None:
    if notifier.watchdog_interval_s is None:
        return
    while True:
        # A loop that does not come round to this line is a loop that hangs.
        notifier.alive()
        await asyncio.sleep(notifier.watchdog_interval_s)


def _listen_to_signals(stop: asyncio.Event, on_abort: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set():
            on_abort()
            os._exit(130)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(
        signal.SIGHUP, _log.warning, "SIGHUP is ignored: restart the daemon to read the settings again"
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there are no wheels of it for 32-bit ARM
    except ImportError:
        return None
    return uvloop.new_event_loop


def run_until_signal(
    main: Callable[[asyncio.Event], Awaitable[int]], *, on_abort: Callable[[], None] = lambda: None
) -> int:
    """Run `main(stop)` on the fastest loop there is; SIGTERM and SIGINT set `stop`.

    A second SIGINT calls `on_abort` and ends the process at once.
    """

    async def with_signals() -> int:
        stop = asyncio.Event()
        _listen_to_signals(stop, on_abort)
        return await main(stop)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(with_signals())


def run(settings: Settings) -> int:
    """Run the gateway until a signal ends it, and return the exit code."""
    state_dir = state_directory(os.environ, Path.home())
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        _log.error("the state directory %s cannot be made (%s); set STATE_DIRECTORY", state_dir, err.strerror)
        return EXIT_FAILED

    async def main(stop: asyncio.Event) -> int:
        try:
            await serve(settings, stop, state_dir=state_dir)
        except ExceptionGroup:
            # Through the log, for it masks secrets.
            _log.exception("a fault in the gateway itself ended it")
            return EXIT_FAILED
        return 0

    return run_until_signal(main)
