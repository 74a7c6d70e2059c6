"""`edged route test`: what would become of a message, and why. It asks the road that the gateway itself runs.

Exit codes: 0 it would be sent, 1 it would not, 78 the settings are at fault.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edged.gateway_name import gateway_name
from edged.log import Redactor
from edged.settings import RouteSettings, Settings
from edged.settings_file import SettingsError, load
from edged.site.topics import own_filters
from edged.telemetry.clock import Clock
from edged.telemetry.moments import Moment
from edged.telemetry.payload import PayloadError
from edged.telemetry.pipeline import HeldBack, Pipeline
from edged.telemetry.reading import message_text
from edged.telemetry.routes import Way
from edged.topic_filters import mismatch, topic_fault

EXIT_NOT_SENT = 1
EXIT_CONFIG = 78
_MAX_PAYLOAD_BYTES = 1 << 25
_HELD_BACK = {
    "own_topic": "the gateway itself publishes there; what it says of itself is no reading",
    "retained": "the route has retained: skip",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message to try."""

    topic: str
    payload: bytes
    retain: bool = False


def add_arguments(parser: argparse.ArgumentParser, default_config: str) -> None:
    """Declare the command line."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = actions.add_parser("test", help="show which route takes a message, and what would be sent")
    test.add_argument("topic", metavar="TOPIC", help="topic of the message")
    test.add_argument("payload", metavar="PAYLOAD", nargs="?", help="payload of the message; - reads standard input")
    test.add_argument("--config", metavar="FILE", default=default_config, help=f"settings file ({default_config})")
    test.add_argument("--retained", action="store_true", help="as a message that the broker has retained")
    test.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Try the message, show what would become of it, and return the exit code."""
    try:
        settings = load(arguments.config, Settings)
    except SettingsError as err:
        # Faults never show a value that may be secret; this is for keys that are not what they should be.
        sys.stderr.write(Redactor()(str(err)) + "\n")
        return EXIT_CONFIG
    payload = arguments.payload
    if payload == "-":
        data = sys.stdin.buffer.read(_MAX_PAYLOAD_BYTES)
    else:
        # Bytes that are no text come as halves of surrogate pairs.
        data = b"" if payload is None else payload.encode("utf-8", "surrogateescape")
    topic = arguments.topic.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    clock = Clock(is_trusted=settings.telemetry.clock == "trusted")
    attempt = Attempt(topic, data, arguments.retained)
    answer = explain(settings, attempt, clock.now(), has_payload=payload is not None)
    lines = json.dumps(answer, indent=2, ensure_ascii=False).split("\n") if arguments.json else _lines(answer)
    sys.stdout.write("".join(printable(line) + "\n" for line in lines))
    return 0 if answer["sent"] else EXIT_NOT_SENT


def explain(settings: Settings, attempt: Attempt, now: Moment, *, has_payload: bool = True) -> dict[str, Any]:
    """Return what would become of a message. Without a payload only its way is looked at."""
    if fault := topic_fault(attempt.topic):
        return {"topic": attempt.topic, "sent": False, "route": None, "not": [], "reason": "no_topic", "why": fault}
    name = gateway_name(settings, socket.gethostname())
    road = Pipeline(settings.telemetry, settings.hub.channel, own_topics=own_filters(settings.site, name))
    way = road.way(attempt.topic)
    answer: dict[str, Any] = {"topic": attempt.topic, "sent": False, "route": None, **_way_of(way, attempt.topic)}
    answer["not"] = [
        {"route": f"telemetry.routes[{route.index}]", "topic": route.settings.topic, "why": why}
        for route in road.routes
        if (why := _why_not(route.index, route.pattern.filter, way, attempt.topic))
    ]
    if way is None:
        return answer | {"reason": "no_route", "why": "no route selects this topic"}
    if not has_payload and not way.is_own:
        return answer | ({"reason": "invalid_channel", "why": way.fault} if way.fault else {"sent": True})
    try:
        made = road.process(attempt, now, f"{name}/0000000000000000/1")
    except PayloadError as error:
        return answer | {"reason": error.reason, "why": str(error)}
    if isinstance(made, HeldBack):
        return answer | {"reason": made.reason, "why": _HELD_BACK[made.reason]}
    counts = road.counts[way.route.index]
    notes = {"missing_fields": list(counts.missing_fields)} if counts.missing_fields else {}
    return answer | notes | {"sent": True, "message": json.loads(message_text(name, [made.body]))}


def _way_of(way: Way | None, topic: str) -> dict[str, Any]:
    if way is None:
        return {}
    settings = way.route.settings
    return {
        "route": f"telemetry.routes[{way.route.index}]",
        "filter": settings.topic,
        "names": way.route.pattern.captured(topic),
        "channel": way.channel,
        "filters": dict(_filters(settings)),
        "priority": settings.priority,
    }


def _why_not(index: int, topic_filter: str, way: Way | None, topic: str) -> str:
    if way is not None and index == way.route.index:
        return ""
    return mismatch(topic_filter, topic) or "selects it too, but comes later"


def _filters(settings: RouteSettings) -> Iterator[tuple[str, Any]]:
    """Return the filters of a route, in the order in which they are asked."""
    for key in ("on_change", "dead_band", "watch", "max_interval_s", "min_interval_s", "throttle"):
        if value := getattr(settings, key):
            yield key, value


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    def line(key: str, text: object) -> str:
        return f"{key:<9} {text}"

    yield line("topic", answer["topic"])
    yield line("route", f"{answer['route']}: {answer['filter']}" if answer["route"] else "none")
    for other in answer["not"]:
        yield line("", f"not {other['route']} ({other['topic']}): {other['why']}")
    for name, value in answer.get("names", {}).items():
        yield line("", f"{name} = {value}")
    if answer["route"]:
        yield line("channel", answer["channel"])
    if answer.get("filters"):
        asked = ", ".join(f"{key}: {str(value).lower()}" for key, value in answer["filters"].items())
        yield line("filters", f"{asked} (the first message of a topic passes)")
    if answer.get("missing_fields"):
        yield line("missing", ", ".join(answer["missing_fields"]))
    if answer["sent"]:
        if "message" in answer:
            yield line("message", json.dumps(answer["message"], ensure_ascii=False, separators=(",", ":")))
    else:
        yield line("not sent", f"{answer['why']} ({answer['reason']})")


def printable(line: str) -> str:
    """Return a line that moves no cursor and colours nothing; JSON stays JSON."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)
