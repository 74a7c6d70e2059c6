"""The checks that keep a path in use alive, every few seconds in each direction, without taking messages apart.

What is asked and answered again and again is a check that the general road (`ice_answering`, `StunExchange`) has been
through once; whatever differs from it goes there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from aioice import stun

from metered_realtime.ice_stun import (
    HEADER_BYTES,
    ID_START,
    REQUEST,
    RESPONSE,
    SEAL_BYTES,
    is_sealed,
    mapped_address,
    sealed,
)

if TYPE_CHECKING:
    from metered_realtime.ice_generation import IceGeneration
    from metered_realtime.ice_pairs import Pair
    from metered_realtime.ice_socket import Address

# Answers that come later count for nothing.
_ANSWER_WITHIN_S = 5.0


class RepeatedCheck:
    """A check of the other side over the selected pair, as it came; the next ones like it are answered here."""

    __slots__ = ("_addr", "_attributes", "_generation", "_is_nominating", "_key", "_pair", "_was_controlling")

    def __init__(self, request: bytes, generation: IceGeneration, pair: Pair, *, is_nominating: bool) -> None:
        self._attributes = request[HEADER_BYTES:-SEAL_BYTES]
        self._addr = pair.remote_addr
        self._generation, self._pair, self._is_nominating = generation, pair, is_nominating
        self._key = generation.local_pwd.encode()
        self._was_controlling = generation.is_controlling

    def answer(self, data: bytes, addr: Address) -> bytes | None:
        """Return the answer to a check that differs in its transaction id only; None for every other datagram."""
        if (
            data[:2] != REQUEST
            or data[HEADER_BYTES:-SEAL_BYTES] != self._attributes
            or addr != self._addr
            or self._generation.is_controlling is not self._was_controlling
            or not is_sealed(data, self._key)
            or not self._generation.take_repeat(self._pair, is_nominating=self._is_nominating)
        ):
            return None
        transaction_id = data[ID_START:HEADER_BYTES]
        return sealed(RESPONSE, transaction_id, mapped_address(*addr, transaction_id), self._key)


class ConsentChecks:
    """Our checks of one path (RFC 7675). `on_answer` gets the round trip, in seconds, of each that is answered."""

    def __init__(
        self,
        generation: IceGeneration,
        pair: Pair,
        on_answer: Callable[[float], None],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._generation, self._pair = generation, pair
        self._on_answer, self._clock = on_answer, clock
        self._key = (generation.remote_pwd or "").encode()
        self._attributes: dict[bool, bytes] = {}
        self._asked: dict[bytes, tuple[float, bool]] = {}

    def ask(self) -> None:
        """Send one; it also keeps in mind which pair is nominated."""
        now_s = self._clock()
        for transaction_id, (asked_s, _) in tuple(self._asked.items()):
            if now_s - asked_s > _ANSWER_WITHIN_S:
                self._forget(transaction_id)
        over, controlling = self._pair.protocol, self._generation.is_controlling
        attributes = self._attributes.get(controlling)
        if attributes is None:
            request = self._generation.check_request(nominate=controlling)
            attributes = self._attributes[controlling] = bytes(request)[HEADER_BYTES:]
        transaction_id = os.urandom(12)
        self._asked[transaction_id] = now_s, controlling
        over.transactions[transaction_id] = self  # type: ignore[assignment]
        over.send_bytes(sealed(REQUEST, transaction_id, attributes, self._key), self._pair.remote_addr)

    def takes(self, data: bytes) -> bool:
        """Take a successful answer to one of them. False: it is not of the usual form, or not authentic."""
        if not is_sealed(data, self._key):
            return False
        self._answered(data[ID_START:HEADER_BYTES])
        return True

    def response_received(self, message: stun.Message, _: Address) -> None:
        """Take any other answer; one that is not authentic does not count."""
        if message.message_method != stun.Method.BINDING or not message.check_message_integrity(self._key):
            return
        asked = self._asked.get(message.transaction_id)
        if asked is None:
            return
        if self._generation.heed_conflict(message, was_controlling=asked[1]):
            self._forget(message.transaction_id)
        else:
            self._answered(message.transaction_id)

    def _answered(self, transaction_id: bytes) -> None:
        asked = self._asked.get(transaction_id)
        if asked is not None:
            self._forget(transaction_id)
            self._on_answer(self._clock() - asked[0])

    def _forget(self, transaction_id: bytes) -> None:
        del self._asked[transaction_id]
        self._pair.protocol.transactions.pop(transaction_id, None)

    def close(self) -> None:
        """Expect no more answers."""
        for transaction_id in tuple(self._asked):
            self._forget(transaction_id)
