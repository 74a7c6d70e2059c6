"""What one viewer was sent lately, to be sent again where it says that packets were lost (RFC 4585 NACK). Pure.

Only references to pictures that all viewers share are kept, so a history costs a viewer next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from metered_realtime.media.rtp_image import PacketImage

_SEQUENCES = 1 << 16
# So much later a sequence number may mean another packet.
_MAX_SINCE_KEY = 1 << 15


class SentPicture(NamedTuple):
    """A picture, or a part of a large one, as one viewer got it; its packets have consecutive sequence numbers."""

    image: PacketImage
    first_sequence: int
    timestamp: int
    sent_s: float
    is_key: bool


# As a plain tuple: one is made for every viewer and picture.
_Sent = tuple[PacketImage, int, int, float, bool]


class SentHistory:
    """Pictures of the last `keep_s`, and the last key frame, whole, however old it is.

    Both within the bounds; of a key frame that is larger, what comes first.
    """

    __slots__ = (
        "_bytes", "_forgotten", "_keep_s", "_key", "_key_bytes", "_key_packets", "_look_s", "_max_bytes",
        "_max_packets", "_packets", "_pictures",
    )  # fmt: skip

    def __init__(self, *, keep_s: float = 1.0, max_bytes: int = 4 * 1024 * 1024, max_packets: int = 8192) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._pictures: deque[_Sent] = deque()
        self._bytes = self._packets = 0
        self._key: list[_Sent] = []
        self._key_bytes = self._key_packets = 0
        self._forgotten = 0
        self._look_s = 0.0

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, image: PacketImage, first_sequence: int, timestamp: int, sent_s: float, *, is_key: bool) -> None:
        """Note what was sent, as `SentPicture` has it; forget what is too old or too much."""
        # A look at the oldest now and then only: this runs for every viewer and picture.
        sent = (image, first_sequence, timestamp, sent_s, is_key)
        self._pictures.append(sent)
        self._bytes += len(image.data)
        self._packets += len(image.places)
        if is_key:
            self._add_key(sent)
        if sent_s >= self._look_s or self._bytes > self._max_bytes or self._packets > self._max_packets:
            self._look_s = sent_s + self._keep_s / 4
            self._forget(sent_s)

    def _add_key(self, sent: _Sent) -> None:
        """Pieces of one picture have one timestamp."""
        image, _, timestamp, _, _ = sent
        if self._key and self._key[0][2] != timestamp:
            self._clear_key()
        self._key_bytes += len(image.data)
        self._key_packets += len(image.places)
        if not self._key or (self._key_bytes <= self._max_bytes and self._key_packets <= self._max_packets):
            self._key.append(sent)

    def _clear_key(self) -> None:
        self._key.clear()
        self._key_bytes = self._key_packets = self._forgotten = 0

    def _forget(self, now_s: float) -> None:
        pictures = self._pictures
        while len(pictures) > 1:
            image, _, _, sent_s, _ = pictures[0]
            is_too_much = self._bytes > self._max_bytes or self._packets > self._max_packets
            if not is_too_much and now_s - sent_s <= self._keep_s:
                break
            pictures.popleft()
            self._bytes -= len(image.data)
            self._packets -= len(image.places)
            self._forgotten += len(image.places)
        if self._forgotten > _MAX_SINCE_KEY:
            self._clear_key()

    def find(self, sequence: int) -> tuple[SentPicture, int] | None:
        """Return the picture a packet belongs to and the packet's place in it; None if it is not kept."""
        return _found(self._pictures, sequence) or _found(self._key, sequence)

    def clear(self) -> None:
        """Forget everything."""
        self._pictures.clear()
        self._bytes = self._packets = 0
        self._clear_key()


def _found(pictures: Sequence[_Sent], sequence: int) -> tuple[SentPicture, int] | None:
    if not pictures:
        return None
    # Sequence numbers wrap; distances from the oldest do not.
    base = pictures[0][1]
    wanted = (sequence - base) % _SEQUENCES
    low, high = 0, len(pictures)
    while low < high:
        middle = (low + high) // 2
        if (pictures[middle][1] - base) % _SEQUENCES <= wanted:
            low = middle + 1
        else:
            high = middle
    picture = SentPicture(*pictures[low - 1])
    index = (sequence - picture.first_sequence) % _SEQUENCES
    return (picture, index) if index < len(picture.image.places) else None
