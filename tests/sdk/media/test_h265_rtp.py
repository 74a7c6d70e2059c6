from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h265_rtp import H265Assembler
from metered_realtime.media.video_description import VideoDescription
from tests.sdk.media.h264_samples import annex_b, rtp
from tests.sdk.media.h265_samples import (
    aggregate,
    cra,
    encoded,
    fragments,
    header,
    idr,
    pps,
    slice_nal,
    sps,
    vps,
)
from tests.sdk.media.pictures import solid
from tests.sdk.media.test_h264_rtp import FRAME, Sender

SETS = (vps(), sps(), pps())
SEI, SEI_AFTER, DELIMITER, END = (
    header(39) + b"\x01\x01\x80",
    header(40) + b"\x84\x80",
    header(35) + b"\x50",
    header(36),
)


class HevcSender(Sender):
    def __init__(self, *sets: bytes) -> None:
        super().__init__()
        self.assembler = H265Assembler(parameter_sets=sets)


def test_a_key_frame_comes_with_its_parameter_sets_and_deltas_without() -> None:
    sender = HevcSender()
    assert sender.send(aggregate(*SETS), idr()) == [AccessUnit(annex_b(*SETS, idr()), 0, is_key=True)]
    assert sender.send(slice_nal()) == [AccessUnit(annex_b(slice_nal()), FRAME, is_key=False)]
    assert sender.assembler.video == VideoDescription(
        "H265", 1280, 720, "Main", "3.1", "4:2:0", has_b_frames=False, bit_depth=8
    )


@pytest.mark.parametrize("kind", [16, 17, 18, 19, 20, 21])
def test_sets_of_the_sdp_go_before_every_kind_of_key_frame(kind: int) -> None:
    sender = HevcSender(*SETS)
    (unit,) = sender.send(slice_nal(kind))
    assert unit == AccessUnit(annex_b(*SETS, slice_nal(kind)), 0, is_key=True)


def test_nothing_is_given_before_a_key_frame_with_all_its_sets() -> None:
    sender = HevcSender(vps(), sps())
    assert sender.assembler.video.width == 1280
    assert sender.send(slice_nal()) == sender.send(idr()) == []
    assert (sender.assembler.stats().held_units, sender.assembler.stats().units_without_sets) == (1, 1)
    assert len(sender.send(pps(), cra())) == 1


def test_several_slices_in_fragments_are_one_picture() -> None:
    sender = HevcSender(*SETS)
    second = idr(first=False, size=500)
    (unit,) = sender.send(DELIMITER, SEI, *fragments(idr(size=900), 3), *fragments(second, 2), SEI_AFTER, END)
    assert unit.data == annex_b(*SETS, SEI, idr(size=900), second, SEI_AFTER)


def test_a_marker_on_every_slice_is_seen_through() -> None:
    sender = HevcSender(*SETS)
    sender.send(idr(), last=False)
    for _ in range(3):
        sender.next_picture()
        first = rtp(sender.sequence, sender.timestamp, idr(), marker=True)
        second = rtp(sender.sequence + 1, sender.timestamp, idr(first=False), marker=True)
        sender.sequence += 2
        units = [*sender.assembler.push(first, sender.now_s), *sender.assembler.push(second, sender.now_s)]
    assert units[-1].data == annex_b(*SETS, idr(), idr(first=False))
    assert sender.assembler.stats().repairs > 0


def test_sets_marked_as_a_picture_of_their_own_are_none() -> None:
    sender = HevcSender()
    for nal in SETS:
        packet = rtp(sender.sequence, sender.timestamp, nal, marker=True)
        sender.sequence += 1
        assert sender.assembler.push(packet, 0.0) == []
    assert len(sender.send(idr())) == 1
    assert sender.assembler.stats().repairs == 3


def test_after_a_loss_nothing_is_given_until_the_next_key_frame() -> None:
    sender = HevcSender(*SETS)
    sender.send(idr())
    sender.lose()
    assert sender.send(slice_nal()) == []
    assert [unit.is_key for unit in sender.send(cra())] == [True]


def test_further_layers_are_left_out() -> None:
    sender = HevcSender(*SETS)
    (unit,) = sender.send(idr(), slice_nal(19, layer=1))
    assert unit.data == annex_b(*SETS, idr())


def test_another_size_takes_a_key_frame() -> None:
    sender = HevcSender(*SETS)
    sender.send(idr())
    assert sender.send(vps(), sps(width=640, height=480), pps(), slice_nal()) == []
    (unit,) = sender.send(idr())
    assert unit.data == annex_b(vps(), sps(width=640, height=480), pps(), idr())
    assert sender.assembler.video.width == 640


def test_what_an_encoder_makes_goes_through_unharmed() -> None:
    sender = HevcSender()
    for unit in encoded([solid((200, 30, 30))] * 4, gop=2):
        nals = unit.data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")[1:]
        (out,) = sender.send(*nals)
        assert out.is_key is unit.is_key
        assert sorted(out.data.split(b"\x00\x00\x00\x01")) == sorted([b"", *nals])


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=20))
def test_any_payload_is_put_together_or_dropped(payloads: list[tuple[bytes, bool]]) -> None:
    assembler = H265Assembler(parameter_sets=SETS)
    given_units: list[AccessUnit] = []
    for number, (payload, marker) in enumerate(payloads):
        given_units += assembler.push(rtp(number, number * 3000, payload, marker=marker), now_s=number / 30)
    assert not given_units or given_units[0].is_key
