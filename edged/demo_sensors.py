"""A greenhouse that is not there: smooth temperature and humidity and a door, in place of the MQTT broker."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

INTERVAL_S = 0.5
_REPEAT_EVERY = 10
TOPIC = "greenhouse/#"


@dataclass(frozen=True, slots=True)
class SensorMessage:
    """What a message from the broker looks like to the telemetry road."""

    topic: str
    payload: bytes
    received_ms: int
    ack: Callable[[], None]
    qos: int = 1
    retain: bool = False
    packet_id: int = 0
    repeated: bool = False


def greenhouse(elapsed_s: float) -> dict[str, float | str]:
    """Return the values of the three sensors at a time. The door opens for five seconds in every twenty."""
    temperature = 21.5 + 2.5 * math.sin(elapsed_s / 20) + 0.2 * math.sin(elapsed_s * 1.7)
    humidity = 58.0 - 6.0 * math.sin(elapsed_s / 20 - 0.6) + 0.4 * math.sin(elapsed_s * 1.1)
    return {
        "greenhouse/temperature": round(temperature, 2),
        "greenhouse/humidity": round(humidity, 1),
        "greenhouse/door": "open" if elapsed_s % 20 >= 15 else "closed",
    }


class Greenhouse:
    """Has the shape of the broker door. While reading is paused, values are not taken: a sensor has no memory."""

    def __init__(self, on_message: Callable[[SensorMessage], None], *, interval_s: float = INTERVAL_S) -> None:
        self._on_message = on_message
        self._interval_s = interval_s
        self._is_paused = False

    async def run(self, up: Callable[[str], None]) -> None:
        """Deliver values until cancelled."""
        up("a built-in greenhouse")
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        last: dict[str, float | str] = {}
        for number in itertools.count():
            values = greenhouse(loop.time() - started_s)
            if not self._is_paused:
                for topic, value in values.items():
                    # A contact speaks when it changes and now and then, a measurement every time.
                    if isinstance(value, float) or last.get(topic) != value or number % _REPEAT_EVERY == 0:
                        self._deliver(topic, value)
                last = values
            await asyncio.sleep(self._interval_s)

    def pause_reading(self) -> None:
        """Take no values for now."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Go on."""
        self._is_paused = False

    def _deliver(self, topic: str, value: float | str) -> None:
        payload = json.dumps(value).encode()
        self._on_message(SensorMessage(topic, payload, time.time_ns() // 1_000_000, _settled))


def _settled() -> None:
    """Nobody waits for the acknowledgement of a value that is made up."""
