"""Commands as one part: policy, memory, link to the hub and relay to the broker, built from the settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from edged.commands.audit import Audit
from edged.commands.intake import Intake
from edged.commands.ledger import LEDGER_BYTES, Ledger
from edged.commands.link import Client, CommandLink
from edged.commands.policy import Now, Policy
from edged.commands.relay import Broker, Relay
from edged.commands.schema import validators
from edged.settings_commands import CommandSettings, command_channels, unwise
from edged.supervise import Report, keep_running

_log = logging.getLogger(__name__)

MEMORY_BYTES = LEDGER_BYTES
KEEP_S = 60.0
"""An id is known for the longest life of a command and this much longer, for senders that try again."""


class Moment(Protocol):
    """What is used of a moment."""

    @property
    def uptime_ms(self) -> int: ...

    @property
    def wall_ms(self) -> int: ...

    @property
    def is_set(self) -> bool: ...


class Commands:
    """Composition. `memory` holds MEMORY_BYTES and, if `is_lasting`, outlives the process. Raises SchemaError."""

    def __init__(
        self,
        settings: CommandSettings,
        *,
        gateway: str,
        hub_channel: str,
        open_client: Callable[[], Client],
        broker: Broker,
        memory: bytearray | memoryview,
        is_lasting: bool,
        now: Callable[[], Moment],
        echo: Callable[[str, bytes], None] = lambda _topic, _payload: None,
        report: Report | None = None,
    ) -> None:
        def moment() -> Now:
            found = now()
            return Now(found.uptime_ms / 1000, found.wall_ms, found.is_set)

        self._report = report
        self._audit = Audit()
        started_s = moment().uptime_s
        longest_s = max((rule.max_age_s for rule in settings.rules), default=0.0)
        self._intake = Intake(
            gateway,
            Policy(validators(settings)),
            Ledger(memory, keep_s=longest_s + KEEP_S, now_s=started_s),
            self._audit,
            blind_until_s=0.0 if is_lasting else started_s + longest_s,
        )
        self._relay = Relay(self._intake, broker, moment, echo=echo)
        self._link = CommandLink(
            open_client,
            self._relay,
            gateway=gateway,
            channels=command_channels(settings, hub_channel),
            check_s=settings.link_check_s,
            uptime_s=lambda: now().uptime_ms / 1000,
        )
        for sentence in unwise(settings):
            _log.warning("%s", sentence)
        if not is_lasting:
            _log.info(
                "commands are refused for the first %.0f s: there is no runtime directory to remember in", longest_s
            )

    async def run(self) -> None:
        """Take commands until cancelled. Once only."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running("commands relay", self._relay.run), name="commands relay")
            link = keep_running("commands", self._link.run, report=self._report)
            tasks.create_task(link, name="commands link")

    def figures(self) -> Mapping[str, int | Mapping[str, int]]:
        """Return the account: how many commands had each outcome, and how many are under way."""
        return {**self._audit.figures(), "pending": self._intake.pending, "unsent": self._relay.unsent}
