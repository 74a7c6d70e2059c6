"""What the bench `video` makes of the times it collects: latencies, first pictures, and what a restart did. Pure."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scripts.lib.bench.viewing.slices import checksum

TICKS_PER_S = 90_000
# Longer than any time between two pictures of a camera that is there.
PAUSE_S = 1.0
_LENGTH_BYTES = 4
_TIMESTAMPS = 1 << 32


class Picture(NamedTuple):
    """A picture that a viewer got, in the order of `tap.Seen`."""

    at_s: float
    checksum: int
    timestamp: int
    is_key: bool
    is_whole: bool
    packets: int


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the smallest value that so many percent do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


class Order:
    """Which picture of the camera follows which. `file` is what the camera keeps of a mount."""

    def __init__(self, file: Path) -> None:
        data, begin, checksums = file.read_bytes(), 0, []
        while begin < len(data):
            end = begin + _LENGTH_BYTES + int.from_bytes(data[begin : begin + _LENGTH_BYTES])
            checksums.append(checksum(data[begin + _LENGTH_BYTES : end]))
            begin = end
        self._next = dict(zip(checksums, [*checksums[1:], checksums[0]], strict=True))

    def follows(self, before: int, after: int) -> bool:
        """Whether `after` can be decoded with `before`; a picture that is not the camera's own is not judged."""
        return self._next.get(before, after) == after


def first_picture_s(pictures: Sequence[Picture], order: Order) -> float | None:
    """Return when the first key picture was complete that is followed by the very next one; None: not yet."""
    for key, after in itertools.pairwise(pictures):
        if key.is_key and key.is_whole and after.is_whole and order.follows(key.checksum, after.checksum):
            return key.at_s
    return None


def added_latencies_ms(pictures: Iterable[Picture], direct: dict[int, list[float]]) -> list[float]:
    """Return how much later than at the camera's direct client each picture came; `direct`: its times by checksum.

    What came earlier than there is left out: the direct client itself was late.
    """
    found = []
    for picture in pictures:
        times_s = direct.get(picture.checksum, [])
        number = bisect_right(times_s, picture.at_s)
        # The same picture comes again after 20 s, or a few in the quick run: nothing is that late.
        if number and picture.at_s - times_s[number - 1] < 2.0:
            found.append((picture.at_s - times_s[number - 1]) * 1e3)
    return found


@dataclass(frozen=True, slots=True)
class Restart:
    """What the viewers saw of a camera that went away and came back."""

    viewers: int
    lost_sessions: int
    not_key_first: int
    gap_error_ms: float | None


def judge_restart(before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]]) -> Restart:
    """Compare what the viewers reported before the camera was killed and when it was back, with all pictures since."""
    lost = not_key = 0
    errors_ms = []
    for number, old in before.items():
        new = after[number]
        pictures: list[Picture] = new["pictures"]
        gaps = [(one, two) for one, two in itertools.pairwise(pictures) if two.at_s - one.at_s > PAUSE_S]
        if not new["is_connected"] or new["connections"] != old["connections"] or not gaps:
            lost += 1
            continue
        last, first = gaps[0]
        not_key += not first.is_key
        ticks = (first.timestamp - last.timestamp + _TIMESTAMPS // 2) % _TIMESTAMPS - _TIMESTAMPS // 2
        errors_ms.append(abs(ticks / TICKS_PER_S - (first.at_s - last.at_s)) * 1e3)
    return Restart(len(before), lost, not_key, max(errors_ms, default=None))
