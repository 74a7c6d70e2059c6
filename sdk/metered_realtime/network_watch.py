"""Notices at once that the machine's addresses or default route changed, instead of after a path has been silent.

One netlink socket serves all watches of an event loop, and only while there are any. Where the system has none, or
forbids it (systemd's `RestrictAddressFamilies=` without `AF_NETLINK`), nothing is ever noticed and nothing else lost.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from metered_realtime.network_messages import GROUPS, NetworkView, list_request

SETTLE_S = 0.2
LONGEST_SETTLE_S = 1.0
MAX_DATAGRAM = 65_536
DATAGRAMS_AT_ONCE = 64

_log = logging.getLogger(__name__)


class NetworkWatch:
    """Calls `on_change`, on the event loop, once the network has settled after a change. Silent where not possible."""

    def __init__(
        self, on_change: Callable[[], None], *, open_socket: Callable[[], socket.socket] | None = None
    ) -> None:
        self._on_change = on_change
        self._open_socket = open_socket or open_netlink
        self._ear: _Ear | None = None

    @property
    def is_watching(self) -> bool:
        """Whether changes will be noticed."""
        return self._ear is not None and self._ear.is_open

    async def start(self) -> None:
        """Begin. May be called again."""
        if self._ear is not None:
            return
        self._ear = _ear_of(asyncio.get_running_loop(), self._open_socket)
        self._ear.add(self._on_change)

    async def aclose(self) -> None:
        """Stop; `on_change` is not called any more. May be called again."""
        ear, self._ear = self._ear, None
        if ear is not None and ear.remove(self._on_change):
            _ears.pop(ear.loop, None)


class _Ear:
    """The socket of one event loop, and who is told of what it says."""

    def __init__(self, loop: asyncio.AbstractEventLoop, open_socket: Callable[[], socket.socket]) -> None:
        self.loop = loop
        self._listeners: list[Callable[[], None]] = []
        self._settled: asyncio.TimerHandle | None = None
        self._first_change_s = 0.0
        self._socket: socket.socket | None = None
        try:
            self._socket = open_socket()
        except OSError as error:
            _log.debug("changes of the network are not noticed here: %s", error)
            return
        self._view = NetworkView(_port_id(self._socket))
        self._list_addresses()
        loop.add_reader(self._socket, self._readable)

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def add(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def remove(self, listener: Callable[[], None]) -> bool:
        """Returns whether it was the last one; then all is closed."""
        self._listeners.remove(listener)
        if not self._listeners:
            self._close()
        return not self._listeners

    def _close(self) -> None:
        if self._settled is not None:
            self._settled.cancel()
            self._settled = None
        if self._socket is not None:
            self.loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def abandon(self) -> None:
        """The event loop is closed."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _list_addresses(self) -> None:
        assert self._socket is not None
        try:
            self._socket.send(list_request())
        except OSError as error:
            _log.debug("the addresses there are could not be listed: %s", error)

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_AT_ONCE):
            if self._socket is None:
                return
            try:
                datagram, sender = self._socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._failed(error)
                return
            if _is_of_kernel(sender) and self._view.take(datagram):
                self._changed()

    def _failed(self, error: OSError) -> None:
        if error.errno == errno.ENOBUFS:
            # The kernel had more to say than there was room for: whatever it was, something changed.
            self._view.forget()
            self._list_addresses()
        else:
            _log.debug("changes of the network are not noticed any more: %s", error)
            self._close()
        self._changed()

    def _changed(self) -> None:
        now_s = self.loop.time()
        if self._settled is None:
            self._first_change_s = now_s
        else:
            self._settled.cancel()
        at_s = min(now_s + SETTLE_S, self._first_change_s + LONGEST_SETTLE_S)
        self._settled = self.loop.call_at(at_s, self._tell)

    def _tell(self) -> None:
        self._settled = None
        for listener in tuple(self._listeners):
            listener()


_ears: dict[asyncio.AbstractEventLoop, _Ear] = {}


def _ear_of(loop: asyncio.AbstractEventLoop, open_socket: Callable[[], socket.socket]) -> _Ear:
    for ended in [each for each in _ears if each.is_closed()]:
        _ears.pop(ended).abandon()  # its watches were never closed
    if loop not in _ears:
        _ears[loop] = _Ear(loop, open_socket)
    return _ears[loop]


def open_netlink() -> socket.socket:
    """Open the socket on which the kernel tells of its network. Raises OSError where it is forbidden."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, "this system has no netlink")
    opened = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        opened.bind((0, GROUPS))
    except OSError:
        opened.close()
        raise
    return opened


def _port_id(opened: socket.socket) -> int:
    name = opened.getsockname()
    return int(name[0]) if isinstance(name, tuple) else 0


def _is_of_kernel(sender: object) -> bool:
    """A datagram of another process carries its port id; a socket pair, none at all."""
    return not isinstance(sender, tuple) or sender[0] == 0
