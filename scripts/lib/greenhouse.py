"""A simulated greenhouse: temperature, humidity and a door contact, published over MQTT until it is told to stop.

Prints {"event": "ready"} when connected, and at the end {"event": "published", "count": N}: what the broker has
acknowledged.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import threading
import time
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

DOOR_EVERY = 7
CONNECT_TIMEOUT_S = 10.0
PUBACK_TIMEOUT_S = 5.0


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def readings(step: int) -> list[tuple[str, str]]:
    """Return the topics and payloads of one step."""
    warm = 22.0 + 4.0 * math.sin(step / 20)
    found = [
        ("greenhouse/temperature", f"{warm:.1f}"),
        ("greenhouse/humidity", f"{68 - 2.5 * (warm - 22):.0f}"),
    ]
    if step % DOOR_EVERY == 0:
        found.append(("greenhouse/door", "open" if step // DOOR_EVERY % 2 else "closed"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=1883, help="port of the broker on 127.0.0.1")
    parser.add_argument("--interval-s", type=float, default=1.0, help="seconds from step to step")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client = Client(CallbackAPIVersion.VERSION2, client_id="greenhouse")
    connected = threading.Event()
    acknowledged: list[int] = []
    client.on_connect = lambda *about: None if about[3].is_failure else connected.set()
    client.on_publish = lambda _client, _data, packet_id, *_: acknowledged.append(packet_id)
    try:
        client.connect("127.0.0.1", options.port)
    except OSError as error:
        print(f"greenhouse: no broker at 127.0.0.1:{options.port}: {error}", file=sys.stderr)
        return 1
    # paho connects again by itself, and sends again what the broker has not acknowledged.
    client.loop_start()
    if not connected.wait(CONNECT_TIMEOUT_S):
        print(f"greenhouse: what listens at 127.0.0.1:{options.port} is no broker for us", file=sys.stderr)
        return 1
    say("ready")
    sent = step = 0
    while not stop.is_set():
        for topic, payload in readings(step):
            client.publish(topic, payload, qos=1)
            sent += 1
        step += 1
        stop.wait(options.interval_s)
    deadline = time.monotonic() + PUBACK_TIMEOUT_S
    while len(acknowledged) < sent and time.monotonic() < deadline:
        time.sleep(0.05)
    client.disconnect()
    client.loop_stop()
    say("published", count=len(acknowledged))
    return 0


if __name__ == "__main__":
    sys.exit(main())
