"""The parts of one gateway: built from the settings, started, and stopped in the one order that loses nothing.

Every link of a part lives in `keep_running`, so that its failure never ends another part.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.broker import BrokerLink, OpenDoor, open_mqtt_door
from edged.gateway_name import gateway_name
from edged.hub_link import HubLink
from edged.log import Redactor
from edged.settings import CameraSettings, Settings, secrets_in
from edged.site.topics import own_filters
from edged.status.answers import answer
from edged.status.board import Board, Figure
from edged.status.control import ControlSocket, socket_path
from edged.status.desk import Desk
from edged.status.metrics import exposition
from edged.status.own_process import own_figures
from edged.supervise import keep_running

if TYPE_CHECKING:
    from edged.telemetry.telemetry import Telemetry

_log = logging.getLogger(__name__)

_STOP_STAGE_S = 10.0
_WEBRTC = ("aiortc", "av")


def cameras_by_channel(settings: Settings) -> dict[str, tuple[CameraSettings, ...]]:
    """Group cameras by the channel they are shown in; cameras of one channel share one peer."""
    groups: dict[str, tuple[CameraSettings, ...]] = {}
    for camera in settings.cameras:
        channel = camera.channel or settings.hub.channel
        groups[channel] = (*groups.get(channel, ()), camera)
    return groups


class Gateway:
    """The parts of one gateway, in stages: a stage is stopped, and has ended, before the next one is."""

    def __init__(
        self, settings: Settings, state_dir: Path, *, board: Board, open_door: OpenDoor = open_mqtt_door
    ) -> None:
        self._settings = settings
        self._state_dir = state_dir
        self._board = board
        self._name = gateway_name(settings, socket.gethostname())
        self._link = HubLink(settings.hub)
        self._broker = BrokerLink(settings.mqtt, settings.mqtt.client_id or f"edged-{self._name}", open_door)
        self._camera_figures: list[Callable[[], dict[str, Any]]] = []
        self._stages: list[list[asyncio.Task[Any]]] = []
        self.desk = Desk(board, self._name, mask=Redactor(secrets_in(settings)))

    def start(self, group: asyncio.TaskGroup) -> None:
        """Build and start every part the settings ask for."""
        settings = self._settings
        cameras = cameras_by_channel(settings)
        routes = len(settings.telemetry.routes)
        if cameras:
            self._board.add_figures("cameras", self._figures_of_cameras)
        self._stages.append(
            [
                group.create_task(self._run_cameras(channel, found), name=f"cameras of {channel}")
                for channel, found in cameras.items()
            ]
        )
        rules = len(settings.commands.rules)
        echo = self._start_telemetry(group) if routes else _nobody_reads
        if rules:
            self._start_commands(group, echo)
        if routes or rules or settings.site.state == "always":
            self._start_site(group)
            mqtt = keep_running("mqtt", self._broker.run, report=self._board.reporter("mqtt"))
            self._stages.append([group.create_task(mqtt, name="mqtt")])
        self._board.add_figures_of_several(lambda: {"process": own_figures()})
        self._start_status(group)
        _log.info("ready: gateway %s, cameras: %d, routes: %d", self._name, len(settings.cameras), routes)
        if not cameras and not routes and not rules:
            _log.warning("nothing to do: the settings have neither cameras nor telemetry.routes nor commands.rules")

    async def stop(self) -> None:
        """Stop cameras, then telemetry (which writes what is left to disk), then the state on the broker, the broker it
        all goes to, and what answers questions."""
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
        self._camera_figures.append(part.figures)
        async with asyncio.TaskGroup() as group:
            group.create_task(part.run_cameras(), name=f"cameras of {name}")
            group.create_task(keep_running(name, part.run, report=report), name=name)

    def _figures_of_cameras(self) -> dict[str, Figure]:
        return {name: found for read in self._camera_figures for name, found in read().items()}

    def _start_telemetry(self, group: asyncio.TaskGroup) -> Callable[[str, bytes], None]:
        """Return what takes a message of ours as one of the broker's."""
        from edged.telemetry.runtime_file import runtime_directory  # noqa: PLC0415 - as below
        from edged.telemetry.telemetry import Telemetry  # noqa: PLC0415 - a gateway of cameras only loads no database

        settings = self._settings
        telemetry = Telemetry(
            settings.telemetry,
            gateway=self._name,
            default_channel=settings.hub.channel,
            open_client=self._link.open_client,
            pause_uplink=self._link.pause,
            state_dir=self._state_dir,
            report=self._board.reporter("telemetry"),
            pause=self._broker.pause_reading,
            resume=self._broker.resume_reading,
            unacked_limit=settings.mqtt.receive_maximum * 3 // 4,
            runtime_dir=runtime_directory(os.environ, self._state_dir),
            own_topics=own_filters(settings.site, self._name),
        )
        self._broker.take(telemetry.subscriptions, telemetry.accept)
        self._broker.on_session_lost(telemetry.session_lost)
        self._broker.on_connecting(telemetry.connecting)
        self._board.add_figures_of_several(partial(_figures_of, telemetry))
        self._stages.append([group.create_task(telemetry.run(), name="telemetry")])
        return partial(_read_back, telemetry)

    def _start_commands(self, group: asyncio.TaskGroup, echo: Callable[[str, bytes], None]) -> None:
        from edged.commands.commands import MEMORY_BYTES, Commands  # noqa: PLC0415 - off unless there are rules
        from edged.commands.schema import SchemaError  # noqa: PLC0415 - as above
        from edged.telemetry.clock import Clock  # noqa: PLC0415 - as above
        from edged.telemetry.runtime_file import open_runtime_file, runtime_directory  # noqa: PLC0415 - as above

        settings = self._settings
        directory = runtime_directory(os.environ, self._state_dir)
        file = open_runtime_file(
            directory, MEMORY_BYTES, name="commands.state", without="commands are refused for a while after each start"
        )
        report = self._board.reporter("commands")
        try:
            commands = Commands(
                settings.commands,
                gateway=self._name,
                hub_channel=settings.hub.channel,
                open_client=self._link.open_client,
                broker=self._broker,
                memory=file.area(MEMORY_BYTES),
                is_lasting=file.is_lasting,
                now=Clock(is_trusted=settings.telemetry.clock == "trusted", runtime_dir=directory).now,
                echo=echo,
                report=report,
            )
        except SchemaError as err:
            report("failed", f"none is taken: {err}")
            _log.error("commands: none is taken: %s", err)
            return
        self._board.add_figures("commands", commands.figures)
        self._stages.append([group.create_task(commands.run(), name="commands")])

    def _start_site(self, group: asyncio.TaskGroup) -> None:
        from edged.site.announcer import Announcer  # noqa: PLC0415 - a gateway without MQTT has nobody to tell
        from edged.site.discovery import birth_topic  # noqa: PLC0415 - as above
        from edged.site.memory import TopicMemory  # noqa: PLC0415 - as above
        from edged.site.states import OFFLINE  # noqa: PLC0415 - as above

        settings = self._settings.site
        site = Announcer(
            settings,
            self._name,
            status=self.desk.document,
            publish=self._broker.publish,
            memory=TopicMemory(self._state_dir),
        )
        if settings.state == "never":  # what an earlier life has published is removed
            self._broker.when_up(site.up)
        else:
            self._broker.leave_behind(site.topics.state, OFFLINE, site.up)
        if settings.homeassistant:
            self._broker.listen(birth_topic(settings.homeassistant_prefix), site.homeassistant_said)
        self._board.watch(site.changed)
        self._stages.append([group.create_task(keep_running("site", site.run), name="site")])

    def _start_status(self, group: asyncio.TaskGroup) -> None:
        settings = self._settings.status
        path = socket_path(settings.socket, os.environ, self._state_dir)
        control = ControlSocket(path, partial(answer, document=self.desk.document))
        found: list[asyncio.Task[Any]] = [
            group.create_task(keep_running("control socket", control.serve), name="control socket")
        ]
        if settings.http:
            from edged.status.http import MetricsServer  # noqa: PLC0415 - off unless it is asked for

            server = MetricsServer(settings.http, lambda: exposition(self.desk.document()))
            found.append(group.create_task(keep_running("metrics", server.serve), name="metrics"))
        self._stages.append(found)


def _nobody_reads(_topic: str, _payload: bytes) -> None:
    """Take no notice: there are no routes."""


def _read_back(telemetry: Telemetry, topic: str, payload: bytes) -> None:
    """Have the routes take a message that the broker does not bring back to us, for it was ours."""
    from edged.mqtt import Inbound  # noqa: PLC0415 - a gateway without MQTT never loads paho

    telemetry.accept(Inbound(topic, payload, 0, False, time.time_ns() // 1_000_000, lambda: None))


def _figures_of(telemetry: Telemetry) -> dict[str, Figure]:
    """The account, and every other group of figures as a part of its own."""
    found: Mapping[str, Figure] = telemetry.figures()
    groups = {name: figures for name, figures in found.items() if isinstance(figures, Mapping)}
    single = {name: figure for name, figure in found.items() if name not in groups}
    return {"telemetry": {**telemetry.totals(), **single}, **groups}
