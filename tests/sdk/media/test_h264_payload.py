from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.h264_payload import Depacketizer, PayloadError, RunawayError
from tests.sdk.media.h264_samples import annex_b, fu_a, idr, pps, sei, slice_nal, sps, stap_a


def fresh() -> Depacketizer:
    return Depacketizer(max_bytes=10_000)


def test_a_single_unit_is_passed_on() -> None:
    assert fresh().push(slice_nal()) == [slice_nal()]


def test_an_aggregate_is_taken_apart() -> None:
    assert fresh().push(stap_a(sps(), pps(), sei())) == [sps(), pps(), sei()]


@given(st.integers(2, 300), st.integers(1, 9))
def test_fragments_are_put_together(size: int, pieces: int) -> None:
    nal = idr(size=size)
    payloads = fresh()
    assert [out for part in fu_a(nal, pieces) for out in payloads.push(part)] == [nal]
    assert payloads.repairs == 0


def test_a_fragment_without_its_beginning_is_nothing() -> None:
    payloads = fresh()
    assert [payloads.push(part) for part in fu_a(idr(), 3)[1:]] == [[], []]


def test_a_forgotten_end_bit_is_repaired_by_what_follows() -> None:
    payloads = fresh()
    parts = fu_a(idr(), 3, with_end=False)
    assert [out for part in parts for out in payloads.push(part)] == []
    assert payloads.push(slice_nal()) == [idr(), slice_nal()]
    for part in parts:
        payloads.push(part)
    assert payloads.push(fu_a(idr(), 2)[0]) == [idr()]
    assert payloads.repairs == 2


def test_flush_ends_what_is_open() -> None:
    payloads = fresh()
    payloads.push(fu_a(idr(), 1, with_end=False)[0])
    assert payloads.flush() == [idr()]
    assert payloads.flush() == []


def test_drop_forgets_what_is_open() -> None:
    payloads = fresh()
    payloads.push(fu_a(idr(), 3)[0])
    payloads.drop()
    assert payloads.push(fu_a(idr(), 3)[2]) == []


def test_start_codes_inside_a_unit_are_taken_apart() -> None:
    payloads = fresh()
    assert payloads.push(sps() + annex_b(pps(), idr())) == [sps(), pps(), idr()]
    assert payloads.push(annex_b(slice_nal())) == [slice_nal()]
    whole = b"\x65" + idr()[1:] + annex_b(pps())
    assert [out for part in fu_a(whole, 3) for out in payloads.push(part)] == [idr(), pps()]
    assert payloads.repairs == 3


def test_a_unit_without_end_is_stopped() -> None:
    payloads = Depacketizer(max_bytes=1000)
    start, middle, _ = fu_a(idr(size=900), 3)
    payloads.push(start)
    payloads.push(middle)
    payloads.push(middle)
    with pytest.raises(RunawayError):
        payloads.push(middle)


@pytest.mark.parametrize("payload", [b"\x7c", b"\x78\x00\x05ab", b"\x78\x00\x00", b"\x79abc", b"\x7f"])
def test_what_rfc_6184_does_not_allow_is_the_one_error(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        fresh().push(payload)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_payloads_give_units_or_the_one_error(payloads: list[bytes]) -> None:
    depacketizer = fresh()
    for payload in payloads:
        try:
            nals = depacketizer.push(payload)
        except PayloadError:
            depacketizer.drop()
            continue
        assert all(nals)
