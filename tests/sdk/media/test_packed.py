"""One picture's packets, shared by all who agree on a format."""

from __future__ import annotations

from metered_realtime.media.packed import PackedUnit
from metered_realtime.media.rtp_image import PacketFormat
from tests.sdk.media.h264_samples import annex_b, idr

PLAIN = PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16)
TIMED = PacketFormat(payload_type=96, send_time_id=1, tag_bytes=16)


def test_viewers_of_one_format_share_the_packets() -> None:
    unit = PackedUnit(annex_b(idr(size=3000)))

    assert unit.live_images(PLAIN, 0) is unit.live_images(PLAIN, 0)
    assert unit.live_images(TIMED, 7) is not unit.live_images(PLAIN, 7)


def test_a_viewer_who_gets_it_later_is_told_the_time_of_sending() -> None:
    unit = PackedUnit(annex_b(idr(size=10)))
    unit.live_images(TIMED, 1)

    (late,) = unit.images(TIMED, 2)

    assert late.data[17:20] == b"\x00\x00\x02"
