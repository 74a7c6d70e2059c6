from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264_rtp import H264Assembler
from tests.sdk.media.h264_samples import BitWriter, annex_b, fu_a, idr, pps, rtp, sei, slice_nal, sps, stap_a

FRAME = 3000
AUD = b"\x09\xf0"
FILLER = b"\x0c\xff\xff\x80"
END_OF_SEQUENCE = b"\x0a"


class Sender:
    """A camera's side: numbers the packets, and hands them to the assembler."""

    def __init__(self, **options: object) -> None:
        self.assembler = H264Assembler(**options)  # type: ignore[arg-type]
        self.sequence = 65530
        self.timestamp = 0xFFFFF000
        self.now_s = 0.0

    def send(self, *payloads: bytes, last: bool = True, ssrc: int = 7, payload_type: int = 96) -> list[AccessUnit]:
        """Send one picture, marked on its last packet, and return what comes out."""
        out: list[AccessUnit] = []
        for index, payload in enumerate(payloads):
            marker = last and index == len(payloads) - 1
            packet = rtp(self.sequence, self.timestamp, payload, marker=marker, ssrc=ssrc, payload_type=payload_type)
            self.sequence += 1
            out += self.assembler.push(packet, self.now_s)
        if last:
            self.next_picture()
        return out

    def next_picture(self) -> None:
        self.timestamp += FRAME
        self.now_s += 1 / 30

    def lose(self, packets: int = 1) -> None:
        self.sequence += packets


def key_picture() -> tuple[bytes, ...]:
    return (stap_a(sps(), pps()), idr())


def test_a_key_frame_comes_with_its_parameter_sets_and_deltas_without() -> None:
    sender = Sender()
    assert sender.send(*key_picture()) == [AccessUnit(annex_b(sps(), pps(), idr()), 0, is_key=True)]
    assert sender.send(slice_nal()) == [AccessUnit(annex_b(slice_nal()), FRAME, is_key=False)]
    assert sender.assembler.sps is not None
    assert sender.assembler.last_unit_s == sender.assembler.last_picture_s == 1 / 30


def test_nothing_is_given_before_the_first_key_frame() -> None:
    sender = Sender()
    assert sender.send(slice_nal()) == []
    assert sender.assembler.stats().held_units == 1
    assert len(sender.send(*key_picture())) == 1


def test_several_slices_are_one_picture() -> None:
    sender = Sender()
    second = idr(first_mb=1800)
    unit = sender.send(*key_picture(), *fu_a(second, 3))
    assert [item.data for item in unit] == [annex_b(sps(), pps(), idr(), second)]


def test_parameter_sets_between_two_slices_do_not_end_the_picture() -> None:
    sender = Sender()
    second = idr(first_mb=1800)
    unit = sender.send(AUD, sps(), pps(), sei(), idr(), sps(), pps(), second)
    assert [item.data for item in unit] == [annex_b(sps(), pps(), sei(), idr(), second)]


def test_a_new_timestamp_ends_a_picture_without_marker() -> None:
    sender = Sender()
    assert sender.send(*key_picture(), last=False) == []
    sender.next_picture()
    assert len(sender.send(slice_nal(), last=False)) == 1
    sender.next_picture()
    assert [item.pts_90k for item in sender.send(slice_nal(), last=False)] == [FRAME]


def test_a_new_first_slice_ends_a_picture_even_with_equal_timestamps() -> None:
    sender = Sender()
    sender.send(*key_picture())
    sender.send(slice_nal(fill=1), last=False)
    units = sender.send(slice_nal(fill=2))
    assert [item.pts_90k for item in units] == [FRAME, FRAME]


def test_a_delimiter_ends_a_picture_and_is_taken_out() -> None:
    sender = Sender()
    assert len(sender.send(AUD, *key_picture(), FILLER, END_OF_SEQUENCE, AUD, last=False)) == 1
    assert sender.send(slice_nal())[0].data == annex_b(slice_nal())


def test_parameter_sets_and_sei_sent_as_marked_pictures_are_put_where_they_belong() -> None:
    sender = Sender()
    assert sender.send(sps()) == []
    assert sender.send(pps()) == []
    assert sender.send(sei()) == []
    assert [item.data for item in sender.send(idr())] == [annex_b(sps(), pps(), sei(), idr())]
    assert sender.assembler.stats().repairs == 3


def test_parameter_sets_of_the_sdp_come_before_every_key_frame() -> None:
    sender = Sender(parameter_sets=(sps(), pps()))
    for _ in range(2):
        assert [item.data for item in sender.send(idr())] == [annex_b(sps(), pps(), idr())]


def test_a_key_frame_without_parameter_sets_is_not_given() -> None:
    sender = Sender()
    assert sender.send(idr()) == []
    assert sender.send(slice_nal()) == []
    assert sender.assembler.stats().units_without_sets == 1


def test_annex_b_inside_a_unit_is_repaired() -> None:
    sender = Sender()
    units = sender.send(annex_b(sps(), pps(), idr()))
    assert [item.data for item in units] == [annex_b(sps(), pps(), idr())]
    assert sender.assembler.stats().repairs == 1


def test_after_a_loss_everything_waits_for_the_next_key_frame() -> None:
    sender = Sender()
    sender.send(*key_picture())
    sender.send(slice_nal(), last=False)
    sender.lose(2)
    assert sender.send(slice_nal(first_mb=1800)) == []
    assert sender.send(slice_nal()) == []
    assert len(sender.send(*key_picture())) == 1
    stats = sender.assembler.stats()
    assert (stats.lost_packets, stats.dropped_units, stats.held_units) == (2, 1, 1)


def test_a_key_frame_that_lost_its_first_slice_is_not_given() -> None:
    sender = Sender(parameter_sets=(sps(), pps()))
    sender.lose()
    assert sender.send(idr(first_mb=1800)) == []
    sender.send(idr())
    sender.lose()
    assert sender.send(idr(first_mb=1800)) == []
    assert len(sender.send(idr())) == 1


def test_a_key_frame_that_lost_a_fragment_is_not_given() -> None:
    sender = Sender(parameter_sets=(sps(), pps()))
    start, _, end = fu_a(idr(size=300), 3)
    sender.send(start, last=False)
    sender.lose()
    assert sender.send(end) == []


def test_a_marker_on_every_slice_is_seen_through() -> None:
    sender = Sender(parameter_sets=(sps(), pps()))
    for _ in range(2):
        sender.send(idr(), last=True)
        sender.timestamp -= FRAME
        sender.send(idr(first_mb=1800))
    # From here on pictures end with their timestamp.
    whole = sender.send(idr(), last=False)
    assert [item.data for item in whole] == [annex_b(sps(), pps(), idr(), idr(first_mb=1800))]


def test_a_repeated_packet_changes_nothing() -> None:
    sender = Sender()
    sender.send(*key_picture())
    packet = rtp(sender.sequence, sender.timestamp, slice_nal(), marker=True)
    assert len(sender.assembler.push(packet, 1.0)) == 1
    assert not sender.assembler.push(packet, 1.0)
    sender.sequence += 1
    sender.next_picture()
    assert len(sender.send(slice_nal())) == 1


def test_another_sender_in_the_same_session_starts_at_a_key_frame_on_the_same_timeline() -> None:
    sender = Sender()
    sender.send(*key_picture())
    sender.sequence, sender.timestamp = 5, 1 << 30
    assert sender.send(slice_nal(), ssrc=8) == []
    first = sender.send(*key_picture(), ssrc=8)[0]
    assert FRAME < first.pts_90k < 10 * FRAME


def test_other_payload_types_are_passed_over_without_a_gap() -> None:
    sender = Sender(payload_type=96)
    sender.send(b"\xff\xff", ssrc=99, payload_type=107)
    sender.sequence = 100
    sender.send(*key_picture())
    assert sender.send(b"\xff\xff", payload_type=107) == []
    assert len(sender.send(slice_nal())) == 1
    assert sender.assembler.stats().lost_packets == 0


def test_an_empty_marked_packet_ends_the_picture() -> None:
    sender = Sender()
    assert len(sender.send(*key_picture(), b"")) == 1


def test_a_changed_picture_size_waits_for_its_key_frame() -> None:
    sender = Sender()
    sender.send(*key_picture())
    sender.send(sps(width_mbs=40), last=False)
    assert sender.send(slice_nal()) == []
    unit = sender.send(stap_a(sps(width_mbs=40), pps()), idr())[0]
    assert unit.is_key
    assert sender.assembler.sps is not None
    assert sender.assembler.sps.width == 640


def test_a_picture_parameter_set_that_changes_between_key_frames_is_passed_on() -> None:
    sender = Sender()
    sender.send(*key_picture())
    assert sender.send(pps(flavour=2), slice_nal())[0].data == annex_b(pps(flavour=2), slice_nal())


def test_a_recovery_point_counts_as_key_frame_for_cameras_that_send_no_idr() -> None:
    point = sei(6, BitWriter().ue_v(0).u(1, 1).u(1, 0).u(2, 0).rbsp())
    sender = Sender(parameter_sets=(sps(), pps()))
    unit = sender.send(point, slice_nal(slice_type=7))[0]
    assert unit.is_key
    assert unit.data.startswith(annex_b(sps(), pps()))


def test_data_partitions_stay_with_their_slice() -> None:
    sender = Sender()
    sender.send(*key_picture())
    assert sender.send(slice_nal(2), slice_nal(3), slice_nal(4))[0].data.count(b"\x00\x00\x00\x01") == 3
    sender.send(slice_nal(3))
    assert sender.assembler.stats().units == 2


def test_b_slices_are_noticed() -> None:
    sender = Sender(parameter_sets=(sps(profile=77, constraints=0), pps()))
    assert sender.assembler.has_b_frames is None
    sender.send(idr())
    sender.send(slice_nal(slice_type=6))
    assert sender.assembler.has_b_frames is True
    assert H264Assembler().has_b_frames is None
    assert H264Assembler(parameter_sets=(sps(),)).has_b_frames is False


def test_a_unit_that_grows_without_end_is_dropped() -> None:
    sender = Sender(parameter_sets=(sps(), pps()), max_unit_bytes=2000)
    sender.send(*[idr(first_mb=number, size=500) for number in range(6)])
    start, middle, _ = fu_a(idr(size=900), 3)
    sender.send(start, *[middle] * 9)
    assert sender.assembler.stats().oversize_units == 2
    assert sender.assembler.stats().units == 0
    assert len(sender.send(idr())) == 1


def test_damaged_packets_are_counted_and_cost_their_picture() -> None:
    sender = Sender(parameter_sets=(sps(), b"\x67\x42", pps()))
    sender.send(idr())
    assert not sender.assembler.push(b"no rtp", 0.0)
    assert sender.send(b"\x78\x00\x09ab") == []
    assert sender.send(b"\x41" + bytes(40)) == []
    assert sender.send(slice_nal()) == []
    assert sender.assembler.stats().bad_packets == 4


def test_a_unit_of_too_many_parts_is_dropped() -> None:
    sender = Sender(parameter_sets=(sps(), pps()))
    sender.send(*[sei() for _ in range(1100)], last=False)
    assert sender.assembler.stats().oversize_units == 1


NALS = [sps(), sps(width_mbs=40), pps(), pps(1), idr(), slice_nal(), sei(), AUD, stap_a(sps(), pps(), idr())]
PAYLOADS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(NALS),
    st.sampled_from(fu_a(idr(size=100), 3) + fu_a(slice_nal(size=60), 2)),
    st.builds(lambda first_mb: idr(first_mb=first_mb), st.integers(0, 5)),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PAYLOADS, st.booleans(), st.integers(0, 3), st.sampled_from([0, 0, 0, FRAME, 1 << 31]))),
    st.booleans(),
)
def test_whatever_comes_units_are_bounded_ordered_and_start_with_a_key_frame(
    steps: list[tuple[bytes, bool, int, int]], with_sets: bool
) -> None:
    assembler = H264Assembler(parameter_sets=(sps(), pps()) if with_sets else (), max_unit_bytes=400)
    sequence = timestamp = 0
    last = 0
    units: list[AccessUnit] = []
    for number, (payload, marker, skip, step) in enumerate(steps):
        sequence += 1 if skip < 3 else 5
        timestamp += step
        units += assembler.push(rtp(sequence, timestamp, payload, marker=marker), number / 90)
    for unit in units:
        assert unit.pts_90k >= last
        assert unit.data.startswith(b"\x00\x00\x00\x01")
        assert unit.size_bytes < 1000
        last = unit.pts_90k
    assert not units or units[0].is_key
    assert all(unit.data[4] & 0x1F == 7 for unit in units if unit.is_key)


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_bytes_are_survived(packets: list[bytes]) -> None:
    assembler = H264Assembler()
    for packet in packets:
        assembler.push(packet, 0.0)
