"""Samples of all streams of a recording, brought into the order of time before they are written. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from metered_realtime.media.recorder_formats import StreamFormat

# A stream that brings nothing holds the others back by this much of their time, and no more.
MAX_WAIT_S = 1.0
MAX_SAMPLES = 2000
MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture or piece of sound on the common clock: `ticks` of `rate` Hz."""

    slot: int
    data: bytes
    ticks: int
    rate: int
    duration_ticks: int
    is_key: bool
    format: StreamFormat

    @property
    def at_s(self) -> float:
        """When it is, in seconds of the common clock."""
        return self.ticks / self.rate


class Interleaver:
    """Gives samples back in order of time as soon as no earlier one can come."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Sample]] = {}
        self._newest_s = float("-inf")
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def formats(self) -> dict[int, StreamFormat]:
        """The slots of which samples wait, and the formats of the first of them."""
        return {slot: queue[0].format for slot, queue in self._queues.items() if queue}

    def push(self, sample: Sample) -> None:
        """Take a sample; those of one slot come in order."""
        self._queues.setdefault(sample.slot, deque()).append(sample)
        self._newest_s = max(self._newest_s, sample.at_s)
        self._count += 1
        self._bytes += len(sample.data)

    def pop(self, active: AbstractSet[int], *, is_last: bool = False) -> Sample | None:
        """Return the next sample, or None while one of the `active` slots may still bring an earlier one."""
        heads = [queue[0] for queue in self._queues.values() if queue]
        if not heads:
            return None
        head = min(heads, key=lambda sample: (sample.at_s, sample.format.kind == "audio"))
        complete = active <= {sample.slot for sample in heads}
        is_too_much = self._count > MAX_SAMPLES or self._bytes > MAX_BYTES
        waited = is_too_much or self._newest_s - head.at_s > MAX_WAIT_S
        if not (is_last or complete or waited):
            return None
        self._count -= 1
        self._bytes -= len(head.data)
        return self._queues[head.slot].popleft()
