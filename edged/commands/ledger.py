"""Which ids were carried out lately, in a fixed piece of memory that outlives the process. Pure.

The memory is a file on a RAM disk where there is one: what was published before a crash is then not published again by
a sender that repeats itself. An id is written down before its command is published, so that a crash in between
can only lose a command, never double one.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import get_args

from edged.commands.messages import Answer, Reason, refused

SLOTS = 4096
_MAGIC = b"edgedcm1"
_SLOT = struct.Struct("<16s8s8sQB7x")
LEDGER_BYTES = len(_MAGIC) + SLOTS * _SLOT.size
_STATE_OFFSET = 40
_BEGUN, _DONE, _FIRST_REASON = 1, 2, 3
_REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an id: who used it for what (as digests), and what became of it."""

    sender: bytes
    content: bytes
    state: int

    def answer(self) -> Answer:
        """Return the answer in words for one who repeats itself; the reply of the device is not kept."""
        if self.state == _DONE:
            return Answer(ok=True, message="it was carried out before")
        if self.state == _BEGUN:
            return refused(
                "unknown", "the gateway was restarted while this was on its way: it may have been carried out"
            )
        return refused(_REASONS[self.state - _FIRST_REASON], "this is the outcome it had before")


def digest(text: str, size: int = 8) -> bytes:
    """Return a short digest of a text, whatever it holds."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


class Ledger:
    """The ids in `memory`, which holds LEDGER_BYTES; what is damaged or of a later uptime is forgotten.

    An id is kept for `keep_s` at least, and as long after that as there is room.
    """

    def __init__(self, memory: bytearray | memoryview, *, keep_s: float, now_s: float) -> None:
        self._memory = memoryview(memory)
        self._keep_ms = round(keep_s * 1000)
        self._slots: dict[bytes, int] = {}
        self._times_ms = [0] * SLOTS
        if bytes(self._memory[: len(_MAGIC)]) != _MAGIC:
            self._memory[:LEDGER_BYTES] = bytes(LEDGER_BYTES)
            self._memory[: len(_MAGIC)] = _MAGIC
        for slot in range(SLOTS):
            id_digest, _, _, uptime_ms, state = _SLOT.unpack_from(self._memory, _at(slot))
            if 0 < state < _FIRST_REASON + len(_REASONS) and uptime_ms <= now_s * 1000:
                self._slots[id_digest] = slot
                self._times_ms[slot] = uptime_ms
        # The oldest first; those that are empty have the time 0.
        self._order = deque(sorted(range(SLOTS), key=self._times_ms.__getitem__))

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, command_id: str) -> Record | None:
        """Return what is known of an id."""
        slot = self._slots.get(digest(command_id, 16))
        if slot is None:
            return None
        _, sender, content, _, state = _SLOT.unpack_from(self._memory, _at(slot))
        return Record(sender, content, state)

    def begin(self, command_id: str, sender: bytes, content: bytes, now_s: float) -> bool:
        """Write down that a command is about to be published; False where there is no room to."""
        slot = self._order[0]
        now_ms = int(now_s * 1000)  # never later than it is: the next life forgets what is yet to come
        if self._times_ms[slot] and now_ms - self._times_ms[slot] < self._keep_ms:
            return False
        self._order.rotate(-1)
        id_digest = digest(command_id, 16)
        old, *_ = _SLOT.unpack_from(self._memory, _at(slot))
        if self._slots.get(old) == slot:
            del self._slots[old]
        at = _at(slot)
        self._memory[at : at + _SLOT.size] = _SLOT.pack(id_digest, sender, content, now_ms, _BEGUN)
        self._slots[id_digest] = slot
        self._times_ms[slot] = now_ms
        return True

    def end(self, command_id: str, answer: Answer) -> None:
        """Write down what became of it."""
        slot = self._slots.get(digest(command_id, 16))
        if slot is not None:
            state = _FIRST_REASON + _REASONS.index(answer.reason) if answer.reason else _DONE
            self._memory[_at(slot) + _STATE_OFFSET] = state


def _at(slot: int) -> int:
    return len(_MAGIC) + slot * _SLOT.size
