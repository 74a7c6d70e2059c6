"""H.265 access units to RTP payloads and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.h265_packets import packetize_h265
from tests.sdk.media.h264_samples import annex_b
from tests.sdk.media.h265_samples import aggregate, header, idr, pps, sps, vps
from tests.sdk.media.test_h265_payload import unpacked

DELIMITER = header(35) + b"\x50"


def test_small_units_travel_together_and_the_delimiter_does_not_travel() -> None:
    (payload,) = packetize_h265(annex_b(DELIMITER, vps(), sps(), pps()))
    assert payload == aggregate(vps(), sps(), pps())


def test_an_aggregate_has_the_lowest_layer_and_temporal_id_of_all() -> None:
    (payload,) = packetize_h265(annex_b(header(1, temporal=3) + b"\x80\x01", header(1, temporal=2) + b"\x80\x01"))
    assert payload[:2] == header(48, temporal=2)
    (payload,) = packetize_h265(annex_b(header(1, layer=33) + b"\x80\x01", header(1, layer=40) + b"\x80\x01"))
    assert payload[:2] == header(48, layer=33)


def test_fragments_are_equal_but_for_a_shorter_last_one() -> None:
    nal = idr(size=9000)
    payloads = packetize_h265(annex_b(nal), 1000)
    sizes = [len(payload) for payload in payloads]
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0] <= 1000
    assert payloads[0][:3] == header(49) + bytes((0x80 | 19,))
    assert payloads[1][2] == 19
    assert payloads[-1][2] == 0x40 | 19
    assert unpacked(*payloads) == [nal]


def test_nothing_to_send_gives_no_packet() -> None:
    assert packetize_h265(b"") == packetize_h265(annex_b(DELIMITER)) == packetize_h265(annex_b(b"\x02")) == []


def test_a_bound_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64 bytes, not 10"):
        packetize_h265(annex_b(idr()), 10)


nal_units = st.tuples(st.integers(0, 40).filter(lambda kind: kind != 35), st.binary(min_size=1, max_size=5000)).map(
    lambda nal: header(nal[0]) + nal[1].replace(b"\x00", b"\x01")
)


@given(st.lists(nal_units, min_size=1, max_size=12), st.integers(64, 1400))
def test_what_is_packed_comes_out_again(nals: list[bytes], max_payload: int) -> None:
    payloads = packetize_h265(annex_b(*nals), max_payload)
    assert all(0 < len(payload) <= max_payload for payload in payloads)
    assert unpacked(*payloads, max_bytes=1_000_000) == nals
