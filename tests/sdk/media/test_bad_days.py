"""What a real camera sent, as it would come on a bad day, on the whole road to a viewer: packets, units, timeline."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.h264_rtp import H264Assembler
from metered_realtime.media.rtp_order import ReorderBuffer
from metered_realtime.media.rtsp_message import Interleaved, RtspParser

CAPTURE = Path(__file__).parents[2] / "fuzz" / "captures" / "gst_slices.rtsp"
PACKETS = [
    item.payload
    for item in RtspParser().receive_data(CAPTURE.read_bytes())
    if isinstance(item, Interleaved) and item.channel == 0
]
STEP_90K = 6000  # 15 pictures a second
WRAP = 1 << 32


def stamp_of(packet: bytes) -> int:
    return int.from_bytes(packet[4:8])


def renumbered(packet: bytes, *, sequence: int = 0, stamp: int = 0) -> bytes:
    number, timestamp = struct.unpack("!HI", packet[2:8])
    return packet[:2] + struct.pack("!HI", (number + sequence) & 0xFFFF, (timestamp + stamp) % WRAP) + packet[8:]


def units_of(packets: Iterable[bytes], *, over_udp: bool = False, at_once: bool = False) -> list[AccessUnit]:
    """Return what comes of packets that arrive at the pace of their pictures, or all at once."""
    assembler, order, units = H264Assembler(), ReorderBuffer(), []
    now_s, seen = 0.0, set()
    for data in packets:
        now_s += STEP_90K / 90_000 if stamp_of(data) not in seen and not at_once else 0.0
        seen.add(stamp_of(data))
        for packet in order.push(data, now_s) if over_udp else (data,):
            units += assembler.push(packet, now_s)
    return units


async def read(units: list[AccessUnit]) -> list[int]:
    """Return the timestamps that a viewer of these gets."""
    source = EncodedVideoSource(clock=lambda: 0.0)
    reader = source.open_reader()
    given = []
    for unit in units:
        source.push(unit)
        given.append((await reader.recv()).pts)
    return given


PLAIN = units_of(PACKETS)
MIDDLE = next(at for at, packet in enumerate(PACKETS) if stamp_of(packet) == stamp_of(PACKETS[50]))


def test_the_plain_day() -> None:
    assert [unit.pts_90k for unit in PLAIN] == [number * STEP_90K for number in range(len(PLAIN))]
    assert sum(unit.is_key for unit in PLAIN) >= 2


@pytest.mark.parametrize("jump", [1 << 31, -900_000_000, 45 * 90_000, -60 * 90_000], ids=str)
async def test_a_clock_that_jumps_is_followed_at_the_real_pace(jump: int) -> None:
    units = units_of([*PACKETS[:MIDDLE], *(renumbered(packet, stamp=jump) for packet in PACKETS[MIDDLE:])])
    assert [unit.data for unit in units] == [unit.data for unit in PLAIN], "no picture is lost for it"
    assert await read(units) == pytest.approx([unit.pts_90k for unit in PLAIN], abs=2)


async def test_a_clock_that_is_set_back_a_little_never_goes_back_for_viewers() -> None:
    back = [renumbered(packet, stamp=-3 * STEP_90K) for packet in PACKETS[MIDDLE:]]
    units = units_of([*PACKETS[:MIDDLE], *back])
    seen = await read(units)
    assert len(seen) == len(PLAIN)
    assert all(after > before for before, after in itertools.pairwise(seen)), "pictures of their own"


@pytest.mark.parametrize("first_stamp", [WRAP - 5 * STEP_90K, WRAP // 2 - 5 * STEP_90K, 0])
@pytest.mark.parametrize("first_sequence", [0xFFF0, 0x7FF0, 0])
async def test_32_bits_of_time_and_16_of_numbers_are_no_end(first_stamp: int, first_sequence: int) -> None:
    shift = {"stamp": first_stamp - stamp_of(PACKETS[0]), "sequence": first_sequence}
    units = units_of(renumbered(packet, **shift) for packet in PACKETS)
    assert [(unit.data, unit.pts_90k) for unit in units] == [(unit.data, unit.pts_90k) for unit in PLAIN]


def doubled(packets: list[bytes]) -> list[bytes]:
    return [each for at, packet in enumerate(packets) for each in ((packet, packet) if at % 3 == 0 else (packet,))]


def shuffled(packets: list[bytes]) -> list[bytes]:
    dice = random.Random(7)
    mixed = [packets[at : at + 4] for at in range(1, len(packets), 4)]
    for few in mixed:
        dice.shuffle(few)
    return packets[:1] + [packet for few in mixed for packet in few]


def late_doubles(packets: list[bytes]) -> list[bytes]:
    return [each for at, packet in enumerate(packets) for each in (packet, packets[max(0, at - 10)])]


@pytest.mark.parametrize("disorder", [doubled, shuffled, late_doubles])
def test_what_udp_doubles_and_moves_is_put_right(disorder: Callable[[list[bytes]], list[bytes]]) -> None:
    units = units_of(disorder(PACKETS), over_udp=True, at_once=True)
    assert [unit.data for unit in units] == [unit.data for unit in PLAIN]


@pytest.mark.parametrize("lost", range(20, 60, 7))
def test_a_lost_packet_costs_what_cannot_be_decoded_and_nothing_more(lost: int) -> None:
    units = units_of([*PACKETS[:lost], *PACKETS[lost + 1 :]], over_udp=True)
    damaged = next(
        at for at, unit in enumerate(PLAIN) if unit.pts_90k >= stamp_of(PACKETS[lost]) - stamp_of(PACKETS[0])
    )
    again = next(at for at, unit in enumerate(PLAIN) if unit.is_key and at > damaged)
    expected = [*PLAIN[:damaged], *PLAIN[again:]] if not PLAIN[damaged].is_key else None
    assert units[0].is_key
    assert expected is None or [unit.data for unit in units] == [unit.data for unit in expected]
