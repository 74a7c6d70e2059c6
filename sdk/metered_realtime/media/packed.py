"""One encoded picture as RTP packets, made when the first viewer needs them and shared by all who agree on a format."""

from __future__ import annotations

from metered_realtime.media.h264_packets import packetize
from metered_realtime.media.rtp_image import PacketFormat, PacketImage, build_images


class PackedUnit:
    """The packets of one H.264 access unit (Annex-B)."""

    __slots__ = ("_data", "_images", "_payloads")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._payloads: list[bytes] | None = None
        self._images: dict[PacketFormat, list[PacketImage]] = {}

    def live_images(self, fmt: PacketFormat, send_time_24: int) -> list[PacketImage]:
        """Return what every viewer of this format is sent at this moment."""
        images = self._images.get(fmt)
        if images is None:
            images = self._images[fmt] = self.images(fmt, send_time_24)
        return images

    def images(self, fmt: PacketFormat, send_time_24: int) -> list[PacketImage]:
        """Return images for one viewer, who gets the picture later than the others."""
        if self._payloads is None:
            self._payloads = packetize(self._data)
        return build_images(self._payloads, fmt, send_time_24)
