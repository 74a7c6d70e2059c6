"""The sockets of the hub: one port for WebSocket and page, in-order handling of every connection, timers, the end.

All decisions are `rooms`', `auth`'s and `limits`'. One connection's frames are handled one after the other, and what
a frame causes is written to every receiver before the next is read; nothing here waits for a receiver: what it has
not taken yet is in its socket's buffer, bounded by `limits.queue_bytes`, beyond which it is closed with 1008.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import count

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from edged import __version__
from edged.hub.access import Identity
from edged.hub.auth import EXPIRY_MARGIN_S, Authenticator, AuthError
from edged.hub.connection import MAX_PIECES, HubConnection, PiecesError, connection_class, receive
from edged.hub.limits import AttemptLimit, Budget
from edged.hub.pages import Pages
from edged.hub.restarts import ClientsNote, note_path
from edged.hub.rooms import Action, Close, ConnectionId, Deliver, Rooms
from edged.hub.settings import HubSettings, split_listen
from metered_realtime.wire import (
    Error,
    GoingAway,
    Publish,
    Send,
    Welcome,
    WireError,
    WsCloseCode,
    decode_client_frame,
    encode,
)

_log = logging.getLogger(__name__)

WS_PATH = "/v1"
ENVELOPE_BYTES = 8192
OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 3.0
PING_INTERVAL_S = 30.0
PING_TIMEOUT_S = 10.0
RETRY_AFTER_MS = 1000
REFUSALS_LOGGED_EVERY_S = 30.0
_DAY_S = 86_400
SPARE_CONNECTIONS = 256
# After these the client does not come back by itself, so nobody waits for it (protocol section 8).
_TERMINAL_CODES = frozenset(
    {
        WsCloseCode.INVALID_TOKEN,
        WsCloseCode.CHANNEL_NOT_AUTHORIZED,
        WsCloseCode.ACCOUNT_SUSPENDED,
        WsCloseCode.ADMIN_DISCONNECT,
    }
)
_LEFT_ON_PURPOSE = frozenset({1000, 1001, 1005})


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    accepted: int = 0
    refused: int = 0
    frames_in: int = 0
    frames_out: int = 0
    binary_dropped: int = 0
    malformed: int = 0
    closed_slow: int = 0
    closed_over_rate: int = 0


@dataclass(slots=True, eq=False)
class _Session:
    """A welcomed connection."""

    id: ConnectionId
    socket: ServerConnection
    budget: Budget | None
    expiry: asyncio.TimerHandle | None = None


class HubServer:
    """A hub, run once. `counters` may be read at any time."""

    def __init__(self, settings: HubSettings, pages: Pages, *, tls: ssl.SSLContext | None = None) -> None:
        self.counters = Counters()
        self._settings = settings
        self._limits = settings.limits
        self._pages = pages
        self._tls = tls
        self._authenticator = Authenticator(settings, new_peer_id=lambda: str(uuid.uuid4()))
        self._attempts = AttemptLimit(settings.limits.attempts_per_minute)
        self._sockets: set[HubConnection] = set()
        self._sessions: dict[ConnectionId, _Session] = {}
        self._ids = count(1)
        self._pending: deque[Action] = deque()
        self._doing = False
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._refusals_logged_s = float("-inf")
        self._stopping = False
        host, port = split_listen(settings.listen)
        # `localhost` may be two addresses, and a picked port would differ between them.
        self._host, self._port = ("127.0.0.1" if host == "localhost" else host), port
        self._note = ClientsNote(note_path(settings.state_dir, self._host, port))

    async def run(self, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Serve until `stop`; `ready` gets the port. Raises OSError where the address cannot be listened at."""
        self._loop = asyncio.get_running_loop()
        warm_up_s = self._settings.warm_up_s if self._note.exists() else 0.0
        self._rooms = Rooms(
            hold_s=self._settings.hold_s,
            warm_up_until_s=self._loop.time() + warm_up_s,
            max_channels=self._limits.channels,
        )
        per_day = self._limits.messages_per_day
        self._quota = Budget(per_day / _DAY_S, per_day, self._loop.time()) if per_day else None
        async with serve(
            self._serve_connection,
            self._host or None,
            self._port,
            ssl=self._tls,
            process_request=self._answer_http,
            create_connection=connection_class(
                self._sockets,
                max_sockets=self._limits.connections + SPARE_CONNECTIONS,
                max_waiting_bytes=self._limits.queue_bytes,
            ),
            compression=None,
            max_size=self._limits.max_message_bytes + ENVELOPE_BYTES,
            max_queue=8,
            # Above our own bound, so that nothing in the library ever waits for a slow client.
            write_limit=2 * self._limits.queue_bytes,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            server_header="edged",
            logger=_library_logger(),
        ) as server:
            # Not before: the note may be that of a running hub, which has the address.
            self._note.keep(connected=bool(self._sessions))
            ready(next(iter(server.sockets)).getsockname()[1])
            await stop.wait()
            self._announce_end()
        if self._goodbyes:
            await asyncio.wait(self._goodbyes)
        if self._timer is not None:
            self._timer.cancel()

    # Connections ----------------------------------------------------------------------------------

    def _answer_http(self, _socket: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == WS_PATH:
            return None
        health = {
            "status": "stopping" if self._stopping else "ok",
            "version": __version__,
            "connections": self._rooms.connection_count,
            "channels": self._rooms.channel_count,
            "browser_sdk": self._pages.has_browser_sdk,
            **asdict(self.counters),
        }
        return self._pages.answer(path, request.headers.get("Accept-Encoding", ""), health)

    async def _serve_connection(self, socket: ServerConnection) -> None:
        assert isinstance(socket, HubConnection)
        socket.close_timeout = CLOSE_TIMEOUT_S
        try:
            identity = self._admit(socket)
        except AuthError as refusal:
            self._count_refusal(socket, refusal)
            await socket.close(refusal.code, refusal.reason)
            return
        session = self._welcome(socket, identity)
        hold = True
        try:
            while True:
                message = await receive(socket)
                if session.id in self._sessions:
                    self._handle(session, message)
        except ConnectionClosed as closed:
            left_on_purpose = closed.rcvd is not None and closed.rcvd.code in _LEFT_ON_PURPOSE
            hold = not (left_on_purpose and closed.rcvd_then_sent)
        except PiecesError:
            self._forget(session, hold=hold)
            await _say_goodbye(socket, WsCloseCode.POLICY_VIOLATION, f"a message in more than {MAX_PIECES} pieces")
        finally:
            self._forget(session, hold=hold)

    def _admit(self, socket: HubConnection) -> Identity:
        if not self._attempts.allows(socket.address, self._loop.time()):
            raise AuthError(WsCloseCode.OVER_CONCURRENT_LIMIT, "too many new connections from this address")
        if len(self._sessions) >= self._limits.connections:
            raise AuthError(WsCloseCode.OVER_CONCURRENT_LIMIT, "the hub has as many connections as it may")
        request = socket.request
        assert request is not None
        return self._authenticator.identify(request.path.partition("?")[2], time.time())

    def _count_refusal(self, socket: HubConnection, refusal: AuthError) -> None:
        self.counters.refused += 1
        now_s = self._loop.time()
        quiet = now_s < self._refusals_logged_s + REFUSALS_LOGGED_EVERY_S
        if not quiet:
            self._refusals_logged_s = now_s
        level = logging.DEBUG if quiet else logging.WARNING
        sentence = "refused a connection from %s: %s (%d refused since the start)"
        _log.log(level, sentence, socket.address, refusal.reason, self.counters.refused)

    def _welcome(self, socket: ServerConnection, identity: Identity) -> _Session:
        now_s = self._loop.time()
        limits = self._limits
        budget = Budget(limits.messages_per_s, limits.message_burst, now_s) if limits.messages_per_s else None
        session = _Session(next(self._ids), socket, budget)
        self._sessions[session.id] = session
        self.counters.accepted += 1
        if len(self._sessions) == 1:
            self._note.keep(connected=True)
        expires_at_s = identity.expires_at_s
        if expires_at_s is not None:
            # A timer of the loop has its limits; a client closed after thirty days just brings its token again.
            delay_s = min(expires_at_s - EXPIRY_MARGIN_S - time.time(), 30 * 86400.0)
            session.expiry = self._loop.call_later(delay_s, self._expire, session)
        welcome = Welcome(
            peer_id=identity.peer_id,
            expires_at=None if expires_at_s is None else int(expires_at_s),
            server_time=int(time.time() * 1000),
            max_message_size=limits.max_message_bytes,
            metadata=identity.welcome_metadata,
        )
        joined = self._rooms.connect(session.id, identity, now_s)
        self._do([Deliver((session.id,), welcome), *joined])
        return session

    def _handle(self, session: _Session, message: str | None) -> None:
        """Take one message; None is a binary one."""
        now_s = self._loop.time()
        self.counters.frames_in += 1
        if session.budget is not None and not session.budget.spend(now_s):
            self.counters.closed_over_rate += 1
            self._close(session, WsCloseCode.OVER_MESSAGE_RATE, "too many messages; send fewer, or several in one")
            return
        if message is None:
            self.counters.binary_dropped += 1
            return
        try:
            frame = decode_client_frame(message)
        except WireError as fault:
            self.counters.malformed += 1
            self._do([Deliver((session.id,), Error(fault.code, fault.request_id, str(fault)))])
            return
        if self._quota is not None and isinstance(frame, Publish | Send) and not self._quota.spend(now_s):
            refusal = Error("over_message_quota", frame.request_id, "the hub's messages_per_day are used up")
            self._do([Deliver((session.id,), refusal)])
            return
        self._do(self._rooms.handle(session.id, frame, now_s))

    def _forget(self, session: _Session, *, hold: bool) -> None:
        """The connection is over, or about to be; a second call does nothing."""
        if self._sessions.pop(session.id, None) is None:
            return
        if session.expiry is not None:
            session.expiry.cancel()
        if not self._sessions and not self._stopping:
            self._note.keep(connected=False)
        self._do(self._rooms.disconnect(session.id, hold=hold, now_s=self._loop.time()))

    def _expire(self, session: _Session) -> None:
        self._close(session, WsCloseCode.TOKEN_EXPIRED, "the token has expired")

    # Doing ----------------------------------------------------------------------------------------

    def _do(self, actions: Iterable[Action]) -> None:
        """Write what the rooms decided, in order, without waiting for anybody.

        Closing a slow receiver causes further actions; they come after those already decided.
        """
        self._pending.extend(actions)
        if self._doing:
            return
        self._doing = True
        try:
            while self._pending:
                self._perform(self._pending.popleft())
        finally:
            self._doing = False
        self._set_timer()

    def _perform(self, action: Action) -> None:
        if isinstance(action, Close):
            session = self._sessions.get(action.connection)
            if session is not None:
                self._close(session, action.code, action.reason)
            return
        sessions = [self._sessions[connection] for connection in action.to if connection in self._sessions]
        # The text is made once for all receivers.
        broadcast([session.socket for session in sessions], encode(action.frame))
        self.counters.frames_out += len(sessions)
        for session in sessions:
            waiting_bytes = session.socket.transport.get_write_buffer_size()
            if waiting_bytes > self._limits.queue_bytes:
                self.counters.closed_slow += 1
                _log.info("closing connection %d, which reads too slowly: %d bytes wait", session.id, waiting_bytes)
                self._close(session, WsCloseCode.POLICY_VIOLATION, "reads too slowly")

    def _close(self, session: _Session, code: WsCloseCode, reason: str) -> None:
        if session.id not in self._sessions:
            return
        goodbye = asyncio.create_task(_say_goodbye(session.socket, code, reason), name=f"close {session.id}")
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
        self._forget(session, hold=code not in _TERMINAL_CODES)

    def _set_timer(self) -> None:
        due_s = self._rooms.next_timer_s
        if self._timer is not None:
            if self._timer.when() == due_s:
                return
            self._timer.cancel()
        self._timer = None if due_s is None else self._loop.call_at(due_s, self._tick, due_s)

    def _tick(self, due_s: float) -> None:
        self._timer = None
        # A loop may call a fraction of a millisecond early.
        self._do(self._rooms.tick(max(due_s, self._loop.time())))

    def _announce_end(self) -> None:
        """Tell everybody; the library closes the connections with 1001 next, and waits for those that never asked."""
        self._stopping = True
        for socket in tuple(self._sockets):
            if socket.state is State.CONNECTING:
                socket.transport.abort()
        self._do([Deliver(tuple(self._sessions), GoingAway(RETRY_AFTER_MS))])


async def _say_goodbye(socket: ServerConnection, code: WsCloseCode, reason: str) -> None:
    """Close with a code; a client that does not even read that is cut off."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code, reason)
    except TimeoutError:
        socket.transport.abort()


def _library_logger() -> logging.Logger:
    """The library would log requests, hence keys, and a traceback for every port scan; only our own faults pass."""
    logger = logging.getLogger(f"{__name__}.websockets")
    logger.setLevel(logging.ERROR)
    logger.filters = [lambda record: record.getMessage() == "connection handler failed"]
    return logger
