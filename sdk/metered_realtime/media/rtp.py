"""RTP packets as they come from a camera: a strict header reader, sequence bookkeeping and a 90 kHz timeline."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from metered_realtime.media.access_unit import CLOCK_RATE

HEADER_BYTES = 12
_HEADER = Struct(">BBHII")
_new = tuple.__new__  # what calling the class does, without a call in between: this is done for each packet
PLAIN = 0x80  # version 2, and nothing between this header and the payload, or behind it
_MAX_MISORDER = 100
_HALF_CLOCK = 1 << 31
_CLOCK_WRAP = 1 << 32
_MAX_STEP_90K = 5 * CLOCK_RATE
# B-frames step back by some pictures; further back goes only a clock that was set.
_MAX_STEP_BACK_90K = CLOCK_RATE // 2
_PERSISTS_AFTER = 3
_DEFAULT_STEP_90K = CLOCK_RATE // 30
_FIELDS = 2


class RtpPacket(NamedTuple):
    """One packet (RFC 3550 section 5.1), without its extension, CSRC list and padding."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse_rtp(data: bytes) -> RtpPacket | None:
    """Read one RTP packet; None for anything that is not a whole, well-formed one."""
    if len(data) < HEADER_BYTES or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first == PLAIN:
        return _new(RtpPacket, (second > 0x7F, second & 0x7F, sequence, timestamp, ssrc, data[HEADER_BYTES:]))
    start = HEADER_BYTES + 4 * (first & 0x0F)
    end = len(data)
    if first & 0x10:
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    if first & 0x20:
        padding = data[-1]
        if padding == 0:
            return None
        end -= padding
    if start > end:
        return None
    return RtpPacket(second > 0x7F, second & 0x7F, sequence, timestamp, ssrc, data[start:end])


def read_head(data: bytes) -> tuple[int, int, int, int, int]:
    """Return first byte, marker with payload type, sequence number, timestamp and SSRC of at least 12 bytes."""
    return _HEADER.unpack_from(data)


_IN_ORDER = (True, False)


class SequenceWatch:
    """Follows 16-bit sequence numbers (RFC 3550 appendix A.1, for packets that come in order)."""

    __slots__ = ("_expected", "_restart", "lost_packets", "old_packets")

    def __init__(self) -> None:
        self._expected: int | None = None
        self._restart: int | None = None
        self.lost_packets = 0
        self.old_packets = 0

    def reset(self) -> None:
        """Forget the position: the sender is a new one."""
        self._expected = self._restart = None

    def is_next(self, sequence: int) -> bool:
        """Whether this packet follows the last one."""
        return sequence == self._expected

    def accept(self, sequence: int) -> tuple[bool, bool]:
        """Return (use this packet, something is missing before it)."""
        if sequence == self._expected or self._expected is None:
            self._expected = (sequence + 1) & 0xFFFF
            self._restart = None
            return _IN_ORDER
        ahead = (sequence - self._expected) & 0xFFFF
        if ahead < 0x8000:
            self.lost_packets += ahead
            self._advance(sequence)
            return True, True
        if 0x10000 - ahead > _MAX_MISORDER and sequence == self._restart:
            # Two in a row from elsewhere: the sender started again with other numbers.
            self._advance(sequence)
            return True, True
        self.old_packets += 1
        self._restart = (sequence + 1) & 0xFFFF
        return False, False

    def _advance(self, sequence: int) -> None:
        self._expected = (sequence + 1) & 0xFFFF
        self._restart = None


class Timeline:
    """Turns a camera's 32-bit timestamps into a clock that starts at 0, never wraps and never goes back.

    A jump of more than five seconds ahead, or half a second back, is taken for a new timeline only when it persists
    for three pictures (a recorder's single stray stamp is passed over); the jump itself becomes the time that really
    passed. Small steps back (B-frames) become the smallest step ahead, and are counted in `steps_back`: receivers take
    pictures of one timestamp for one picture. Only two fields of a picture have that; a stamp that stands still for
    longer is no clock, and pictures are placed by when they come.
    """

    __slots__ = (
        "_jump_pts",
        "_jump_raw",
        "_jump_seen",
        "_last_raw",
        "_last_s",
        "_out",
        "_raw_pts",
        "_repeats",
        "jumps",
        "steps_back",
    )

    def __init__(self) -> None:
        self._last_raw: int | None = None
        self._raw_pts = 0
        self._out = 0
        self._last_s = 0.0
        self._jump_raw: int | None = None
        self._jump_pts = 0
        self._jump_seen = 0
        self._repeats = 0
        self.jumps = 0
        self.steps_back = 0

    def pts_90k(self, timestamp: int, now_s: float) -> int:
        """Return the place of a picture that arrived at `now_s` (any clock that only goes forward)."""
        if self._last_raw is None:
            self._last_raw, self._last_s = timestamp, now_s
            return self._out
        step = _signed_step(self._last_raw, timestamp)
        if -_MAX_STEP_BACK_90K <= step <= _MAX_STEP_90K:
            self._jump_raw = None
            self._last_raw = timestamp
            self._repeats = self._repeats + 1 if step == 0 else 0
            self._raw_pts += step
            if self._repeats >= _FIELDS:
                self._raw_pts = self._out + max(1, round((now_s - self._last_s) * CLOCK_RATE))
            pts = self._raw_pts
        else:
            pts = self._follow_jump(timestamp, now_s)
        if pts < self._out:
            self.steps_back += 1
            pts = self._out + 1
        self._out = pts
        self._last_s = now_s
        return self._out

    def _follow_jump(self, timestamp: int, now_s: float) -> int:
        step = None if self._jump_raw is None else _signed_step(self._jump_raw, timestamp)
        if step is None or not -_MAX_STEP_BACK_90K <= step <= _MAX_STEP_90K:
            elapsed = round((now_s - self._last_s) * CLOCK_RATE)
            self._jump_pts = self._out + max(elapsed, _DEFAULT_STEP_90K)
            self._jump_seen = 1
        else:
            self._jump_pts += step
            self._jump_seen += 1
        self._jump_raw = timestamp
        if self._jump_seen >= _PERSISTS_AFTER:
            self.jumps += 1
            self._last_raw, self._raw_pts, self._jump_raw = timestamp, self._jump_pts, None
        return self._jump_pts


def _signed_step(before: int, after: int) -> int:
    return (after - before + _HALF_CLOCK) % _CLOCK_WRAP - _HALF_CLOCK
