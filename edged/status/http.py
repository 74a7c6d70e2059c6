"""Prometheus text over HTTP for scrapers on this machine, where the settings ask for it: one request per connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from edged.errors import EdgedError
from edged.status.visits import Visits, Welcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MAX_HEAD_BYTES = 8192
_OUR_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class StatusHttpError(EdgedError):
    """The address cannot be listened on; everything else works without it."""


class MetricsServer:
    """`serve` lives until cancelled. `metrics` returns the text of now, at once."""

    def __init__(self, address: str, metrics: Callable[[], str]) -> None:
        parts = urlsplit(f"//{address}")
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._visits = Visits(_head, lambda head: response(head, metrics))

    async def serve(self, up: Callable[[str], None]) -> None:
        """Part of `keep_running`. Answer until cancelled. Raises StatusHttpError where the address is taken."""

        async def open_server(welcome: Welcome) -> asyncio.Server:
            server = await asyncio.start_server(
                welcome, self._host, self._port, limit=_MAX_HEAD_BYTES, start_serving=False
            )
            host, port = server.sockets[0].getsockname()[:2]
            up(f"http://{host}:{port}/metrics")
            return server

        try:
            await self._visits.receive(open_server)
        except ExceptionGroup as group:  # What is raised in `except*` comes as a group itself, up to Python 3.11.2.
            taken, others = group.split(OSError)
            if taken is None or others is not None:
                raise
            why = taken.exceptions[0]
            raise StatusHttpError(
                f"cannot listen on {self._host}:{self._port} ({why}): set status.http to a free port"
            ) from group


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def response(head: bytes, metrics: Callable[[], str]) -> bytes:
    """Return the whole answer to the head of a request."""
    first, _, rest = head.decode("latin-1").partition("\r\n")
    method, _, target = first.partition(" ")
    path = target.partition(" ")[0].partition("?")[0]
    if not _is_for_us(rest):
        return _answer("403 Forbidden", "ask by an address of this machine\n", method)
    if method not in {"GET", "HEAD"}:
        return _answer("405 Method Not Allowed", "only GET\n", method, "Allow: GET, HEAD\r\n")
    if path != "/metrics":
        return _answer("404 Not Found", "only /metrics\n", method)
    return _answer("200 OK", metrics(), method)


def _is_for_us(headers: str) -> bool:
    """Refuse names that are not ours: a web page may let its own name point at this machine, and read what it gets."""
    found = [value.strip() for name, _, value in _pairs(headers) if name.strip().lower() == "host"]
    if len(found) != 1:
        return False
    try:
        return urlsplit(f"//{found[0]}").hostname in _OUR_NAMES
    except ValueError:
        return False


def _pairs(headers: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in headers.split("\r\n")]


def _answer(status: str, text: str, method: str, more: str = "") -> bytes:
    body = text.encode("utf-8", "replace")
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"X-Content-Type-Options: nosniff\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)
