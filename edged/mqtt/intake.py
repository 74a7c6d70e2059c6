"""Reads what the broker sends: many messages at a time where many come, each at once where few do.

To be woken costs more than to read a message. So where messages follow each other closely, the socket is not watched,
but looked at again after a few milliseconds, for as long as there is something each time.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Protocol

from edged.mqtt.stream import PacketError, PacketStream, PlainMessage, is_whole, plain_message

GATHER_S = 0.005
READ_BYTES = 64 * 1024
"""Read at once, about 500 messages: what else the loop has to do should not wait longer than for those."""


class Timer(Protocol):
    """What is used of `asyncio.TimerHandle`."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """What is used of the event loop."""

    def time(self) -> float: ...

    def add_reader(self, sock: Any, call: Callable[[], None], /) -> None: ...

    def remove_reader(self, sock: Any, /) -> object: ...

    def call_later(self, delay_s: float, call: Callable[[], None], /) -> Timer: ...


class Intake:
    """Reads one socket. `on_other` gets packets that are no plain messages.

    `on_end` gets the error that ended the reading, None where the broker closed; after it nothing more comes.
    """

    def __init__(
        self,
        sock: Any,
        loop: Loop,
        *,
        v5: bool,
        max_packet_bytes: int,
        on_message: Callable[[PlainMessage], None],
        on_other: Callable[[bytes], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._v5 = v5
        self._on_message = on_message
        self._on_other = on_other
        self._on_end = on_end
        self._loop = loop
        self._stream = PacketStream(max_packet_bytes)
        self._later: Timer | None = None
        self._is_watched = False
        self._is_reading = False
        self._read_at_s = 0.0

    def start(self) -> None:
        """Read, or read on."""
        if self._is_reading:
            return
        self._is_reading = True
        self._watch()

    def stop(self) -> None:
        """Read no more. What has been read and not handed on waits for `start`."""
        self._is_reading = False
        self._unwatch()
        self._cancel_timer()

    def look(self) -> None:
        """Read now: there may be more than the socket shows, in TLS or with us."""
        if self._is_reading:
            self._readable()

    def _watch(self) -> None:
        if not self._is_watched:
            self._is_watched = True
            self._loop.add_reader(self._sock, self._readable)

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._sock)

    def _readable(self) -> None:
        now_s = self._loop.time()
        follows = now_s - self._read_at_s < 2 * GATHER_S
        try:
            came = self._read()
        except Exception as error:
            # A fault of ours ends the connection: nobody would notice one that has fallen silent.
            self._finish(ConnectionAbortedError(f"ended by a fault of edged: {error!r}"))
            raise
        if not self._is_reading:
            return
        self._cancel_timer()
        if came:
            self._read_at_s = now_s
        # What TLS has read ahead the socket no longer shows.
        if came and (follows or self._has_pending()):
            self._unwatch()
            self._later = self._loop.call_later(GATHER_S, self._readable)
        else:
            self._watch()

    def _cancel_timer(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _read(self) -> bool:
        """Read what is there, within a limit; return whether there was anything."""
        self._hand_on()
        came = False
        if not self._is_reading:
            # Paused by what was left from before: the rest of it must not be written over.
            return came
        room_bytes = READ_BYTES
        while room_bytes > 0:
            try:
                data = self._sock.recv(room_bytes)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return came
            except OSError as error:
                self._finish(error)
                return came
            if not data:
                self._finish(None)
                return came
            came = True
            self._stream.add(data)
            self._hand_on()
            room_bytes -= len(data)
            # A TLS socket gives no more than one record at a time, which is one message of most brokers.
            if not self._is_reading or not self._is_tls:
                return came
        return came

    def _hand_on(self) -> None:
        stream = self._stream
        while self._is_reading:
            try:
                place = stream.next()
            except PacketError as error:
                self._finish(error)
                return
            if place is None:
                return
            message = plain_message(stream.data, *place, v5=self._v5)
            if message is not None:
                self._on_message(message)
            elif is_whole(stream.data, *place):
                self._on_other(stream.data[place[0] : place[2]])
            else:
                # The library would take the next packets for the rest of it.
                self._finish(PacketError("a message with properties that is larger than we allow"))

    def _has_pending(self) -> bool:
        return self._is_tls and self._sock.pending() > 0

    def _finish(self, error: Exception | None) -> None:
        self.stop()
        self._on_end(error)
