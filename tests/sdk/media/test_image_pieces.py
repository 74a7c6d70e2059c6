"""The same packets in smaller pieces."""

from __future__ import annotations

import pytest

from metered_realtime.media.image_pieces import in_pieces
from metered_realtime.media.rtp_image import PacketFormat, PacketImage, build_images


def packets(images: list[PacketImage]) -> list[bytes]:
    return [image.data[offset : offset + length] for image in images for offset, length in image.places]


@pytest.mark.parametrize("send_time_id", [None, 3])
@pytest.mark.parametrize("max_packets", [1, 2, 5, 100])
def test_pieces_hold_the_same_packets(max_packets: int, send_time_id: int | None) -> None:
    fmt = PacketFormat(99, send_time_id, 16)
    whole = build_images([bytes([number]) * (400 + number) for number in range(70)], fmt, 7)
    pieces = list(in_pieces(whole, fmt, max_packets))
    assert packets(pieces) == packets(whole)
    assert all(1 <= len(piece.places) <= max_packets for piece in pieces)
    assert sum(piece.payload_bytes for piece in pieces) == sum(image.payload_bytes for image in whole)


def test_every_packet_of_a_piece_is_a_run_with_room_for_its_tag() -> None:
    fmt = PacketFormat(99, None, 10)
    (piece,) = in_pieces(build_images([b"a" * 100, b"b" * 60], fmt), fmt, 8)
    assert [(run.start, run.end, run.packets) for run in piece.runs] == [(0, 122, 1), (122, 204, 1)]
    assert len(piece.data) == 204
