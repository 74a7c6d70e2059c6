"""RTP over UDP put back in order: a small buffer that waits a moment for what was overtaken. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MAX_HELD_PACKETS = 64
MAX_WAIT_S = 0.05
# Further ahead than this is no packet that overtook others: the sender started again.
_MAX_AHEAD = 1024
# So many in a row from behind are no stragglers either.
_RESTARTED_AFTER = 8
_HEADER_BYTES = 12
_NOTHING: tuple[bytes, ...] = ()


class ReorderBuffer:
    """Feed it packets as they arrive; it gives them in the order of their sequence numbers (RFC 3550 section 5.1).

    What is missing is waited for until `MAX_HELD_PACKETS` later ones are there or the first of them has waited
    `MAX_WAIT_S`, then it is passed over. What comes too late is given as it comes: whoever reads the packets counts
    losses and old ones. `reordered` counts the packets that had to wait.
    """

    __slots__ = ("_behind", "_expected", "_held", "_held_since_s", "_ssrc", "reordered")

    def __init__(self) -> None:
        self._expected: int | None = None
        self._ssrc = b""
        self._held: dict[int, bytes] = {}
        self._held_since_s = 0.0
        self._behind = 0
        self.reordered = 0

    def push(self, data: bytes, now_s: float) -> Sequence[bytes]:
        """Take one packet; return those that are due now, in order."""
        if len(data) < _HEADER_BYTES:
            return (data,)
        sequence = int.from_bytes(data[2:4])
        if data[8:12] != self._ssrc:
            before = self._drain_all()
            self._ssrc = data[8:12]
            self._expected = (sequence + 1) & 0xFFFF
            return (*before, data)
        assert self._expected is not None
        ahead = (sequence - self._expected) & 0xFFFF
        if ahead == 0:
            self._advance(sequence)
            return (data, *self._follow_up()) if self._held else (data,)
        if ahead >= 0x8000:
            return self._take_late(data, sequence)
        if ahead > _MAX_AHEAD:
            before = self._drain_all()
            self._advance(sequence)
            return (*before, data)
        return self._hold(data, sequence, now_s)

    def _hold(self, data: bytes, sequence: int, now_s: float) -> Sequence[bytes]:
        if not self._held:
            self._held_since_s = now_s
        self._held[sequence] = data
        self.reordered += 1
        if len(self._held) <= MAX_HELD_PACKETS and now_s - self._held_since_s < MAX_WAIT_S:
            return _NOTHING
        expected = self._expected or 0
        self._expected = min(self._held, key=lambda number: (number - expected) & 0xFFFF)
        self._held_since_s = now_s
        return self._follow_up()

    def _take_late(self, data: bytes, sequence: int) -> Sequence[bytes]:
        self._behind += 1
        if self._behind < _RESTARTED_AFTER:
            return (data,)
        before = self._drain_all()
        self._advance(sequence)
        return (*before, data)

    def _follow_up(self) -> list[bytes]:
        """Give what is held and next in order."""
        ready: list[bytes] = []
        while self._expected in self._held:
            ready.append(self._held.pop(self._expected))
            self._advance(self._expected)
        return ready

    def _drain_all(self) -> list[bytes]:
        expected = self._expected or 0
        order = sorted(self._held, key=lambda number: (number - expected) & 0xFFFF)
        ready = [self._held[number] for number in order]
        self._held.clear()
        self._behind = 0
        return ready

    def _advance(self, sequence: int) -> None:
        self._expected = (sequence + 1) & 0xFFFF
        self._behind = 0
