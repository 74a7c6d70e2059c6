"""Whatever an H.265 camera sends gives pictures that can be decoded, or none, in bounded time and memory."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264 import START_CODE, split_annex_b
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h265 import PARAMETER_SETS, nal_type
from metered_realtime.media.h265_packets import packetize_h265
from metered_realtime.media.h265_rtp import H265Assembler
from metered_realtime.media.h265_sets import H265ParameterSets
from metered_realtime.media.h265_sps import parse_sps
from metered_realtime.media.rtp_order import ReorderBuffer
from tests.fuzz.material import FUZZ, spoiled_bytes, spoiled_packets
from tests.fuzz.test_cameras import cheap
from tests.sdk.media.h264_samples import rtp
from tests.sdk.media.h265_samples import aggregate, encoded, header, idr, pps, slice_nal, sps, vps


def noise(seed: int) -> av.VideoFrame:
    """Return a picture that takes many packets."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane in frame.planes:
        plane.update(random.Random(seed).randbytes(plane.buffer_size))
    return frame


NUMBERS = itertools.count()
PACKETS = [
    rtp(next(NUMBERS), unit.pts_90k, payload, marker=payload is payloads[-1])
    for unit in encoded([noise(seed) for seed in range(20)], gop=5)
    for payloads in [packetize_h265(unit.data, 300)]
    for payload in payloads
]


def check_units(units: list[AccessUnit]) -> None:
    """What every reader of pictures relies on."""
    assert [unit.pts_90k for unit in units] == sorted(unit.pts_90k for unit in units)
    for unit in units:
        if unit.is_key:
            assert set(PARAMETER_SETS) <= {nal_type(nal) for nal in split_annex_b(unit.data)}
        packetize_h265(unit.data)
    assert all(unit.is_key for unit in units[:1])


@settings(FUZZ, max_examples=300)
@given(spoiled_packets(PACKETS, slice(12, 15)), st.booleans())
def test_spoiled_packets_give_pictures_that_can_be_decoded_or_none(packets: list[bytes], over_udp: bool) -> None:
    order, assembler = ReorderBuffer(), H265Assembler()
    units: list[AccessUnit] = []
    for number, data in enumerate(packets):
        for packet in order.push(data, number / 100) if over_udp else (data,):
            units += assembler.push(packet, number / 100)
            assert assembler.video.codec == "H265"
    check_units(units)
    assert sum(unit.size_bytes for unit in units) <= 2 * sum(map(len, packets)) + 4096 * len(units)


def test_the_stream_is_whole() -> None:
    assembler = H265Assembler()
    units = [unit for packet in PACKETS for unit in assembler.push(packet, 0.0)]
    assert [unit.is_key for unit in units] == [number % 5 == 0 for number in range(20)]
    check_units(units)


@FUZZ
@given(st.sampled_from([vps(), sps(), pps(), sps(chroma=3, sub_layers=((True, True),) * 3)]).flatmap(spoiled_bytes))
def test_a_parameter_set_is_read_or_refused(nal: bytes) -> None:
    with suppress(H264Error):
        told = parse_sps(nal)
        assert 0 < told.width <= 16888
        assert 0 < told.height <= 16888
        assert told.profile
        assert told.level
    sets = H265ParameterSets()
    with suppress(H264Error):
        sets.put(nal)
    sets.for_key()


def fragment(piece: bytes, *, start: bool = False) -> bytes:
    return header(49) + bytes((0x80 * start | 19,)) + piece


def bombs() -> dict[str, list[bytes]]:
    """Packets that unpack to something large."""
    many_keys = b"".join(START_CODE + idr(size=12) for _ in range(80_000))
    pieces = [many_keys[start : start + 1300] for start in range(0, len(many_keys), 1300)]
    long_sets = [vps(), sps(), pps(), *(pps(set_id=number) + b"\x55" * 4000 for number in range(1, 31))]
    sets = [rtp(number, 0, nal) for number, nal in enumerate(long_sets)]
    return {
        "pictures in one aggregate": [*sets, rtp(len(sets), 9, aggregate(*[idr(size=12)] * 1000), marker=True)],
        "tiny units in large aggregates": [
            rtp(number, 9, header(48) + b"\x00\x01\x02" * 21_000) for number in range(100)
        ],
        "pictures in one fragmented unit": [
            *sets,
            *(rtp(len(sets) + number, 9, fragment(piece, start=number == 0)) for number, piece in enumerate(pieces)),
            rtp(len(sets) + len(pieces), 9, header(49) + bytes((0x40 | 19, 0x55)), marker=True),
        ],
        "a unit in tiny pieces": [rtp(number, 0, fragment(b"xy", start=number == 0)) for number in range(60_000)],
        "a unit in empty pieces": [rtp(number, 0, fragment(b"", start=number == 0)) for number in range(60_000)],
        "SEI without end": [rtp(number, 0, header(39) + b"\x05\x01\x00\x80") for number in range(60_000)],
        "slices without end": [rtp(number, 0, slice_nal(first=not number, size=1000)) for number in range(20_000)],
        "a sender for every packet": [rtp(number, 0, idr(), ssrc=number) for number in range(20_000)],
    }


@pytest.mark.parametrize("bomb", bombs())
def test_a_packet_is_no_bomb(bomb: str) -> None:
    packets, assembler = bombs()[bomb], H265Assembler()
    with cheap():
        most = max(len(assembler.push(packet, 0.0)) for packet in packets)
    assert most <= 5
    last = int.from_bytes(packets[-1][2:4])
    assembler.push(rtp(last + 1, 99, aggregate(vps(), sps(), pps())), 1.0)
    assert assembler.push(rtp(last + 2, 99, idr(), marker=True), 1.0), "a true key frame is shown after it"
