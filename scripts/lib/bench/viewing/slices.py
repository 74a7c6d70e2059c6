"""Recognises a picture by the bytes of its slices, however it was cut into packets on the way. Pure.

Packets are those of RFC 6184; parameter sets, SEI and delimiters do not count, because servers add and leave out some.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

SLICE, IDR, STAP_A, FU_A = 1, 5, 24, 28
_TYPE = 0x1F
_FU_START = 0x80


def checksum(annex_b: bytes) -> int:
    """Return the checksum of an H.264 access unit in Annex-B form."""
    total = 0
    for nal in nals(annex_b):
        if nal[0] & _TYPE in (SLICE, IDR):
            total = crc32(memoryview(nal)[1:], total)
    return total


def nals(annex_b: bytes) -> Iterator[bytes]:
    """Yield the NAL units of Annex-B bytes."""
    for part in annex_b.split(b"\0\0\1")[1:]:
        nal = part.rstrip(b"\0")
        if nal:
            yield nal


class Picture:
    """Takes the payloads of one picture in order. `checksum` is final with its last packet."""

    __slots__ = ("_in_slice", "checksum", "is_key", "packets")

    def __init__(self) -> None:
        self.checksum = 0
        self.is_key = False
        self.packets = 0
        self._in_slice = False

    def take(self, payload: bytes | memoryview) -> None:
        """Add the payload of one RTP packet."""
        self.packets += 1
        if len(payload) < 2:
            return
        kind = payload[0] & _TYPE
        if kind == FU_A:
            if payload[1] & _FU_START:
                self._in_slice = self._begins(payload[1] & _TYPE)
            if self._in_slice:
                self.checksum = crc32(payload[2:], self.checksum)
        elif kind == STAP_A:
            begin = 1
            while begin + 2 < len(payload):
                end = begin + 2 + int.from_bytes(payload[begin : begin + 2])
                if self._begins(payload[begin + 2] & _TYPE):
                    self.checksum = crc32(payload[begin + 3 : end], self.checksum)
                begin = end
        elif self._begins(kind):
            self.checksum = crc32(payload[1:], self.checksum)

    def _begins(self, kind: int) -> bool:
        self.is_key |= kind == IDR
        return kind in (SLICE, IDR)
