from __future__ import annotations

import pytest

from metered_realtime.media.h264_payload import PayloadError, RunawayError
from metered_realtime.media.h265_payload import H265Depacketizer
from tests.sdk.media.h265_samples import aggregate, fragments, header, idr, pps, slice_nal, sps, vps


def unpacked(*payloads: bytes, max_bytes: int = 100_000) -> list[bytes]:
    unpack = H265Depacketizer(max_bytes=max_bytes)
    nals = [nal for payload in payloads for nal in unpack.push(payload)]
    assert unpack.repairs == 0
    return nals


def test_units_come_out_of_whatever_they_travel_in() -> None:
    nal = idr(size=300)
    assert unpacked(aggregate(vps(), sps(), pps()), *fragments(nal, 3), slice_nal()) == [
        vps(),
        sps(),
        pps(),
        nal,
        slice_nal(),
    ]


def test_a_lost_end_bit_is_repaired_by_what_comes_next() -> None:
    unpack = H265Depacketizer(max_bytes=10_000)
    nal = idr(size=300)
    for fragment in fragments(nal, 3, with_end=False):
        assert unpack.push(fragment) == []
    assert unpack.push(slice_nal()) == [nal, slice_nal()]
    assert unpack.repairs == 1


def test_start_codes_inside_a_unit_are_taken_apart() -> None:
    unpack = H265Depacketizer(max_bytes=10_000)
    assert unpack.push(vps() + b"\x00\x00\x00\x01" + sps()) == [vps(), sps()]


def test_fragments_without_a_beginning_are_left_out() -> None:
    assert unpacked(*fragments(idr(size=300), 3)[1:]) == []


@pytest.mark.parametrize("payload", [b"", b"\x60", header(49), header(48) + b"\x00\x09\x01", header(50) + b"\x00\x00"])
def test_what_nobody_agreed_on_is_an_error(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        unpacked(payload)


def test_a_unit_without_end_is_given_up() -> None:
    with pytest.raises(RunawayError):
        unpacked(*fragments(idr(size=9000), 9), max_bytes=5000)
