"""Access units to RTP payloads and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.h264 import join_annex_b
from metered_realtime.media.h264_packets import packetize
from metered_realtime.media.h264_payload import Depacketizer

SPS, PPS, IDR = b"\x67\x42\xe0\x1f", b"\x68\xce\x3c\x80", b"\x65" + bytes(range(1, 251)) * 40
DELIMITER = b"\x09\x10"


def test_small_units_travel_together_and_the_delimiter_does_not_travel() -> None:
    (packet,) = packetize(join_annex_b([DELIMITER, SPS, PPS]), 100)

    assert packet == b"\x78\x00\x04" + SPS + b"\x00\x04" + PPS


def test_a_single_small_unit_travels_as_it_is() -> None:
    assert packetize(join_annex_b([b"\x41\x9a\x01"]), 100) == [b"\x41\x9a\x01"]


def test_fragments_are_equal_but_for_a_shorter_last_one() -> None:
    fragments = packetize(join_annex_b([IDR]), 1000)

    sizes = [len(fragment) for fragment in fragments]
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0] <= 1000
    assert fragments[0][:2] == b"\x7c\x85"  # start
    assert fragments[1][:2] == b"\x7c\x05"
    assert fragments[-1][:2] == b"\x7c\x45"  # end


def test_a_small_unit_before_a_large_one_keeps_its_place() -> None:
    sps, *fragments = packetize(join_annex_b([SPS, IDR, PPS]), 1000)

    assert sps == SPS
    assert fragments[-1] == PPS


def test_nothing_to_send_gives_no_packet() -> None:
    assert packetize(b"") == packetize(join_annex_b([DELIMITER])) == []


def test_a_bound_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64 bytes, not 10"):
        packetize(b"\x00\x00\x01\x65", 10)


nal_units = st.binary(min_size=1, max_size=5000).map(
    # A unit has a type of its own, no zero byte pairs (emulation prevention) and does not end in zero.
    lambda body: b"\x41" + body.replace(b"\x00", b"\x01")
)


@given(st.lists(nal_units, min_size=1, max_size=12), st.integers(64, 1400))
def test_what_is_packed_comes_out_again(nals: list[bytes], max_payload: int) -> None:
    payloads = packetize(join_annex_b(nals), max_payload)

    assert all(0 < len(payload) <= max_payload for payload in payloads)
    unpack = Depacketizer(max_bytes=1_000_000)
    assert [nal for payload in payloads for nal in unpack.push(payload)] == nals
    assert unpack.repairs == 0
