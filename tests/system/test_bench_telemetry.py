"""The bench `telemetry`: what it makes of what it counts, and a short run of all of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.lib import peers
from scripts.lib.bench.programs.telemetry_listener import Arrivals, MqttListener
from scripts.lib.bench.programs.telemetry_sensors import Order, payload_of
from scripts.lib.bench.telemetry_road.disk import kind_of, process_bytes, real_disk
from scripts.lib.bench.telemetry_road.figures import Figures, Span, marks_of, row_of
from scripts.lib.bench.telemetry_road.progress import Progress
from scripts.lib.bench.telemetry_road.visit import publishing
from scripts.lib.child import ROOT

FIELDS = [
    "server", "payload_b", "msg_per_s", "cpu_us_per_msg", "rss_mb", "latency_ms_p50", "latency_ms_p99",
    "disk_b_per_msg", "state", "setup", "offered_per_s", "cpu_pct", "site_cpu_us_per_msg", "device_b_per_msg",
    "backlog", "lost", "repeated",
]  # fmt: skip
SPAN = Span(messages=2000, seconds=2.0, cpu_us=50.0, site_cpu_us=70.0, disk_b=0, device_b=4096)
ONLINE = Figures("edged", "default", 100, "online", 1000.0, SPAN, 35.0, latency_ms_p50=1.5, latency_ms_p99=9.0, lost=0)


# Figures -----------------------------------------------------------------------------------------------------


def test_a_row_has_costs_by_message() -> None:
    row = row_of(replace(ONLINE, span=replace(SPAN, disk_b=3000)))
    assert list(row) == FIELDS
    assert (row["msg_per_s"], row["cpu_us_per_msg"], row["cpu_pct"]) == (1000.0, 50.0, 5.0)
    assert (row["disk_b_per_msg"], row["device_b_per_msg"]) == (1.5, 2.0)


def test_a_bridge_is_not_charged_for_what_its_broker_costs_without_it() -> None:
    bridge = replace(ONLINE, server="mosquitto-bridge", alone_us=30.0)
    assert row_of(bridge)["cpu_us_per_msg"] == 20.0
    assert row_of(bridge)["site_cpu_us_per_msg"] == 70.0
    assert row_of(replace(bridge, alone_us=60.0))["cpu_us_per_msg"] == 0.0


def test_rates_are_told_apart() -> None:
    offered = [row_of(replace(ONLINE, offered_per_s=rate))["offered_per_s"] for rate in (1000.0, 0.0, None)]
    assert offered == [1000.0, "max", "-"]


def test_marks_hold_ours_to_what_was_promised() -> None:
    offline = replace(ONLINE, state="offline", span=replace(SPAN, disk_b=2_000_000, device_b=1_000_000))
    drain = replace(ONLINE, state="drain", offered_per_s=None, backlog=9000, span=replace(SPAN, seconds=0.5), lost=1)
    bridge = replace(ONLINE, server="mosquitto-bridge", lost=500)
    marks = {mark.name: mark for mark in marks_of([ONLINE, offline, drain, bridge], 3)}
    assert {name: (mark.value, mark.met) for name, mark in marks.items()} == {
        "online, 100 B, 1000.0 msg/s: disk_b_per_msg": (0.0, True),
        "online, 100 B, 1000.0 msg/s: lost": (0, True),
        "online, 100 B, 1000.0 msg/s: cpu_pct": (5.0, True),
        "online, 100 B, 1000.0 msg/s: rss_mb": (35.0, True),
        "offline, 100 B, 1000.0 msg/s: disk_b_per_msg": (1000.0, False),
        "offline, 100 B, 1000.0 msg/s: device_b_per_msg": (500.0, True),
        "drain of 9000, 100 B: msg_per_s": (4000.0, False),
        "drain of 9000, 100 B: lost": (1, False),
        "modules of aiortc, av, pydantic, numpy loaded": (3, False),
    }
    assert not [mark for mark in marks_of([replace(offline, payload_b=1000)], 0) if "disk" in mark.name]


# Sensors and listener ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_b", [60, 100, 1000])
def test_a_payload_is_json_of_the_size_asked_for(size_b: int) -> None:
    payload = payload_of(7, time.monotonic_ns(), size_b)
    assert len(payload) == size_b
    assert json.loads(payload)["n"] == 10**9 + 7


def test_a_listener_counts_every_number_once_however_the_packets_are_cut(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress", new=True)
    arrivals = Arrivals(progress)
    listener = MqttListener(arrivals)
    topic = b"bench/site/room00"
    packets = b""
    for packet_id, number in ((1, 5), (2, 6), (3, 5)):
        body = len(topic).to_bytes(2) + topic + packet_id.to_bytes(2) + payload_of(number, time.monotonic_ns(), 200)
        packets += bytes((0x32, 128 | len(body) % 128, len(body) // 128)) + body
    for begin in range(0, len(packets), 37):
        listener.data_received(packets[begin : begin + 37])
    assert (progress.count, arrivals.repeats, len(arrivals.latencies_ns)) == (2, 1, 2)
    assert 0 <= min(arrivals.latencies_ns) <= max(arrivals.latencies_ns) < 60 * 10**9


async def test_sensors_keep_no_more_under_way_than_the_window(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress", new=True)
    async with peers.mosquitto() as broker:
        async with publishing(Order(broker.port, 100, window=30, progress=progress.path)) as answer:
            await asyncio.sleep(0.3)
        assert (answer["sent"], answer["acked"]) == (30, 30)
        async with publishing(Order(broker.port, 100, rate=200.0)) as answer:
            await asyncio.sleep(0.5)
        assert answer["acked"] == answer["sent"] == pytest.approx(200 * answer["seconds"], abs=20)


# Disk --------------------------------------------------------------------------------------------------------


def test_a_folder_in_memory_is_refused() -> None:
    with pytest.raises(SystemExit, match="in memory"), real_disk(Path("/dev/shm")):
        pytest.fail("nothing is written to a disk there")


async def test_what_a_process_writes_is_counted(tmp_path: Path) -> None:
    assert kind_of(tmp_path)
    before = process_bytes(os.getpid())
    with real_disk(Path("/var/tmp")) as disk:
        (disk.folder / "file").write_bytes(bytes(100_000))
        written = process_bytes(os.getpid()) - before
        assert await disk.device_bytes() is None
    assert written >= 100_000


# All of it ---------------------------------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.timeout(150)
async def test_a_short_run_measures_ours_and_the_bridge_in_every_state() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.lib.bench.telemetry", "--json", "--quick", "--server", "edged", "bridge-tuned"),
        cwd=ROOT,
        env={**os.environ, **peers.tree_environment()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, log = await child.communicate()
    assert child.returncode == 0, log.decode()
    found: dict[str, Any] = json.loads(output)
    assert all(list(row) == FIELDS for row in found["rows"])
    assert [(row["server"], row["state"], row["offered_per_s"]) for row in found["rows"]] == [
        (server, state, offered)
        for server in ("edged", "mosquitto-bridge")
        for state, offered in (
            ("online", 1000.0),
            ("online", "max"),
            ("offline", 10.0),
            ("offline", 1000.0),
            ("drain", "-"),
        )
    ]
    assert any("state on" in note for note in found["notes"])
    by_name = {mark["name"]: mark for mark in found["marks"]}
    for name in ("online, 100 B, 1000.0 msg/s: lost", "modules of aiortc, av, pydantic, numpy loaded"):
        assert by_name[name]["met"], by_name
