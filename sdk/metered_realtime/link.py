"""One WebSocket's life: open it, read and write texts, close it. The only module that imports websockets."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from metered_realtime import errors
from metered_realtime.address import LOOPBACK_HOSTS
from metered_realtime.frames import MAX_INBOUND_BYTES
from metered_realtime.logger import Logger
from metered_realtime.scrub import scrub

OPEN_TIMEOUT_S = 10.0
CLOSE_GRACE_S = 1.0
MAX_REASON_CHARS = 120
MAX_REASON_BYTES = 123  # RFC 6455 section 5.5: 125 bytes in a control frame, two of them the code
MAX_QUEUED_BYTES = 8 * 1024 * 1024
MAX_DEAD_AFTER_S = 86_400.0

# Direction and kind, the content, the size.
_FRAME = re.compile(r"([<>] (?:TEXT|BINARY|CONT|CLOSE|PING|PONG))\b.*?(\[[^\]]*\])?$", re.DOTALL)
TAKES_PROXY = "proxy" in signature(websocket_connect).parameters  # since websockets 15


class _ScrubFilter(logging.Filter):
    """websockets writes at level DEBUG the request line, which holds the credential, and pieces of every frame."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        frame = _FRAME.match(text)
        record.msg, record.args = (f"{frame[1]} {frame[2] or ''}" if frame is not None else scrub(text)), None
        return True


_websocket_log = logging.getLogger("metered_realtime.websocket")
_websocket_log.addFilter(_ScrubFilter())


class Link:
    """One connection, used once. Texts to send wait in a bounded queue; `live` reads until the end.

    `credential` tells connections of the same credential from others, without being one.
    """

    def __init__(self, log: Logger, *, credential: int = 0) -> None:
        self.credential = credential
        self._log = log
        self._socket: Any = None
        self._outgoing: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._queued_bytes = 0
        self._closing: asyncio.Task[None] | None = None

    async def open(
        self,
        url: str,
        *,
        ssl: SSLContext | None = None,
        dead_after_s: float = 0.0,
        connect: Callable[..., Any] = websocket_connect,
    ) -> tuple[int, str] | None:
        """Open the socket; None if it is open, else the close code (or HTTP status) and the reason.

        With `dead_after_s` the system ends a connection whose peer has acknowledged nothing for so long.
        """
        options: dict[str, Any] = {"ssl": ssl} if ssl is not None and url.startswith("wss:") else {}
        if TAKES_PROXY and connect is websocket_connect and urlsplit(url).hostname in LOOPBACK_HOSTS:
            options["proxy"] = None  # one named in the environment would be asked even for this machine itself
        try:
            self._socket = await connect(
                url,
                max_size=MAX_INBOUND_BYTES,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_GRACE_S,
                ping_interval=None,
                logger=_websocket_log,
                **options,
            )
        except InvalidStatus as error:
            return error.response.status_code, "handshake rejected"
        except Exception as error:  # noqa: BLE001 - proxies, TLS, resolvers raise of all kinds; told to the caller
            reason = scrub(str(error) or type(error).__name__)[:MAX_REASON_CHARS]
            self._log.debug("the connection could not be opened", {"reason": reason})
            return 1006, reason
        if 0 < dead_after_s < MAX_DEAD_AFTER_S:
            _give_up_after(self._socket.transport.get_extra_info("socket"), dead_after_s)
        return None

    async def live(self, on_text: Callable[[str], None]) -> tuple[int, str]:
        """Read and write until the connection ends; return its close code and reason."""
        writer = asyncio.get_running_loop().create_task(self._write(), name="signalling writer")
        try:
            await self._read(on_text)
        finally:
            # Whatever ended us, a cancellation included, nothing of the connection outlives this call; and the
            # connection goes first, so that nothing waits for a peer that no longer reads.
            self._socket.transport.abort()
            writer.cancel()
            await asyncio.wait([writer, *([self._closing] if self._closing is not None else [])])
        closed = self._socket.protocol  # websockets 13 has these two nowhere else
        return int(closed.close_code or 1006), scrub(closed.close_reason or "")

    def send(self, text: str) -> None:
        """Queue a text. Raises SignallingError when too much already waits."""
        size = len(text) if text.isascii() else len(text.encode())
        if self._queued_bytes + size > MAX_QUEUED_BYTES:
            raise errors.SignallingError(f"{self._queued_bytes} bytes already wait to be sent on a slow link")
        self._queued_bytes += size
        self._outgoing.put_nowait((text, size))

    def hang_up(self, code: int, reason: str) -> None:
        """Start the closing handshake; `live` returns when it is over, at most CLOSE_GRACE_S later."""
        if self._socket is not None and self._closing is None:
            closing = self._say_goodbye(code, reason)
            self._closing = asyncio.get_running_loop().create_task(closing, name="signalling close")

    async def _say_goodbye(self, code: int, reason: str) -> None:
        short = reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")
        try:
            # A limit of our own: websockets waits without one for room to write the close frame.
            async with asyncio.timeout(CLOSE_GRACE_S):
                await self._socket.close(code, short)
        except (TimeoutError, WebSocketException) as error:
            self._log.debug("the connection was cut, not closed", {"reason": str(error) or type(error).__name__})
        finally:
            self._socket.transport.abort()

    async def _read(self, on_text: Callable[[str], None]) -> None:
        try:
            async for received in self._socket:
                if isinstance(received, str):
                    on_text(received)
                else:
                    self._log.warning("a binary frame was ignored", {"bytes": len(received)})
        except ConnectionClosed:
            return

    async def _write(self) -> None:
        try:
            while True:
                text, size = await self._outgoing.get()
                await self._socket.send(text)
                self._queued_bytes -= size
        except ConnectionClosed:
            return  # the reader sees it too


def _give_up_after(connection: Any, dead_after_s: float) -> None:
    """Have a dead path noticed while a message is under way, even one that may take longer than the watchdog allows."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    if connection is None or option is None:
        return
    with suppress(OSError):  # not a TCP socket
        connection.setsockopt(socket.IPPROTO_TCP, option, int(dead_after_s * 1000))
