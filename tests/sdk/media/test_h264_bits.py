from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.h264_bits import BitReader, H264Error, without_emulation_prevention
from tests.sdk.media.h264_samples import BitWriter


@given(st.lists(st.tuples(st.sampled_from(["bits", "unsigned", "signed"]), st.integers(0, 2**16 - 1)), max_size=20))
def test_reads_what_was_written(items: list[tuple[str, int]]) -> None:
    writer = BitWriter()
    for kind, value in items:
        if kind == "bits":
            writer.u(16, value)
        elif kind == "unsigned":
            writer.ue_v(value)
        else:
            writer.se_v(value - 2**15)
    reader = BitReader(without_emulation_prevention(writer.rbsp()))
    for kind, value in items:
        if kind == "bits":
            assert reader.u(16) == value
        elif kind == "unsigned":
            assert reader.ue_v() == value
        else:
            assert reader.se_v() == value - 2**15
    assert reader.flag(), "the stop bit"


def test_the_end_of_the_data_is_an_error() -> None:
    reader = BitReader(b"\x80")
    reader.skip(8)
    with pytest.raises(H264Error, match="ends too early"):
        reader.u(1)


def test_a_number_without_end_is_an_error() -> None:
    with pytest.raises(H264Error, match="more than 32 bits"):
        BitReader(bytes(100)).ue_v()


def test_emulation_prevention_is_taken_out() -> None:
    assert without_emulation_prevention(b"\x00\x00\x03\x01\x00\x00\x03\x00\x00\x03") == b"\x00\x00\x01\x00\x00\x00\x00"
    assert without_emulation_prevention(b"\x00\x03\x00") == b"\x00\x03\x00"
