"""Ids of readings, the same when a message comes again: gateway, life of the runtime file, sequence. Pure.

For each MQTT packet id a slot holds the fingerprint and the sequence number of the last message under it. A message is
taken for a repeat only if the broker says so (DUP), id and fingerprint agree, and the broker cannot have meant another
message with the same words: sensors say "21.5" all day, and a new reading under an old id would be lost downstream.
So a slot is trusted while its message is unacknowledged, and, where the broker is known to count its packet ids on,
on the connection after the one on which it was acknowledged; never when the ids have nearly gone round. In doubt: a new
id.

All of it lives in memory that survives `kill -9` at any step; each step leaves it sound.
"""

from __future__ import annotations

import zlib

PACKET_IDS = 65536
_BLOCKS = 8
_BLOCKS_FORGOTTEN = 4
"""Of the ring of packet ids, so many blocks ahead of the newest are empty: forgotten before they come again."""
_HEAD_BYTES = 64
_SLOT_BYTES = 4 + 4 + 2
_MAX_EPOCH = 0xFFFF
_NO_EPOCH = -1
_SURELY_ON = 16
"""No broker that hands out its lowest free packet id has this fraction of all of them in flight: 4096."""
_PROOFS_WANTED = 3
_PROOF_AFTER_S = 0.2
"""Longer than an acknowledgement takes to a broker of the site."""

# Places in the head.
_SEQUENCE, _SEQUENCE_AGAIN, _EPOCH, _NEWEST, _IN_ORDER, _PROOFS = range(6)


def area_bytes(slots: int = PACKET_IDS) -> int:
    """Return the size of the memory that ids need."""
    return _HEAD_BYTES + slots * _SLOT_BYTES


class ReadingIds:
    """Numbers readings and knows repeats. One owner; `area` is `area_bytes()` long, zeros at first."""

    def __init__(self, gateway: str, life: str, area: memoryview, *, slots: int = PACKET_IDS) -> None:
        self._prefix = f"{gateway}/{life}/"
        self._slots = slots
        self._block = slots // _BLOCKS
        self._head = area[:_HEAD_BYTES].cast("Q")
        prints, acked_in = _HEAD_BYTES + slots * 4, _HEAD_BYTES + slots * 8
        self._sequences = area[_HEAD_BYTES:prints].cast("I")
        self._prints = area[prints:acked_in].cast("I")
        self._acked_in = area[acked_in : acked_in + slots * 2].cast("H")
        # Where 8 bytes are two stores, one of the two numbers may be torn, and then it is too low or far too high.
        self._sequence = max(self._head[_SEQUENCE], self._head[_SEQUENCE_AGAIN])
        self._in_order = bool(self._head[_IN_ORDER])
        self._epoch = min(self._head[_EPOCH], _MAX_EPOCH)
        self._trusted_epoch = _NO_EPOCH
        self._newest = self._head[_NEWEST] % slots
        self._proofs = self._head[_PROOFS]
        self._freed: tuple[int, float] | None = None
        self._is_first = True

    def session_lost(self) -> None:
        """The broker knows nothing of us: its packet ids begin again, and perhaps it is another one."""
        self._forget(0, self._slots)
        self._distrust()

    def connecting(self) -> None:
        """A broker has been asked to take us. What it sends from now on may be lost before we read any of it."""
        self._begin_epoch(1)
        self._is_first = True

    def is_owed(self, topic: str, payload: bytes, packet_id: int) -> bool:
        """Say whether a message that the broker repeats was taken before and never acknowledged. To be asked first.

        It was wanted then: what is not wanted is acknowledged at once.
        """
        return (
            packet_id > 0 and self._prints[packet_id] == _fingerprint(topic, payload) and not self._acked_in[packet_id]
        )

    def take(self, topic: str, payload: bytes, packet_id: int, now_s: float, *, repeated: bool) -> str:
        """Return the id of a message: that of before if it is a repeat, else the next."""
        if not packet_id:
            return f"{self._prefix}{self._next()}"
        fingerprint = _fingerprint(topic, payload)
        if repeated:
            if self._prints[packet_id] == fingerprint and self._is_trusted(packet_id):
                self._acked_in[packet_id] = 0
                return f"{self._prefix}{self._sequence - ((self._sequence - self._sequences[packet_id]) & 0xFFFFFFFF)}"
        else:
            self._advance(packet_id, now_s)
        sequence = self._next()
        # In this order: words never stand beside the number of others.
        self._sequences[packet_id] = sequence & 0xFFFFFFFF
        self._acked_in[packet_id] = 0
        self._prints[packet_id] = fingerprint
        return f"{self._prefix}{sequence}"

    def acknowledged(self, packet_id: int, now_s: float) -> None:
        """The broker is told that it may forget a message, and may use its packet id again."""
        self._acked_in[packet_id] = self._epoch
        if self._freed is None:
            self._freed = (packet_id, now_s)

    def _begin_epoch(self, steps: int) -> None:
        self._epoch += steps
        if self._epoch > _MAX_EPOCH:
            self._epoch = 1
            self._forget(0, self._slots)
        self._head[_EPOCH] = self._epoch
        self._trusted_epoch = self._epoch - 1 or _NO_EPOCH
        self._freed = None

    def _is_trusted(self, packet_id: int) -> bool:
        acked_in = self._acked_in[packet_id]
        return not acked_in or (self._in_order and acked_in == self._trusted_epoch)

    def _next(self) -> int:
        self._sequence = sequence = self._sequence + 1
        self._head[_SEQUENCE] = sequence
        self._head[_SEQUENCE_AGAIN] = sequence
        return sequence

    def _advance(self, packet_id: int, now_s: float) -> None:
        """A new message: learn how the broker counts, and forget the slots it will come to next."""
        before, self._newest = self._newest, packet_id
        self._head[_NEWEST] = packet_id
        is_first, self._is_first = self._is_first, False
        if not 0 < (packet_id - before) % self._slots < self._slots // 2:
            self._turn_back(was_restored=is_first and self._in_order)
        elif not self._in_order:
            self._learn(packet_id, now_s)
        old, new = before // self._block, packet_id // self._block
        if old != new:
            self._forget_ahead(old, new)

    def _learn(self, packet_id: int, now_s: float) -> None:
        """Packet ids that were free all the while and are not used again prove that the broker counts on."""
        if self._freed is not None:
            freed, since_s = self._freed
            if now_s - since_s >= _PROOF_AFTER_S and packet_id > freed:
                self._proofs += 1
                self._head[_PROOFS] = self._proofs
                self._freed = None
        if self._proofs >= _PROOFS_WANTED or packet_id > self._slots // _SURELY_ON:
            self._in_order = True
            self._head[_IN_ORDER] = 1

    def _turn_back(self, *, was_restored: bool) -> None:
        """Ids come again. A broker that counted on does that once, as it comes up in the state of its last save."""
        if was_restored:
            # What it repeats has come. What we acknowledged after that save is forgotten there, its packet ids are not.
            self._trusted_epoch = _NO_EPOCH
            return
        self._distrust()
        self._begin_epoch(2)

    def _distrust(self) -> None:
        self._freed = None
        self._proofs = self._head[_PROOFS] = 0
        self._in_order = False
        self._head[_IN_ORDER] = 0

    def _forget_ahead(self, old: int, new: int) -> None:
        steps = (new - old) % _BLOCKS
        for block in range(new + _BLOCKS_FORGOTTEN - min(steps, _BLOCKS_FORGOTTEN) + 1, new + _BLOCKS_FORGOTTEN + 1):
            start = block % _BLOCKS * self._block
            self._forget(start, start + self._block)

    def _forget(self, start: int, end: int) -> None:
        self._prints[start:end] = memoryview(bytes((end - start) * 4)).cast("I")


def _fingerprint(topic: str, payload: bytes) -> int:
    """Return what a slot knows a message by; an empty slot holds 0."""
    return zlib.crc32(payload, zlib.crc32(topic.encode())) or 1
