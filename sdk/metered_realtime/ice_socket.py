"""One local address of an ICE connection: its socket, the STUN exchanges over it, and the queue of what it received.

Fills gaps of aioice: any datagram whatever is survived, media is told from STUN by its first byte (RFC 7983) instead of
by a failed parse, retransmission begins after 0.1 s instead of 0.5 s, and both directions are bounded.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol

from metered_realtime.ice_repeats import ConsentChecks, RepeatedCheck
from metered_realtime.ice_stun import HEADER_BYTES, ID_START, RESPONSE

Address = tuple[str, int]

MAX_RECEIVED_BYTES = 4 * 1024 * 1024
RECEIVE_BUFFER_BYTES = 256 * 1024
_LAST_STUN_BYTE = 3

# What a check does not get an answer to is sent again after these times, some 38 s in all.
CHECK_DELAYS_S = (0.1, 0.2, 0.4, 0.8, *[1.6] * 23)
SERVER_DELAYS_S = (0.25, 0.5, 1.0, 1.5, 2.0)


class Receiver(Protocol):
    """What an `IceSocket` tells its connection."""

    def data_received(self, data: bytes, component: int) -> None: ...
    def request_received(self, message: stun.Message, addr: Address, protocol: Any) -> None: ...
    def protocol_lost(self, protocol: Any) -> None: ...


class IceSocket(StunProtocol):
    """A UDP socket, or a relayed address that looks like one."""

    def __init__(self, receiver: Any) -> None:
        super().__init__(receiver)
        self.via = "udp"
        self.is_blocked = False
        """Whether nothing can be sent at the moment: the kernel takes no more, or the socket is gone."""
        self.is_heard = False
        """Whether media came in since somebody last set this to False."""
        self.heard_s = float("-inf")
        """When that was last, on the loop's clock."""
        self.received_check = b""
        """The check that is being taken apart, as it came."""
        self.repeated: RepeatedCheck | None = None
        """The last one over the pair in use."""
        self._clock = asyncio.get_running_loop().time

    def __repr__(self) -> str:
        return f"IceSocket({self.id})"

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if not data or isinstance(data, str):
            return
        if data[0] > _LAST_STUN_BYTE:
            self.is_heard, self.heard_s = True, self._clock()
            self.receiver.data_received(data, 1)
            return
        where = (str(addr[0]), int(addr[1]))
        if not self._is_repeat(data, where):
            self._take_stun(data, where)

    def _is_repeat(self, data: bytes, where: Address) -> bool:
        """Take what comes every few seconds over the pair in use."""
        if data[:2] == RESPONSE:
            exchange: Any = self.transactions.get(data[ID_START:HEADER_BYTES])
            return isinstance(exchange, ConsentChecks) and exchange.takes(data)
        answer = self.repeated.answer(data, where) if self.repeated is not None else None
        if answer is not None:
            self.send_bytes(answer, where)
        return answer is not None

    def _take_stun(self, data: bytes, where: Address) -> None:
        try:
            message = stun.parse_message(data)
        except (ValueError, struct.error):
            return
        if message.message_class in (stun.Class.RESPONSE, stun.Class.ERROR):
            exchange = self.transactions.get(message.transaction_id)
            if exchange is not None:
                exchange.response_received(message, where)
        elif message.message_class == stun.Class.REQUEST:
            self.received_check = data
            self.receiver.request_received(message, where, self)

    def pause_writing(self) -> None:
        self.is_blocked = True

    def resume_writing(self) -> None:
        self.is_blocked = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_blocked = True
        super().connection_lost(exc)

    @property
    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        self.send_bytes(bytes(message), addr)

    def send_bytes(self, data: bytes, addr: Address) -> None:
        if not self.is_closing:
            self.transport.sendto(data, addr)


async def open_host_socket(receiver: Any, address: str, local_preference: int) -> IceSocket:
    """Bind a socket to `address`, with its host candidate. Raises OSError."""
    raw = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        raw.bind((address, 0))
        loop = asyncio.get_running_loop()
        transport, ice_socket = await loop.create_datagram_endpoint(lambda: IceSocket(receiver), sock=raw)
    except BaseException:
        raw.close()
        raise
    host, port = transport.get_extra_info("sockname")[:2]
    ice_socket.local_candidate = Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host", local_preference),
        host=host,
        port=port,
        type="host",
    )
    return ice_socket


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a STUN request; `rtt_s` only where it is certain which transmission was answered."""

    message: stun.Message
    addr: Address
    rtt_s: float | None


class StunExchange:
    """A STUN request and its retransmissions (RFC 8489 section 6.2.1), told by one call: the answer, or None.

    With `key` only authenticated answers count; what is not is ignored, and the request goes on being sent.
    """

    def __init__(
        self,
        over: IceSocket,
        request: stun.Message,
        addr: Address,
        on_done: Callable[[Answer | None], None],
        *,
        key: bytes | None = None,
        delays_s: Iterable[float],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._over, self._request, self._addr = over, request, addr
        self._on_done, self._key = on_done, key
        self._delays_s: Iterator[float] = iter(delays_s)
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0
        self._sent_s = 0.0
        if key is not None:
            request.add_message_integrity(key)
        over.transactions[request.transaction_id] = self  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        self._sent += 1
        self._sent_s = self._loop.time()
        wait_s = next(self._delays_s, None)
        if wait_s is None:
            self.cancel()
            self._on_done(None)
            return
        self._timer = self._loop.call_later(wait_s, self._send)
        self._over.send_stun(self._request, self._addr)

    def hurry(self) -> None:
        """Send again now, unless that was done a moment ago."""
        if self._loop.time() - self._sent_s >= 0.02:
            self._sent += 1
            self._sent_s = self._loop.time()
            self._over.send_stun(self._request, self._addr)

    def response_received(self, message: stun.Message, addr: Address) -> None:
        """Take an answer from the socket."""
        if message.message_method != self._request.message_method:
            return
        if self._key is not None and not message.check_message_integrity(self._key):
            return
        self.cancel()
        self._on_done(Answer(message, addr, self._loop.time() - self._sent_s if self._sent == 1 else None))

    def cancel(self) -> None:
        """End it without a word."""
        if self._timer is not None:
            self._timer.cancel()
        self._over.transactions.pop(self._request.transaction_id, None)


class ReceivedQueue:
    """Datagrams between the sockets and the one reader; bounded in bytes, the oldest is dropped and counted."""

    def __init__(self, max_bytes: int = MAX_RECEIVED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._reader: asyncio.Future[None] | None = None
        self._is_closed = False
        self.dropped = 0

    def put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)
        while self._bytes > self._max_bytes and len(self._waiting) > 1:
            self._bytes -= len(self._waiting.popleft())
            self.dropped += 1
        if self._reader is not None:
            self._wake()

    async def get(self) -> bytes:
        """Return the next datagram. Raises ConnectionError once closed."""
        while not self._waiting:
            if self._is_closed:
                raise ConnectionError("Connection lost while receiving data")
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = self._waiting.popleft()
        self._bytes -= len(data)
        return data

    def close(self) -> None:
        self._is_closed = True
        self._waiting.clear()
        self._bytes = 0
        self._wake()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)
