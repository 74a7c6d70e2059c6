"""One encoded picture as RTP packets, made when the first viewer needs them and shared by all who agree on a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from metered_realtime.media.h264_packets import packetize
from metered_realtime.media.h265_packets import packetize_h265
from metered_realtime.media.rtp_image import PacketFormat, PacketImage, build_images

PACKETIZERS: Mapping[str, Callable[[bytes], list[bytes]]] = MappingProxyType(
    {"video/H264": packetize, "video/H265": packetize_h265}
)


class PackedUnit:
    """The packets of one access unit (Annex-B) of a codec in PACKETIZERS."""

    __slots__ = ("_data", "_images", "mime_type")

    def __init__(self, data: bytes, mime_type: str = "video/H264") -> None:
        self.mime_type = mime_type
        self._data = data
        self._images: dict[PacketFormat, list[PacketImage]] = {}

    def images(self, fmt: PacketFormat, send_time_24: Callable[[], int]) -> list[PacketImage]:
        """Return the packets in this format; `send_time_24` tells abs-send-time where they have to be made."""
        images = self._images.get(fmt)
        if images is None:
            images = self._images[fmt] = build_images(PACKETIZERS[self.mime_type](self._data), fmt, send_time_24())
        return images
