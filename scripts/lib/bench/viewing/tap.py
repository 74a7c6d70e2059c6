"""Takes the RTP of a viewer off its socket, before ICE, aiortc and a decoder cost anything: sixty fit on a core.

This is the one place of the bench `video` that knows private names: asyncio's datagram transport, and aiortc 1.16's
DTLS transport and receiver. The first packets of a connection come by aiortc's own road, and tell whose they are.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - see above
import asyncio
import contextlib
import socket
import time
from asyncio.selector_events import _SelectorDatagramTransport  # type: ignore[attr-defined]
from collections import deque
from contextvars import ContextVar
from typing import Any, NamedTuple

from aiortc import rtcdtlstransport
from aiortc.rtcrtpreceiver import StreamStatistics
from pylibsrtp import Error as SrtpError

from scripts.lib.bench.viewing.slices import Picture

VIEWER: ContextVar[Viewer | None] = ContextVar("viewer", default=None)

RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024
MAX_DATAGRAM_BYTES = 2048
# Datagrams read in one go: other viewers of the process want to look at their clock too.
DATAGRAMS_AT_ONCE = 64
KEPT_PICTURES = 2000
PLI_INTERVAL_S = 0.2


class Seen(NamedTuple):
    """A picture that came. `is_whole`: nothing was missing, in it or between it and the one before."""

    at_s: float
    checksum: int
    timestamp: int
    is_key: bool
    is_whole: bool
    packets: int


class Viewer:
    """One viewer's side of one connection; `connections` counts those that carried video."""

    def __init__(self) -> None:
        self.asked_s = 0.0
        self.pictures: deque[Seen] = deque(maxlen=KEPT_PICTURES)
        self.connections = 0
        self.lost_packets = 0
        self._dtls: Any = None
        self._has_key = False
        self._asked_key_s = 0.0
        self._reset(None)

    @property
    def connected_s(self) -> float | None:
        """When DTLS was through, on the connection that carries the video."""
        return getattr(self._dtls, "bench_connected_s", None)

    @property
    def is_connected(self) -> bool:
        return self._dtls is not None and self._dtls.state == "connected"

    @property
    def session(self) -> Any:
        """The SRTP session that decrypts the video; None before the first packet."""
        return None if self._dtls is None else self._dtls._rx_srtp

    def _reset(self, dtls: Any) -> None:
        self._dtls = dtls
        self._ssrc = -1
        self._sequence = -1
        self._picture = Picture()
        self._is_whole = True
        self._statistics = StreamStatistics(90_000)

    def take_first(self, dtls: Any, packet: bytes) -> None:
        """Take a packet from aiortc: of a connection that is new, or before its socket was tapped."""
        if dtls is not self._dtls:
            self._reset(dtls)
            self.connections += 1
        self.take(packet)

    def take(self, packet: bytes) -> None:
        """Take a decrypted RTP packet (RFC 3550 section 5.1)."""
        if self._ssrc != (ssrc := int.from_bytes(packet[8:12])):
            if self._ssrc != -1:
                return  # repeats, or another track
            self._begin(ssrc)
        sequence = packet[2] << 8 | packet[3]
        missing = (sequence - self._sequence - 1) & 0xFFFF if self._sequence >= 0 else 0
        if missing:
            if missing > 0x8000:
                return  # late, or twice
            self.lost_packets += missing
            self._is_whole = False
        self._sequence = sequence
        begin = 12 + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            begin += 4 + 4 * (packet[begin + 2] << 8 | packet[begin + 3])
        self._picture.take(packet[begin:])
        if packet[1] & 0x80:
            self._finish(int.from_bytes(packet[4:8]))

    def _begin(self, ssrc: int) -> None:
        """Let aiortc's receiver report what we received, as if it had seen it."""
        self._ssrc = ssrc
        for receiver in self._dtls._rtp_router.receivers:
            receiver._RTCRtpReceiver__remote_streams[ssrc] = self._statistics

    def _finish(self, timestamp: int) -> None:
        now_s, picture = time.monotonic(), self._picture
        self.pictures.append(Seen(now_s, picture.checksum, timestamp, picture.is_key, self._is_whole, picture.packets))
        self._report(picture.packets)
        self._has_key = self._is_whole and (self._has_key or picture.is_key)
        if not self._has_key and now_s - self._asked_key_s > PLI_INTERVAL_S:
            self._asked_key_s = now_s
            self._ask_key()
        self._picture, self._is_whole = Picture(), True

    def _report(self, packets: int) -> None:
        statistics = self._statistics
        if statistics.max_seq is None:
            statistics.base_seq = (self._sequence - packets + 1) & 0xFFFF
        elif self._sequence < statistics.max_seq:
            statistics.cycles += 1 << 16
        statistics.max_seq = self._sequence
        statistics.packets_received += packets

    def _ask_key(self) -> None:
        """Do what a browser does that cannot decode: send a PLI (RFC 4585 section 6.3.1)."""
        for receiver in self._dtls._rtp_router.receivers:
            _now(receiver._send_rtcp_pli(self._ssrc))


def _now(coroutine: Any) -> None:
    """Run a coroutine of aiortc's that sends something; it never has to wait, and has no task of its own."""
    with contextlib.suppress(StopIteration, ConnectionError):
        coroutine.send(None)
    coroutine.close()


class TappedTransport(_SelectorDatagramTransport):  # type: ignore[misc]
    """A UDP socket whose RTP goes to its viewer; the rest goes the usual way."""

    def __init__(self, loop: Any, sock: socket.socket, *rest: Any, **more: Any) -> None:
        self._viewer = VIEWER.get()
        for option in (socket.SO_RCVBUF, getattr(socket, "SO_RCVBUFFORCE", 33)):
            with contextlib.suppress(OSError):  # the second needs a privilege
                sock.setsockopt(socket.SOL_SOCKET, option, RECEIVE_BUFFER_BYTES)
        super().__init__(loop, sock, *rest, **more)

    def _read_ready(self) -> None:
        viewer = self._viewer
        session = None if viewer is None else viewer.session
        if viewer is None or session is None:
            super()._read_ready()
            return
        receive, pass_on = self._sock.recvfrom, self._protocol.datagram_received
        for _ in range(DATAGRAMS_AT_ONCE):
            if self._conn_lost:
                return
            try:
                data, address = receive(MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._protocol.error_received(error)
                return
            # RFC 7983 section 7, RFC 5761 section 4
            if len(data) < 12 or not 128 <= data[0] <= 191 or 192 <= data[1] <= 223:
                pass_on(data, address)
                continue
            try:
                packet = session.unprotect(data)
            except SrtpError:
                pass_on(data, address)  # another connection's
                continue
            viewer.take(packet)


class TappedLoop(asyncio.SelectorEventLoop):
    """An event loop whose UDP sockets are tapped."""

    def _make_datagram_transport(self, sock: Any, protocol: Any, *rest: Any, **more: Any) -> Any:
        return TappedTransport(self, sock, protocol, *rest, **more)


def tap() -> None:
    """Take the video of every connection of this process away from aiortc."""
    transport: Any = rtcdtlstransport.RTCDtlsTransport
    set_state = transport._set_state

    def note_state(self: Any, state: Any) -> None:
        if state == rtcdtlstransport.State.CONNECTED:
            self.bench_connected_s = time.monotonic()
        set_state(self, state)

    async def take(self: Any, data: bytes, arrival_time_ms: int) -> None:
        viewer = VIEWER.get()
        if viewer is not None:
            viewer.take_first(self, data)

    transport._set_state = note_state
    transport._handle_rtp_data = take
