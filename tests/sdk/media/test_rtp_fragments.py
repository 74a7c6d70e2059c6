"""Packets from inside a unit take a shorter road into the picture: it must lead to the same place as the long one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media import h264_rtp
from metered_realtime.media import rtp as rtp_module
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264_rtp import AssemblerStats, H264Assembler
from metered_realtime.media.h265_rtp import H265Assembler
from tests.sdk.media import h264_samples as h264
from tests.sdk.media import h265_samples as h265
from tests.sdk.media.h264_samples import rtp

H264_PAYLOADS = [
    h264.stap_a(h264.sps(), h264.pps()),
    *h264.fu_a(h264.idr(size=300), 5),
    h264.slice_nal(),
    *h264.fu_a(h264.slice_nal(size=200), 4),
]
H265_PAYLOADS = [
    h265.aggregate(h265.vps(), h265.sps(), h265.pps()),
    *h265.fragments(h265.idr(size=300), 5),
    h265.slice_nal(),
    *h265.fragments(h265.slice_nal(size=200), 4),
]
PICTURE_ENDS = (5, 6, 10)
INSIDE = 5
Make = Callable[..., H264Assembler]
PLANS: list[tuple[Make, list[bytes]]] = [(H264Assembler, H264_PAYLOADS), (H265Assembler, H265_PAYLOADS)]


def stream(payloads: Sequence[bytes], groups: int) -> list[bytes]:
    packets, picture = [], 0
    for number, payload in enumerate(list(payloads) * groups):
        place = number % len(payloads)
        packets.append(rtp(number, picture * 3000, payload, marker=place in PICTURE_ENDS))
        picture += place in PICTURE_ENDS
    return packets


def gathered(assembler: H264Assembler, packets: Sequence[bytes]) -> tuple[list[AccessUnit], AssemblerStats]:
    units = [unit for number, packet in enumerate(packets) for unit in assembler.push(packet, number / 100)]
    return units, assembler.stats()


def long_road(make: Make, packets: Sequence[bytes], **options: int) -> tuple[list[AccessUnit], AssemblerStats]:
    """An assembler that was told no payload type looks at each packet in full."""
    return gathered(make(**options), packets)


@pytest.mark.parametrize(("make", "payloads"), PLANS)
def test_what_is_inside_a_unit_takes_it_and_the_picture_is_whole(
    make: Make, payloads: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = stream(payloads, 3)
    looked_at: list[bytes] = []

    def look(data: bytes) -> rtp_module.RtpPacket | None:
        looked_at.append(data)
        return rtp_module.parse_rtp(data)

    with monkeypatch.context() as patch:
        patch.setattr(h264_rtp, "parse_rtp", look)
        units, stats = gathered(make(payload_type=96), packets)
    assert len(looked_at) == len(packets) - 3 * INSIDE
    assert (units, stats) == long_road(make, packets)
    assert [unit.is_key for unit in units] == [True, False, False] * 3
    assert stats.packets == len(packets)
    assert stats.lost_packets == stats.bad_packets == 0


@given(
    st.sampled_from(PLANS),
    st.lists(
        st.tuples(st.integers(0, 32), st.sampled_from(["lose", "repeat", "swap", "cut", "other ssrc"])), max_size=6
    ),
)
def test_whatever_happens_to_packets_both_roads_lead_to_the_same_place(
    plan: tuple[Make, list[bytes]], mishaps: list[tuple[int, str]]
) -> None:
    make, payloads = plan
    packets = stream(payloads, 3)
    for place, mishap in mishaps:
        at = place % len(packets)
        packet = packets[at]
        if mishap == "lose":
            del packets[at]
        elif mishap == "repeat":
            packets.insert(at, packet)
        elif mishap == "swap":
            packets[at - 1], packets[at] = packet, packets[at - 1]
        elif mishap == "cut":
            packets[at] = packet[:14]
        else:
            packets[at] = packet[:8] + b"else" + packet[12:]
    assert gathered(make(payload_type=96), packets) == long_road(make, packets)


@pytest.mark.parametrize(("make", "payloads"), PLANS)
def test_a_unit_that_grows_without_end_is_dropped_on_either(make: Make, payloads: list[bytes]) -> None:
    start, middle = payloads[1:3]
    endless = [rtp(0, 0, payloads[0]), rtp(1, 0, start), *(rtp(number, 0, middle) for number in range(2, 40))]
    units, stats = gathered(make(payload_type=96, max_unit_bytes=1000), endless)
    assert (units, stats) == long_road(make, endless, max_unit_bytes=1000)
    assert not units
    assert stats.oversize_units == 1
