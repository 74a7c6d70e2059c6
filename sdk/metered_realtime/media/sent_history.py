"""What one viewer was sent lately, to be sent again where it says that packets were lost (RFC 4585 NACK). Pure.

Only references to pictures that all viewers share are kept, so a history costs a viewer next to nothing.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from metered_realtime.media.rtp_image import PacketImage

_SEQUENCES = 1 << 16


class SentPicture(NamedTuple):
    """A picture, or a part of a large one, as one viewer got it; its packets have consecutive sequence numbers."""

    image: PacketImage
    first_sequence: int
    timestamp: int
    sent_s: float
    is_key: bool


class SentHistory:
    """Pictures of the last `keep_s`, and in any case back to the last key frame; never more than the bounds."""

    __slots__ = ("_bytes", "_keep_s", "_keys", "_max_bytes", "_max_packets", "_packets", "_pictures")

    def __init__(self, *, keep_s: float = 1.0, max_bytes: int = 4 * 1024 * 1024, max_packets: int = 8192) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._pictures: deque[SentPicture] = deque()
        self._bytes = self._packets = self._keys = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, picture: SentPicture) -> None:
        """Note what was sent; forget what is too old or too much."""
        self._pictures.append(picture)
        self._count(picture, 1)
        while len(self._pictures) > 1 and self._may_forget(self._pictures[0], picture.sent_s):
            self._count(self._pictures.popleft(), -1)

    def _count(self, picture: SentPicture, sign: int) -> None:
        self._bytes += sign * len(picture.image.data)
        self._packets += sign * len(picture.image.places)
        self._keys += sign * picture.is_key

    def _may_forget(self, oldest: SentPicture, now_s: float) -> bool:
        if self._bytes > self._max_bytes or self._packets > self._max_packets:
            return True
        is_last_key = oldest.is_key and self._keys == 1
        return now_s - oldest.sent_s > self._keep_s and not is_last_key

    def find(self, sequence: int) -> tuple[SentPicture, int] | None:
        """Return the picture a packet belongs to and the packet's place in it; None if it is not kept."""
        if not self._pictures:
            return None
        # Sequence numbers wrap; distances from the oldest do not.
        base = self._pictures[0].first_sequence
        wanted = (sequence - base) % _SEQUENCES
        low, high = 0, len(self._pictures)
        while low < high:
            middle = (low + high) // 2
            if (self._pictures[middle].first_sequence - base) % _SEQUENCES <= wanted:
                low = middle + 1
            else:
                high = middle
        picture = self._pictures[low - 1]
        index = (sequence - picture.first_sequence) % _SEQUENCES
        return (picture, index) if index < len(picture.image.places) else None

    def clear(self) -> None:
        """Forget everything."""
        self._pictures.clear()
        self._bytes = self._packets = self._keys = 0
