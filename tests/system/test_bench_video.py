"""The bench `video`: what it makes of what it sees, and a short run of all of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.lib import peers
from scripts.lib.bench.video import Peer, turns
from scripts.lib.bench.viewing.figures import Order, Picture, added_latencies_ms, first_picture_s, judge_restart
from scripts.lib.bench.viewing.levels import NEVER, Level, cpu_ratio, rows_of
from scripts.lib.bench.viewing.marks import Measured, marks_of
from scripts.lib.bench.viewing.slices import Picture as Packets
from scripts.lib.bench.viewing.slices import checksum
from scripts.lib.bench.viewing.tap import Viewer
from scripts.lib.bench.viewing.visit import Effort
from scripts.lib.child import ROOT, Child
from scripts.lib.process_cost import rss_mb, tree, tree_cpu_s, tree_rss_mb

START = b"\0\0\0\1"
SPS, PPS, KEY, DELTA = b"\x67abc", b"\x68de", b"\x65" + bytes(range(1, 200)) * 3, b"\x41" + b"delta"
FIELDS = [
    "server", "viewers", "cpu_pct_per_viewer", "us_per_packet", "rss_mb", "connect_ms_p50", "first_picture_ms_p50",
    "first_picture_ms_max", "gop_s", "added_latency_ms_p50", "added_latency_ms_p99",
    "cpu_pct_per_viewer_low", "cpu_pct_per_viewer_high", "other_pct_of_core",
]  # fmt: skip


def picture(at_s: float, number: int, *, key: bool = False, whole: bool = True, timestamp: int = 0) -> Picture:
    return Picture(at_s, number, timestamp, key, whole, 1)


def delta(number: int) -> bytes:
    return START + b"\x41" + bytes([number]) * 20


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Of three pictures."""
    units = [delta(number) for number in (1, 2, 3)]
    file = tmp_path / "gop2.h264"
    file.write_bytes(b"".join(struct.pack(">I", len(unit)) + unit for unit in units))
    return Order(file)


# Slices ------------------------------------------------------------------------------------------------------


def fragments(nal: bytes, size: int) -> list[bytes]:
    parts = [nal[begin : begin + size] for begin in range(1, len(nal), size)]
    heads = [(nal[0] & 0x1F) | (0x80 if part is parts[0] else 0) | (0x40 if part is parts[-1] else 0) for part in parts]
    return [bytes([nal[0] & 0xE0 | 28, head]) + part for head, part in zip(heads, parts, strict=True)]


@pytest.mark.parametrize(
    "packets",
    [
        [SPS, PPS, KEY],
        [b"\x78" + b"".join(len(nal).to_bytes(2) + nal for nal in (SPS, PPS, KEY))],
        [SPS, PPS, *fragments(KEY, 100)],
        [KEY],
        fragments(KEY, 7),
    ],
    ids=["single", "aggregated", "fragmented", "without parameter sets", "in small fragments"],
)
def test_a_picture_is_recognised_however_it_was_packed(packets: list[bytes]) -> None:
    seen = Packets()
    for packet in packets:
        seen.take(packet)
    assert seen.checksum == checksum(START + SPS + START + PPS + b"\0\0\1" + KEY)
    assert seen.is_key
    assert seen.packets == len(packets)


def test_a_picture_of_several_slices_counts_all_of_them() -> None:
    assert checksum(START + DELTA + START + DELTA) != checksum(START + DELTA)


# Figures -----------------------------------------------------------------------------------------------------


def test_the_first_picture_is_a_key_frame_that_the_very_next_one_follows(order: Order) -> None:
    one, two, three = (checksum(delta(number)) for number in (1, 2, 3))
    pictures = [
        picture(1.0, three),
        picture(2.0, one, key=True),
        picture(3.0, three),  # after a hole: it cannot be decoded
        picture(4.0, one, key=True),
        picture(5.0, two),
    ]
    assert first_picture_s(pictures, order) == 4.0
    assert first_picture_s(pictures[:4], order) is None


def test_a_key_frame_with_a_hole_is_no_first_picture(order: Order) -> None:
    assert first_picture_s([picture(1.0, 7, key=True, whole=False), picture(2.0, 8)], order) is None
    assert first_picture_s([picture(1.0, 7, key=True), picture(2.0, 8, whole=False)], order) is None


def test_latency_is_taken_from_the_last_time_the_picture_came_directly() -> None:
    direct = {1: [10.0, 30.0], 2: [11.0]}
    pictures = [picture(30.004, 1), picture(10.001, 1), picture(10.9, 2), picture(50.0, 2), picture(1.0, 3)]
    assert added_latencies_ms(pictures, direct) == pytest.approx([4.0, 1.0])


def report(pictures: list[Picture], *, connections: int = 1, is_connected: bool = True) -> dict[str, Any]:
    return {"pictures": pictures, "connections": connections, "is_connected": is_connected}


def test_a_restart_is_judged_by_session_key_frame_and_timestamps() -> None:
    before = {number: report([]) for number in range(4)}
    good = [picture(10.0, 1, timestamp=2**32 - 90_000), picture(15.0, 2, key=True, timestamp=4 * 90_000 + 900)]
    after = {
        0: report(good),
        1: report([good[0], good[1]._replace(is_key=False)]),
        2: report(good, connections=2),
        3: report(good[:1]),
    }
    found = judge_restart(before, after)
    assert (found.viewers, found.lost_sessions, found.not_key_first) == (4, 2, 1)
    assert found.gap_error_ms == pytest.approx(10.0)


def level(server: str, viewers: int, *cpu: float, visit: int = 0, **figures: Any) -> Level:
    return Level(server, figures.pop("gop_s", 2), visit, viewers, figures.pop("rss_mb", 50.0), [*cpu], **figures)


def test_a_row_has_the_medians_of_all_visits_and_what_the_cpu_went_between() -> None:
    (row,) = rows_of(
        [
            level("edged", 16, 0.2, 0.9, rss_mb=80.0, us_per_packet=[5.0], connects_ms=[9.0], latencies_ms=[1.0, 4.0]),
            level("edged", 16, 0.3, rss_mb=90.0, us_per_packet=[7.0], connects_ms=[None], firsts_ms=[30.0, 20.0]),
        ]
    )
    assert row == {
        "server": "edged",
        "viewers": 16,
        "cpu_pct_per_viewer": 0.3,
        "us_per_packet": 6.0,
        "rss_mb": 85.0,
        "connect_ms_p50": 9.0,
        "first_picture_ms_p50": 20.0,
        "first_picture_ms_max": 30.0,
        "gop_s": 2,
        "added_latency_ms_p50": 1.0,
        "added_latency_ms_p99": 4.0,
        "cpu_pct_per_viewer_low": 0.2,
        "cpu_pct_per_viewer_high": 0.9,
        "other_pct_of_core": None,
    }


def test_servers_are_compared_within_a_turn_so_that_a_slow_machine_slows_both() -> None:
    levels = [
        level("edged", 16, 0.2),
        level("a", 16, 0.8),
        level("edged", 16, 0.6, visit=1),
        level("a", 16, 2.0, visit=1),
        level("edged", 16, 0.9, visit=2),  # the other could not be measured
    ]
    ratio = cpu_ratio(levels, "edged", ["a", "b"], 16)
    assert ratio is not None
    assert (ratio.middle, ratio.low, ratio.high) == pytest.approx((0.275, 0.25, 0.3))
    assert cpu_ratio(levels, "edged", ["b"], 16) is None


def test_marks_hold_ours_against_the_baseline_and_the_peers() -> None:
    late: dict[str, Any] = {"gop_s": 10, "firsts_ms": [20.0, 30.0, 900.0], "connects_ms": [5.0, None, None]}
    levels = [
        level("edged", 0),
        level("edged", 1, rss_mb=80.0, latencies_ms=[0.4]),
        level("edged", 16, 0.2, rss_mb=87.5),
        level("edged", 16, **late),
        level("aiortc", 16, 0.8),
        level("go2rtc", 16, 0.5),
        level("mediamtx", 16, 0.4),
        level("janus", 16, 0.1),
    ]
    marks = {mark.name: mark for mark in marks_of(Measured(levels, [], None))}
    assert {name: mark.value for name, mark in marks.items()} == {
        "CPU per viewer at 16: ours / aiortc": 0.25,
        "CPU per viewer at 16: ours / cheaper of go2rtc and mediamtx": 0.5,
        "CPU per viewer at 16: ours / janus": 2.0,
        "added latency p50 with 1 viewers, ms": 0.4,
        "added latency p99 with 1 viewers, ms": 0.4,
        "first picture p50, GOP 10 s, ms": 30.0,
        "first picture max, GOP 10 s, ms": 900.0,
        "connect p50, ms": NEVER,
        "RTSP open to first access unit p50, ms": NEVER,
        "RSS with no viewer, MB": 50.0,
        "RSS per viewer, 1 to 16, MB": 0.5,
    }
    assert marks["CPU per viewer at 16: ours / aiortc"].met
    assert not marks["CPU per viewer at 16: ours / janus"].met


def test_every_other_turn_goes_the_other_way_and_long_gops_are_visited_once() -> None:
    effort = Effort(gops_s=(2, 10), rounds=3)
    assert list(turns(effort, ["a", "b"])) == [
        *[(2, 0, "a"), (2, 0, "b"), (10, 0, "a"), (10, 0, "b")],
        *[(2, 1, "b"), (2, 1, "a")],
        *[(2, 2, "a"), (2, 2, "b")],
    ]


def test_a_peer_is_a_process_or_the_program_that_starts_it() -> None:
    url = "http://127.0.0.1:1984/api/webrtc?src=gop{gop}"
    assert Peer.parse(f"go2rtc={url},17") == Peer("go2rtc", url, "17")
    assert Peer.parse(f"go2rtc={url},{sys.executable}").runs == sys.executable
    for wrong in ("go2rtc", f"go2rtc={url}", f"go2rtc={url},/no/such/program", f"={url},17"):
        with pytest.raises(argparse.ArgumentTypeError):
            Peer.parse(wrong)


async def test_what_a_server_starts_is_counted_with_it() -> None:
    busy = "import json; sum(range(3_000_000)); print(json.dumps({'event': 'ready'}), flush=True); input()"
    async with Child("server", ["sh", "-c", f'"{sys.executable}" -c "{busy}"; true']) as child:
        await child.event("ready")
        assert len(tree(child.pid)) == 2
        assert tree_rss_mb(child.pid) > rss_mb(child.pid) + 3
        assert tree_cpu_s(child.pid) > 0.02
        child.close_stdin()


# A viewer ----------------------------------------------------------------------------------------------------


class Receiver:
    """What the viewer needs of aiortc's receiver."""

    def __init__(self) -> None:
        self._RTCRtpReceiver__remote_streams: dict[int, Any] = {}
        self.asked_for: list[int] = []

    async def _send_rtcp_pli(self, ssrc: int) -> None:
        self.asked_for.append(ssrc)


class Dtls:
    """What the viewer needs of aiortc's DTLS transport."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self._rtp_router = self
        self.receivers = [self.receiver]


def packet(sequence: int, payload: bytes, *, timestamp: int = 0, last: bool = True) -> bytes:
    return struct.pack(">BBHII", 0x80, 0x80 * last + 96, sequence & 0xFFFF, timestamp, 7) + payload


def test_a_viewer_tells_whole_pictures_from_those_with_holes_and_asks_for_a_key_frame() -> None:
    dtls, viewer = Dtls(), Viewer()
    for sequence, payload in ((65534, DELTA), (65535, KEY), (0, DELTA), (2, DELTA), (2, DELTA), (3, KEY)):
        viewer.take_first(dtls, packet(sequence, payload))
    assert [(each.is_key, each.is_whole) for each in viewer.pictures] == [
        (False, True),
        (True, True),
        (False, True),
        (False, False),
        (True, True),
    ]
    assert (viewer.lost_packets, viewer.connections) == (1, 1)
    assert dtls.receiver.asked_for == [7]  # once in a while, not for each picture
    statistics = dtls.receiver._RTCRtpReceiver__remote_streams[7]
    assert (statistics.packets_received, statistics.packets_lost) == (5, 1)


# All of it ---------------------------------------------------------------------------------------------------


def start_quick() -> Any:
    return asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.lib.bench.video", "--json", "--quick", "--camera-port", str(peers.free_port())),
        cwd=ROOT,
        env=peers.tree_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.system
@pytest.mark.timeout(150)
async def test_a_short_run_measures_ours_and_the_baseline_in_every_field() -> None:
    child = await start_quick()
    output, log = await child.communicate()
    assert child.returncode == 0, log.decode()
    found = json.loads(output)
    assert all(list(each) == FIELDS for each in found["rows"])
    assert [(each["server"], each["viewers"]) for each in found["rows"]] == [
        (server, viewers) for server in ("edged", "aiortc") for viewers in (0, 1, 4)
    ]
    watched = [each for each in found["rows"] if each["viewers"]]
    assert all(value is not None for each in watched for value in each.values()), watched
    lost = next(mark for mark in found["marks"] if mark["name"].endswith("sessions lost"))
    assert lost["met"], found["marks"]


@pytest.mark.system
async def test_ctrl_c_ends_everything_that_was_started() -> None:
    child = await start_quick()
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    async with asyncio.timeout(30):
        while len(started := children.read_text().split()) < 2:
            await asyncio.sleep(0.1)
    child.send_signal(signal.SIGINT)
    await child.communicate()
    assert not [pid for pid in started if Path(f"/proc/{pid}/stat").exists()]
