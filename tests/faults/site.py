"""A whole site of real processes round the gateway on test: broker, hub, sensors, far end, and the two bad links.

    sensors -> mosquitto -> (link) -> edged -> (link) -> hub -> far end -> judge

Each part can be killed and started again on the same port with the same files.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from scripts.lib import peers
from scripts.lib.child import Child, ChildError
from tests.faults.broker_tap import BrokerTap
from tests.faults.far_end import FarEnd
from tests.faults.judge import Judge, Ledger, Verdict
from tests.faults.link import Link
from tests.faults.sensor import Sensors, length_of

CHANNEL = "farm"
TOPICS = tuple(f"plant/s{number}" for number in range(5))
ROUTES = [{"topic": "plant/#"}]
_BROKER = """
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes {autosave}
max_queued_messages 0
max_queued_bytes 0
"""
_HUB = """
listen: "127.0.0.1:{port}"
keys: [{{key: "{key}"}}]
limits: {{queue_bytes: 268435456}}
warm_up_s: 0
"""
STALL_S = 40.0
_LAST_WORDS = 100


class SiteError(Exception):
    """The rig itself does not work: nothing is said about the gateway."""


class Site:
    """Start it, do harm, and ask for the verdict."""

    def __init__(
        self,
        folder: Path,
        *,
        routes: Sequence[dict[str, Any]] = ROUTES,
        telemetry: dict[str, Any] | None = None,
        mqtt: dict[str, Any] | None = None,
        launcher: Sequence[str] = (),
        judges_broker: bool = False,
        is_backlog_marked: bool = False,
        keeps_all: bool = False,
        is_old_broker: bool = False,
    ) -> None:
        self.folder = folder
        self.ledger = Ledger()
        self.tap = BrokerTap() if judges_broker else None
        handed = self.tap.handed if self.tap is not None else None
        self.judge = Judge(self.ledger, handed=handed, is_backlog_marked=is_backlog_marked)
        self.gateway: peers.Gateway | None = None
        self.state_dir = folder / "state"
        self._routes = list(routes)
        self._telemetry = telemetry or {}
        self._mqtt = mqtt or {}
        self._launcher = tuple(launcher)
        self._keeps_all = keeps_all
        self._stack = contextlib.AsyncExitStack()
        self._broker_port = peers.free_port()
        self._hub_port = peers.free_port()
        self._broker: Child | None = None
        self._hub: Child | None = None
        self.broker_link = Link(
            self._broker_port,
            tap=self.tap.see if self.tap is not None else None,
            greet=greet_as_old_broker if is_old_broker else None,
        )
        self.uplink = Link(self._hub_port, seed=2)
        self.sensors = Sensors(self._broker_port, self.ledger)
        self.far_end = FarEnd(f"ws://127.0.0.1:{self._hub_port}", peers.DEMO_KEY, CHANNEL, self.judge)
        # On tmpfs, as systemd has it: what is there survives a kill, not a reboot.
        self._runtime = tempfile.TemporaryDirectory(prefix="edged-faults-", dir="/dev/shm")
        self.starts = 0

    @property
    def runtime_dir(self) -> Path:
        return Path(self._runtime.name)

    async def __aenter__(self) -> Self:
        self.state_dir.mkdir(exist_ok=True)
        try:
            await self.start_broker()
            await self.start_hub()
            for part in (self.broker_link, self.uplink, self.far_end, self.sensors):
                await self._stack.enter_async_context(part)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        error = exc_info[1] if len(exc_info) > 1 else None
        if self.gateway is not None:
            await self.gateway.stop()
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                error.add_note(f"--- log of edged ---\n{self.gateway.log[-6000:]}")
        await self._stack.aclose()
        for child in (self._hub, self._broker):
            if child is not None:
                await child.stop()
        self._runtime.cleanup()

    # Parts ----------------------------------------------------------------------------------------

    async def start_broker(self) -> None:
        """Start mosquitto; what it kept is in its folder."""
        folder = self.folder / "broker"
        folder.mkdir(exist_ok=True)
        file = folder / "mosquitto.conf"
        text = _BROKER.format(folder=folder, autosave=str(self._keeps_all).lower())
        file.write_text(f"listener {self._broker_port} 127.0.0.1\nallow_anonymous true\nuser root\n{text}")
        self._broker = await Child("mosquitto", ["/usr/sbin/mosquitto", "-c", file]).start()
        await self._broker.log_line(" running")

    async def kill_broker(self) -> None:
        """End mosquitto with -9."""
        assert self._broker is not None
        await kill(self._broker)
        if self.tap is not None:
            self.tap.life += 1

    async def start_hub(self) -> None:
        """Start the hub on its port."""
        file = self.folder / "hub.yaml"
        file.write_text(_HUB.format(port=self._hub_port, key=peers.DEMO_KEY))
        env = {**peers.tree_environment(), "STATE_DIRECTORY": str(self.folder)}
        self._hub = await Child("hub", peers.edged_command("hub", "--config", str(file)), env=env).start()
        await self._hub.event("ready")

    async def kill_hub(self) -> None:
        """End the hub with -9."""
        assert self._hub is not None
        await kill(self._hub)

    def config(self, gateway: str = "site-1", **mqtt: Any) -> Path:
        """Write the settings of a gateway of that name; `mqtt` replaces what is said of the broker."""
        file = self.folder / f"{gateway}.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "gateway": {"name": gateway},
                    "hub": {
                        "url": f"ws://127.0.0.1:{self.uplink.port}",
                        "key": peers.DEMO_KEY,
                        "channel": CHANNEL,
                    },
                    "mqtt": {"port": self.broker_link.port, **self._mqtt, **mqtt},
                    "telemetry": {"routes": self._routes, **self._telemetry},
                }
            )
        )
        return file

    def environment(self) -> dict[str, str]:
        return {"STATE_DIRECTORY": str(self.state_dir), "RUNTIME_DIRECTORY": str(self.runtime_dir)}

    async def start_gateway(self, *, is_waited_for: bool = True) -> peers.Gateway:
        """Start `edged run`, and wait until it has its subscriptions."""
        before, before_log = self.gateway, ""
        if before is not None and before.returncode is None:
            raise SiteError("the gateway runs already")
        if before is not None:
            await before.stop()
            before_log = before.log
        child = peers.Gateway(self.config(), env=self.environment(), launcher=self._launcher)
        child.log_lines.extend(before_log.splitlines()[-100:])
        child.log_lines.append(f"=== start {self.starts} ===")
        self.gateway = await child.start()
        self.starts += 1
        if is_waited_for:
            await child.ready()
            lines = child.log_lines
            await child.until(
                lambda: "mqtt: connected" in "\n".join(lines).rpartition("=== start")[2],
                "connection to the broker",
                timeout_s=30,
            )
        return child

    async def kill_gateway(self) -> None:
        """End the gateway with -9."""
        assert self.gateway is not None
        await kill(self.gateway)

    async def terminate_gateway(self) -> None:
        """End the gateway with SIGTERM, and see that it ends well."""
        assert self.gateway is not None
        self.gateway.signal(signal.SIGTERM)
        if code := await self.gateway.exited(timeout_s=20):
            raise ChildError(f"edged ended with {code}\n{self.gateway.log}")

    # Verdict --------------------------------------------------------------------------------------

    async def settle(self, *, stall_s: float = STALL_S) -> Verdict:
        """Wait until all that was promised has arrived, and then a last word of the topics; return the verdict.

        The last words come after everything else, so that repeats under way are heard too.
        """
        await self.sensors.answered()
        await self.all_arrived(stall_s=stall_s)
        if not self.judge.missing():
            for topic in self.sensors.topics[-_LAST_WORDS:]:
                await self.sensors.publish(topic)
            await self.sensors.answered()
            await self.all_arrived(stall_s=stall_s)
        return self.judge.verdict()

    async def all_arrived(self, *, stall_s: float = STALL_S) -> bool:
        """Wait until everything promised has arrived; give up where nothing comes for so long."""
        promised = self.ledger.promised_count()
        return await self.far_end.heard(
            lambda: self.judge.arrived >= promised and not self.judge.missing(), stall_s=stall_s
        )

    async def arrived(self, count: int, *, stall_s: float = STALL_S) -> None:
        """Wait until so many messages have arrived."""
        if not await self.far_end.heard(lambda: self.judge.arrived >= count, stall_s=stall_s):
            raise SiteError(f"only {self.judge.arrived} of {count} messages arrived")

    def memory_mb(self, field: str = "VmRSS") -> float:
        """Return what the gateway takes (proc(5): VmRSS, VmHWM)."""
        assert self.gateway is not None
        for line in Path(f"/proc/{self.gateway.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise SiteError("the gateway is gone")

    def forget_peak(self) -> None:
        """Begin a new VmHWM."""
        assert self.gateway is not None
        Path(f"/proc/{self.gateway.pid}/clear_refs").write_text("5")


def greet_as_old_broker(connect: bytes) -> bytes:
    """Answer a CONNECT as a broker that knows MQTT 3.1.1 only: an empty answer lets it pass."""
    level = connect[1 + len(length_of(len(connect))) + 6 :][:1]
    return b"" if level == b"\x04" else b"\x20\x02\x00\x01"


async def kill(child: Child) -> None:
    """End a process with -9 and wait until it is gone."""
    child.signal(signal.SIGKILL)
    await child.exited()
