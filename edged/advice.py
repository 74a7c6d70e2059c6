"""What settings may say and hardly mean: parts that would read what other parts of the gateway publish.

Nothing of it is a fault, for nothing goes round in circles: what the gateway publishes it does not read.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

from edged.gateway_name import gateway_name
from edged.settings import Settings
from edged.settings_commands import unwise
from edged.site.topics import own_filters
from edged.topic_filters import covers, overlap
from edged.topic_patterns import parse

_FROM_SENDER = re.compile(r"\{sender\.[^{}]*\}")


def advice(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each thing that should be looked at again."""
    yield from unwise(settings.commands)
    yield from _commands_read_as_readings(settings)
    yield from _own_state_read_as_readings(settings)


def _commands_read_as_readings(settings: Settings) -> Iterator[str]:
    for at, route in enumerate(settings.telemetry.routes):
        route_filter = parse(route.topic).filter
        if route_filter[:1] in {"+", "#"}:
            continue  # Who reads all there is knows that commands are among it.
        for number, rule in enumerate(settings.commands.rules):
            pattern = next((one for one in rule.topics if overlap(route_filter, _FROM_SENDER.sub("+", one))), None)
            if pattern is not None and not rule.echo:
                where = f"telemetry.routes[{at}] ({route.topic}) selects topics of commands.rules[{number}] ({pattern})"
                yield (
                    f"{where}: only what others publish there becomes readings; set echo: true on the rule to have the "
                    "gateway's own commands too, or narrow the route"
                )


def _own_state_read_as_readings(settings: Settings) -> Iterator[str]:
    name = gateway_name(settings, socket.gethostname())
    for at, route in enumerate(settings.telemetry.routes):
        route_filter = parse(route.topic).filter
        if any(covers(own, route_filter) for own in own_filters(settings.site, name)):
            yield (
                f"telemetry.routes[{at}] ({route.topic}) selects only what the gateway publishes of itself, which is "
                "never a reading: it gets nothing; remove it, or set site.topic to something else"
            )
