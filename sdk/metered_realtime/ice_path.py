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
from metered_realtime.ice_repeats import ConsentChecks
from metered_realtime.ice_socket import Address
from metered_realtime.media_path import MediaPath, RelayPath, UdpPath

# A timer that fires a moment early would be set again and again.
_TIMER_SLACK_S = 0.002


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
        self._checks = ConsentChecks(generation, pair, self._confirmed, clock=self._loop.time)
        self._is_gone = False
        self.way: UdpPath | None = None
        """The way out for media while nothing speaks against it; else `outlet` has to look."""
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
        # Its own socket tells by itself when it is full.
        self.way = self._outlet if isinstance(self._outlet, UdpPath) else None
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
        self.way = self._outlet = None
        self._is_gone = True
        self._checks.close()

    def _step(self) -> None:
        step = self._consent.step(self._loop.time(), self.pair.protocol.heard_s)
        if step.ask:
            self._checks.ask()
        if self._consent.is_expired:
            self.way = None
        else:
            self._timer = self._loop.call_later(step.wait_s + _TIMER_SLACK_S, self._step)
        if step.just_lost:
            self._lost()

    def _lost(self) -> None:
        self.generation.search()
        self._on_lost()

    def _confirmed(self, rtt_s: float) -> None:
        self.pair.rtt_s = rtt_s
        now_s = self._loop.time()
        is_back = self._consent.confirm(now_s)
        if not self._consent.is_expired:
            self._timer.cancel()
            self._timer = self._loop.call_later(self._consent.wait_s(now_s) + _TIMER_SLACK_S, self._step)
        if is_back:
            self.generation.settle()
            self._on_back()
