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
    """Pictures of the last `keep_s` at least, and back to the last key frame; never more than the bounds."""

    __slots__ = ("_bytes", "_keep_s", "_keys", "_look_s", "_max_bytes", "_max_packets", "_packets", "_pictures")

    def __init__(self, *, keep_s: float = 1.0, max_bytes: int = 4 * 1024 * 1024, max_packets: int = 8192) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._pictures: deque[tuple[PacketImage, int, int, float, bool]] = deque()
        self._bytes = self._packets = self._keys = 0
        self._look_s = 0.0

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, image: PacketImage, first_sequence: int, timestamp: int, sent_s: float, *, is_key: bool) -> None:
        """Note what was sent, as `SentPicture` has it; forget what is too old or too much."""
        # A plain tuple, and a look at the oldest now and then only: this runs for every viewer and picture.
        self._pictures.append((image, first_sequence, timestamp, sent_s, is_key))
        self._bytes += len(image.data)
        self._packets += len(image.places)
        self._keys += is_key
        if sent_s >= self._look_s or self._bytes > self._max_bytes or self._packets > self._max_packets:
            self._look_s = sent_s + self._keep_s / 4
            self._forget(sent_s)

    def _forget(self, now_s: float) -> None:
        pictures = self._pictures
        while len(pictures) > 1:
            image, _, _, sent_s, is_key = pictures[0]
            is_too_much = self._bytes > self._max_bytes or self._packets > self._max_packets
            is_last_key = is_key and self._keys == 1
            if not is_too_much and (is_last_key or now_s - sent_s <= self._keep_s):
                break
            pictures.popleft()
            self._bytes -= len(image.data)
            self._packets -= len(image.places)
            self._keys -= is_key

    def find(self, sequence: int) -> tuple[SentPicture, int] | None:
        """Return the picture a packet belongs to and the packet's place in it; None if it is not kept."""
        if not self._pictures:
            return None
        # Sequence numbers wrap; distances from the oldest do not.
        base = self._pictures[0][1]
        wanted = (sequence - base) % _SEQUENCES
        low, high = 0, len(self._pictures)
        while low < high:
            middle = (low + high) // 2
            if (self._pictures[middle][1] - base) % _SEQUENCES <= wanted:
                low = middle + 1
            else:
                high = middle
        picture = SentPicture(*self._pictures[low - 1])
        index = (sequence - picture.first_sequence) % _SEQUENCES
        return (picture, index) if index < len(picture.image.places) else None

    def clear(self) -> None:
        """Forget everything."""
        self._pictures.clear()
        self._bytes = self._packets = self._keys = 0
