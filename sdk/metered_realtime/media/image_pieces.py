"""A picture's packets in small pieces, for a link that cannot take them all at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metered_realtime.media.rtp_image import PacketFormat, PacketImage, Run


def in_pieces(images: Iterable[PacketImage], fmt: PacketFormat, max_packets: int) -> Iterator[PacketImage]:
    """Yield the packets of the images, in order, at most `max_packets` in each; every packet is sent by itself."""
    for image in images:
        for first in range(0, len(image.places), max_packets):
            yield _piece(image, image.places[first : first + max_packets], fmt)


def _piece(image: PacketImage, places: tuple[tuple[int, int], ...], fmt: PacketFormat) -> PacketImage:
    start = places[0][0]
    end = places[-1][0] + places[-1][1] + fmt.tag_bytes
    moved = tuple((offset - start, length) for offset, length in places)
    runs = tuple(
        Run(offset, offset + length + fmt.tag_bytes, length + fmt.tag_bytes, 1, b"") for offset, length in moved
    )
    payload_bytes = sum(length - fmt.header_bytes for _, length in places)
    return PacketImage(image.data[start:end], moved, runs, payload_bytes)
