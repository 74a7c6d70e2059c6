"""The path that carries the data: keeps the other side's consent to it, and tells when it is lost and when it is back.

Fills a gap of aioice, which asks every 5 s, finds out after some 30 s, and then closes the whole connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from metered_realtime.ice_consent import Consent, ConsentTimings
from metered_realtime.ice_generation import IceGeneration
from metered_realtime.ice_pairs import Pair
from metered_realtime.ice_socket import Address, Answer, StunExchange
from metered_realtime.media_path import MediaPath, RelayPath, UdpPath

_ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class SelectedPair:
    """The path in use. Types are those of candidates (`host`, `srflx`, `prflx`, `relay`)."""

    local_type: str
    remote_type: str
    protocol: str
    """What our side speaks: `udp`, or to a TURN server `udp`, `tcp` or `tls`."""
    local_address: Address
    remote_address: Address
    rtt_s: float | None
    """Round trip of the last consent check that was answered; None before the first."""


class SelectedPath:
    """One selected pair and its consent, until another is selected."""

    def __init__(
        self,
        generation: IceGeneration,
        pair: Pair,
        timings: ConsentTimings,
        *,
        on_lost: Callable[[], None],
        on_back: Callable[[], None],
    ) -> None:
        self.generation, self.pair = generation, pair
        self._on_lost, self._on_back = on_lost, on_back
        self._loop = asyncio.get_running_loop()
        self._consent = Consent(self._loop.time(), timings)
        self._asked: set[StunExchange] = set()
        self._is_gone = False
        self._outlet: MediaPath | None = None
        self._own_socket: socket.socket | None = None
        self._timer = self._loop.call_soon(self._step)

    @property
    def is_expired(self) -> bool:
        """Whether nothing may be sent any more: no consent for 30 s (RFC 7675 section 5.1)."""
        return self._consent.is_expired

    def describe(self) -> SelectedPair:
        """Return what statistics show of it."""
        local, remote = self.pair.local_candidate, self.pair.remote_candidate
        return SelectedPair(
            local.type,
            remote.type,
            self.pair.protocol.via,
            self.pair.local_addr,
            self.pair.remote_addr,
            self.pair.rtt_s,
        )

    def outlet(self) -> MediaPath | None:
        """Return the way out for media, or None while nothing may be sent."""
        over = self.pair.protocol
        if self._consent.is_expired or over.is_blocked or self._is_gone:
            return None
        if self._outlet is None:
            self._outlet = self._open_outlet()
        return self._outlet

    def _open_outlet(self) -> MediaPath:
        over, address = self.pair.protocol, self.pair.remote_addr
        raw = over.transport.get_extra_info("socket")
        if over.local_candidate.type != "relay" and raw is not None:
            # Of its own: what asyncio gives out has lost `sendmsg`.
            with contextlib.suppress(OSError):  # no file descriptor is left
                self._own_socket = socket.socket(fileno=os.dup(raw.fileno()))
                return UdpPath(self._own_socket, address)
        return RelayPath(lambda packet: over.transport.sendto(packet, address))

    def socket_gone(self) -> None:
        """The local socket is closed: the path is lost without any waiting."""
        if not self._is_gone:
            self._is_gone = True
            self.close()
            if not self._consent.is_lost:
                self._lost()

    def close(self) -> None:
        """End the checks, and the way out."""
        self._timer.cancel()
        if self._own_socket is not None:
            self._own_socket.close()
            self._own_socket = None
        self._outlet, self._is_gone = None, True
        for exchange in self._asked:
            exchange.cancel()
        self._asked.clear()

    def _step(self) -> None:
        step = self._consent.step(self._loop.time())
        if step.ask:
            self._ask()
        if not self._consent.is_expired:
            self._timer = self._loop.call_later(step.wait_s, self._step)
        if step.just_lost:
            self._lost()

    def _lost(self) -> None:
        self.generation.search()
        self._on_lost()

    def _ask(self) -> None:
        def answered(answer: Answer | None) -> None:
            self._asked.discard(exchange)
            if answer is not None:
                self._confirmed(answer)

        exchange = self.generation.ask_consent(self.pair, answered, _ANSWER_WITHIN_S)
        self._asked.add(exchange)

    def _confirmed(self, answer: Answer) -> None:
        self.pair.rtt_s = answer.rtt_s
        is_back = self._consent.confirm(self._loop.time())
        self._timer.cancel()
        self._timer = self._loop.call_soon(self._step)
        if is_back:
            self.generation.settle()
            self._on_back()
