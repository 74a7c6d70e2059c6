"""A picture's packets as one block."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtp import parse_rtp
from metered_realtime.media.rtp_image import HEADER_REST, MAX_PACKETS, PacketFormat, build_images

PLAIN = PacketFormat(payload_type=102, send_time_id=None, tag_bytes=16)
TIMED = PacketFormat(payload_type=102, send_time_id=3, tag_bytes=10)


def test_packets_lie_behind_each_other_with_room_for_their_tags() -> None:
    (image,) = build_images([b"a" * 100, b"b" * 40], PLAIN)

    assert image.places == ((0, 112), (128, 52))
    assert len(image.data) == 128 + 68
    assert image.payload_bytes == 140


def test_a_viewer_completes_the_header() -> None:
    (image,) = build_images([b"first", b"last"], PLAIN)
    buffer = bytearray(image.data)
    for number, (offset, _) in enumerate(image.places):
        HEADER_REST.pack_into(buffer, offset + 2, 7 + number, 9000, 0x01020304)

    first, last = (parse_rtp(bytes(buffer[start : start + length])) for start, length in image.places)
    assert first is not None
    assert last is not None
    assert (first.marker, first.sequence, first.timestamp, first.ssrc, first.payload) == (
        False, 7, 9000, 0x01020304, b"first",
    )  # fmt: skip
    assert (last.marker, last.sequence, last.payload_type, last.payload) == (True, 8, 102, b"last")


def test_the_send_time_is_in_the_extension_they_agreed_on() -> None:
    (image,) = build_images([b"payload"], TIMED, send_time_24=0xABCDEF)

    assert image.data[0] == 0x90
    assert image.data[12:20] == b"\xbe\xde\x00\x01\x32\xab\xcd\xef"
    assert parse_rtp(image.data[:-10]) is not None


def test_a_run_is_of_one_size_and_may_end_with_a_shorter_packet() -> None:
    (image,) = build_images([b"s" * 20, b"f" * 100, b"f" * 100, b"e" * 60, b"p" * 80], PLAIN)

    runs = [(run.packet_bytes, run.packets) for run in image.runs]
    assert runs == [(48, 1), (128, 3), (108, 1)]


def test_no_payload_is_no_packet() -> None:
    assert build_images([], PLAIN) == []


@given(st.lists(st.integers(1, 1300), max_size=300).map(lambda sizes: [bytes(size) for size in sizes]))
def test_images_hold_every_packet_and_runs_are_what_the_kernel_takes(payloads: list[bytes]) -> None:
    images = build_images(payloads, PLAIN)

    assert sum(len(image.places) for image in images) == len(payloads)
    assert sum(image.payload_bytes for image in images) == sum(map(len, payloads))
    for image in images:
        assert len(image.places) <= MAX_PACKETS
        assert [run.start for run in image.runs[1:]] == [run.end for run in image.runs[:-1]]
        assert (image.runs[0].start, image.runs[-1].end) == (0, len(image.data))
        for run in image.runs:
            inside = [length + 16 for offset, length in image.places if run.start <= offset < run.end]
            assert len(inside) == run.packets
            assert set(inside[:-1]) <= {run.packet_bytes}
            assert inside[-1] <= run.packet_bytes


def test_only_the_last_packet_of_a_picture_is_marked() -> None:
    images = build_images([b"payload"] * (MAX_PACKETS + 2), PLAIN)

    marks = [bool(image.data[offset + 1] & 0x80) for image in images for offset, _ in image.places]
    assert [len(image.places) for image in images] == [MAX_PACKETS, 2]
    assert marks == [False] * (MAX_PACKETS + 1) + [True]


def test_a_transport_wide_number_has_the_place_of_the_send_time() -> None:
    numbered = PLAIN._replace(transport_id=4)
    (image,) = build_images([b"payload"], numbered)
    assert numbered.header_bytes == TIMED.header_bytes
    assert image.data[12:20] == b"\xbe\xde\0\1\x41\0\0\0"
    assert image.data[20:27] == b"payload"
