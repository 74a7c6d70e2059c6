"""One encoded picture as RTP packets, made when the first viewer needs them and shared by all who agree on a format."""

from __future__ import annotations

from collections.abc import Callable

from metered_realtime.media.h264_packets import packetize
from metered_realtime.media.rtp_image import PacketFormat, PacketImage, build_images


class PackedUnit:
    """The packets of one H.264 access unit (Annex-B)."""

    __slots__ = ("_data", "_images")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._images: dict[PacketFormat, list[PacketImage]] = {}

    def images(self, fmt: PacketFormat, send_time_24: Callable[[], int]) -> list[PacketImage]:
        """Return the packets in this format; `send_time_24` tells abs-send-time where they have to be made."""
        images = self._images.get(fmt)
        if images is None:
            images = self._images[fmt] = build_images(packetize(self._data), fmt, send_time_24())
        return images
