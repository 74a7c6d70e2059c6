"""The account that outlives the process: received = delivered + waiting + dropped, by reason. Pure.

Only what is final is kept: delivered and dropped, in memory that survives `kill -9`, and as a text that the outbox file
takes along with its transactions, for after a reboot. What was in memory only when the process died, and
unacknowledged, was not received, for the broker brings it again. What the broker will not bring again (QoS 0) is
counted while it is in memory only, and as dropped, `killed`, by the next start.

Each life counts what it receives by itself. Where that is not what became of it, the difference is kept, too, and shows
in all later lives: one number, so that no kill can tear it. What was on disk and is not found there by the next life is
dropped, `store_lost`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

_DELIVERED, _HELD, _STORED, _UNEXPLAINED, _MOST_RECEIVED = range(5)
_HEAD_BYTES = 40
_MAX_REASONS = 64
_NAME_BYTES = 24
_NAMES_BYTES = _MAX_REASONS * _NAME_BYTES
_COUNTS_BYTES = _MAX_REASONS * 8
MAX_MEMO_BYTES = 200
_MEMO = struct.Struct(f"=II{MAX_MEMO_BYTES}s")  # checksum, length, text
_MEMO_BYTES = (_MEMO.size + 7) & ~7
AREA_BYTES = _HEAD_BYTES + _COUNTS_BYTES + _NAMES_BYTES + _MEMO_BYTES
_OTHER = "other"
_KILLED = "killed"
_LOST = "store_lost"
_MAX_TEXT_BYTES = 16384
_MAX_COUNT = 2**63


class Account:
    """Totals of all lives up to now. `area` is AREA_BYTES long, zeros at first."""

    def __init__(self, area: memoryview) -> None:
        counts_end = _HEAD_BYTES + _COUNTS_BYTES
        self._head = area[:_HEAD_BYTES].cast("q")
        self._counts = area[_HEAD_BYTES:counts_end].cast("Q")
        self._names = area[counts_end : counts_end + _NAMES_BYTES]
        self._memo_area = area[counts_end + _NAMES_BYTES : AREA_BYTES]
        self._reasons = self._read_names()
        # What was counted before this life, and what in it.
        self._delivered_before = self._head[_DELIVERED]
        self._dropped_before = Counter({name: self._counts[place] for place, name in enumerate(self._reasons)})
        self._unexplained_before = self._head[_UNEXPLAINED]
        self._is_new = not self._delivered_before and not self._reasons
        self._delivered = 0
        self._dropped: dict[str, int] = {}
        self._is_restored = False
        self._memo = self._read_memo()
        self.stored_memo = ""
        """What the outbox file remembers of `memo`; empty until it is open."""
        held = self._head[_HELD]
        if held:
            self._dropped_before[self._known(_KILLED)] += held
            self._save_dropped()
            self._head[_HELD] = 0

    def hold(self) -> Callable[[], None]:
        """Count a reading that nobody brings again; call what is returned when it is on disk, delivered or dropped."""
        self._head[_HELD] += 1
        return self._release

    def note(self, delivered: int, dropped: Mapping[str, int], *, unexplained: int = 0, stored: int = 0) -> None:
        """Take over the counts of this life: `unexplained` came in and is nowhere, `stored` waits on disk."""
        self._delivered = delivered
        self._head[_DELIVERED] = self._delivered_before + delivered
        self._head[_UNEXPLAINED] = self._unexplained_before + unexplained
        if self._is_restored:
            self._head[_STORED] = stored
        if dropped != self._dropped:
            self._dropped = dict(dropped)
            self._save_dropped()

    def restore(self, text: str, stored: int) -> int:
        """Take over what the outbox file remembers, with `stored` readings in it; return how many it should have more.

        Counts only grow, so the larger one is the later one. A second file in one life knows nothing of an earlier one,
        and what is lost with the first is counted by the outbox.
        """
        if self._is_restored:
            return 0
        self._is_restored = True
        delivered, dropped, memo, unexplained = _parse(text)
        if self._is_new:
            self._unexplained_before = unexplained
            self._head[_UNEXPLAINED] += unexplained
        self._delivered_before = max(self._delivered_before, delivered)
        for reason, count in dropped.items():
            known = self._known(reason)
            self._dropped_before[known] = max(self._dropped_before[known], count)
        self.stored_memo = memo
        self._memo = self._memo or memo
        missing = max(0, self._head[_STORED] - stored)
        self._head[_STORED] = stored
        if missing:
            self._dropped_before[self._known(_LOST)] += missing
        self._head[_DELIVERED] = self.delivered
        self._save_dropped()
        return missing

    def text(self) -> str:
        """Return what the outbox file is to remember."""
        kept: dict[str, Any] = {"delivered": self.delivered, "dropped": self.dropped()}
        if self._memo:
            kept["memo"] = self._memo
        if unexplained := self._head[_UNEXPLAINED]:
            kept["unexplained"] = unexplained
        return json.dumps(kept, separators=(",", ":"))

    @property
    def delivered(self) -> int:
        """All that the hub has ever acknowledged."""
        return self._delivered_before + self._delivered

    def dropped(self) -> dict[str, int]:
        """Return all that was ever dropped, by reason."""
        total = self._dropped_before.copy()
        for reason, count in self._dropped.items():
            total[self._known(reason)] += count
        return {reason: count for reason, count in total.items() if count}

    def figures(self, waiting: int) -> dict[str, Any]:
        """Return the totals for status; `waiting` is what is in the outbox now.

        `most_received` never goes back: after a kill it is ahead by what the broker is about to bring again.
        """
        dropped = self.dropped()
        received = self.delivered + waiting + sum(dropped.values()) + self._head[_UNEXPLAINED]
        most_received = self._head[_MOST_RECEIVED] = max(self._head[_MOST_RECEIVED], received)
        return {
            "received": received,
            "delivered": self.delivered,
            "waiting": waiting,
            "dropped": dropped,
            "most_received": most_received,
        }

    @property
    def memo(self) -> str:
        """What `remember` was last called with, in this life or an earlier one; empty at first."""
        return self._memo

    def remember(self, memo: str) -> None:
        """Keep a short text of somebody else's across restarts, and with the next transaction across reboots."""
        raw = memo.encode()
        if len(raw) > MAX_MEMO_BYTES:
            raise ValueError(f"a memo of {len(raw)} bytes is too long; at most {MAX_MEMO_BYTES} fit")
        self._memo = memo
        body = _MEMO.pack(0, len(raw), raw)
        # A torn one fails its checksum, and that of the last transaction is taken.
        self._memo_area[: _MEMO.size] = struct.pack("=I", zlib.crc32(body[4:])) + body[4:]

    def _release(self) -> None:
        if self._head[_HELD]:
            self._head[_HELD] -= 1

    def _save_dropped(self) -> None:
        for reason, count in self.dropped().items():
            place = self._reasons.index(reason)
            if self._counts[place] != count:
                self._counts[place] = count

    def _known(self, reason: str) -> str:
        """Return the name that a reason is kept under, which is written down first: a name without a count is none."""
        if reason in self._reasons:
            return reason
        raw = reason.encode("utf-8", "replace")
        if not raw or len(raw) > _NAME_BYTES or len(self._reasons) >= _MAX_REASONS - 1:
            raw, reason = _OTHER.encode(), _OTHER
        if reason not in self._reasons:
            start = len(self._reasons) * _NAME_BYTES
            self._counts[len(self._reasons)] = 0
            self._names[start : start + _NAME_BYTES] = raw.ljust(_NAME_BYTES, b"\0")
            self._reasons.append(reason)
        return reason

    def _read_names(self) -> list[str]:
        names: list[str] = []
        for start in range(0, _NAMES_BYTES, _NAME_BYTES):
            name = bytes(self._names[start : start + _NAME_BYTES]).rstrip(b"\0").decode("utf-8", "replace")
            if not name or name in names:
                break
            names.append(name)
        return names

    def _read_memo(self) -> str:
        checksum, length, raw = _MEMO.unpack_from(self._memo_area)
        if not length or length > MAX_MEMO_BYTES or zlib.crc32(self._memo_area[4 : _MEMO.size]) != checksum:
            return ""
        return bytes(raw[:length]).decode("utf-8", "replace")


def _parse(text: str) -> tuple[int, dict[str, int], str, int]:
    """Read an account text; what is not as we wrote it counts nothing."""
    try:
        found = json.loads(text) if len(text) <= _MAX_TEXT_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return 0, {}, "", 0
    delivered, dropped, memo = found.get("delivered"), found.get("dropped"), found.get("memo")
    unexplained = found.get("unexplained")
    return (
        delivered if _is_count(delivered) else 0,
        {name: count for name, count in dropped.items() if _is_count(count)} if isinstance(dropped, dict) else {},
        memo if isinstance(memo, str) and len(memo.encode("utf-8", "replace")) <= MAX_MEMO_BYTES else "",
        unexplained if isinstance(unexplained, int) and abs(unexplained) < _MAX_COUNT else 0,
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT
