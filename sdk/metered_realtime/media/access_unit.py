"""The waist of the video road: one encoded picture, and what every queue on that road needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from metered_realtime.media.h264 import NAL_IDR, nal_type, split_annex_b
from metered_realtime.media.h265 import is_key_picture

CLOCK_RATE = 90_000
"""Ticks per second of every `pts_90k` (RFC 6184 section 8.2.1)."""


class Unit(Protocol):
    """What the group-of-pictures ring and the reader queues look at: anything with a size and a key mark."""

    @property
    def is_key(self) -> bool: ...

    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One complete encoded picture (RFC 6184 section 1.2), ready to be decoded or sent.

    `data` of H.264 and H.265 is Annex-B; a key unit carries its parameter sets in front. `pts_90k` is in ticks of
    1/90000 s, unwrapped, and never goes backwards within one source (equal values occur). `taken_s`: when it was taken,
    on the clock of `time.monotonic()`, where that is known; pictures and sounds that were taken together are played
    together.
    """

    data: bytes
    pts_90k: int
    is_key: bool
    taken_s: float | None = None

    @property
    def size_bytes(self) -> int:
        """Length of `data` in bytes."""
        return len(self.data)

    @classmethod
    def from_annex_b(cls, data: bytes, pts_90k: int, mime_type: str = "video/H264") -> AccessUnit:
        """Return an H.264 picture as an encoder or a file gives it; it is a key unit if it holds an IDR slice.

        `mime_type` "video/H265": a picture of that, which is a key unit if decoding may start with it (IDR, CRA, BLA).
        """
        if mime_type == "video/H265":
            return cls(data, pts_90k, is_key_picture(data))
        return cls(data, pts_90k, any(nal_type(nal) == NAL_IDR for nal in split_annex_b(data)))
