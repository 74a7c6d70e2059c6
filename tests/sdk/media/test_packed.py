"""One picture's packets, shared by all who agree on a format."""

from __future__ import annotations

from metered_realtime.media.packed import PackedUnit
from metered_realtime.media.rtp_image import PacketFormat
from tests.sdk.media.h264_samples import annex_b, idr

PLAIN = PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16)
TIMED = PacketFormat(payload_type=96, send_time_id=1, tag_bytes=16)


def test_viewers_of_one_format_share_the_packets() -> None:
    unit = PackedUnit(annex_b(idr(size=3000)))

    assert unit.images(PLAIN, lambda: 0) is unit.images(PLAIN, lambda: 1)
    assert unit.images(TIMED, lambda: 7) is not unit.images(PLAIN, lambda: 7)


def test_the_time_of_sending_is_that_of_the_first_viewer() -> None:
    (image,) = PackedUnit(annex_b(idr(size=10))).images(TIMED, lambda: 1)

    assert image.data[17:20] == b"\x00\x00\x01"
