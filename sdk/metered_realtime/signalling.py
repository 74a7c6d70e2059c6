"""`SignallingClient`: channels and messages over one WebSocket that mends itself. The decisions are in `session`."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ssl import SSLContext
from typing import Any, Self

from metered_realtime import errors, wire
from metered_realtime.address import check_origin, connect_url
from metered_realtime.emitter import Emitter
from metered_realtime.link import CLOSE_GRACE_S, Link
from metered_realtime.logger import Logger, NoopLogger
from metered_realtime.options import (
    DEFAULT_URL,
    ReconnectOptions,
    SignallingClientOptions,
    SignallingClientState,
    SubscribeOptions,
    TokenProviderFn,
    options_of,
)
from metered_realtime.session import Session
from metered_realtime.session_actions import Action, Dial, End, HangUp, Log, Notify, Ready, Settle, Transmit

# The closing handshake has its own limit; this one is for a token provider that swallows its cancellation.
STOP_LIMIT_S = 2 * CLOSE_GRACE_S


class SignallingClient(Emitter):
    """Publish, subscribe and send over the signalling service.

    Emits `Connected`, `Disconnected`, `StateChange`, `Message`, `Direct`, `Presence`, `ServerError`, `GoingAway`,
    `TokenProviderError`. Takes `SignallingClientOptions`, or its fields as keywords. Raises ValueError or TypeError for
    options that cannot work.
    """

    def __init__(
        self,
        options: SignallingClientOptions | None = None,
        *,
        api_key: str | None = None,
        token_provider: TokenProviderFn | None = None,
        url: str | None = None,
        token_provider_timeout: float = 10.0,
        logger: Logger | None = None,
        reconnect: ReconnectOptions | bool = True,
        inactivity_timeout: float = 60.0,
        auto_resubscribe: bool = True,
        ssl: SSLContext | None = None,
        allow_insecure: bool = False,
        _connect: Callable[..., Any] | None = None,
    ) -> None:
        options = options_of(locals())
        if bool(options.api_key) == bool(options.token_provider):
            raise ValueError("exactly one of api_key and token_provider must be given")
        if not isinstance(options.api_key or "", str):
            raise TypeError(f"api_key must be a string, not {type(options.api_key).__name__}")
        if options.token_provider is not None and not callable(options.token_provider):
            raise TypeError("token_provider must be a function that returns a token")
        self._log: Logger = options.logger if options.logger is not None else NoopLogger()
        super().__init__(logger=options.logger)
        self._origin = check_origin(options.url or DEFAULT_URL, allow_insecure=options.allow_insecure)
        self._find_url = _url_finder(
            self._origin, options.api_key, options.token_provider, options.token_provider_timeout
        )
        self._ssl = options.ssl
        self._connect: dict[str, Any] = {} if _connect is None else {"connect": _connect}
        self._session = Session(
            reconnect=_reconnect_options(options.reconnect),
            inactivity_timeout_s=options.inactivity_timeout,
            auto_resubscribe=options.auto_resubscribe,
            new_request_id=_new_request_id,
        )
        self._link: Link | None = None
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._ready: asyncio.Future[None] | None = None
        self._dial = asyncio.Event()
        self._ended = True
        self._supervisor: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"SignallingClient({self._origin}, {self.state})"

    @property
    def state(self) -> SignallingClientState:
        """`idle`, `connecting`, `connected`, `reconnecting` or `closed`."""
        return self._session.state

    @property
    def max_message_size(self) -> int:
        """Bytes of JSON that the service takes as `data` of one message."""
        return self._session.max_message_bytes

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # Life --------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect and wait for the welcome; afterwards the client reconnects by itself.

        Raises SignallingError unless idle or closed, SignallingConnectError where the service ends the first
        connection, or what the token provider raised. The first attempt is made once, unless
        `ReconnectOptions.retry_first_connect` is set.
        """
        actions = self._session.start()
        loop = asyncio.get_running_loop()
        self._ended = False
        self._drop_when_idle = False  # a handler that connects again keeps its fellows
        self._dial = asyncio.Event()
        ready = self._ready = loop.create_future()
        self._supervisor = loop.create_task(self._supervise(self._supervisor), name="signalling client")
        self._carry_out(actions)
        try:
            await ready
        except asyncio.CancelledError:
            await self._stop(1000, "connect was cancelled", forget_listeners=False)
            raise

    async def close(self, code: int = 1000, reason: str = "client requested close") -> None:
        """Disconnect for good: requests that wait fail, event streams end, handlers are dropped.

        Takes about 1 s where the service no longer answers, and 1 s more where handlers still run; these are then
        cancelled. `connect` is possible again afterwards.
        """
        await self._stop(code, reason, forget_listeners=True)
        await self._end_handlers()

    async def _stop(self, code: int, reason: str, *, forget_listeners: bool) -> None:
        self._carry_out(self._session.stop(code, reason))
        self._end(forget_listeners=False)
        supervisor = self._supervisor
        try:
            if supervisor is not None and supervisor is not asyncio.current_task() and not supervisor.done():
                if self._link is None:
                    supervisor.cancel()  # it dials, or waits for a token: there is nothing to say goodbye to
                await asyncio.wait([supervisor], timeout=STOP_LIMIT_S)
        finally:
            if supervisor is self._supervisor:  # else somebody has connected again meanwhile
                if supervisor is not None and supervisor is not asyncio.current_task():
                    supervisor.cancel()
                self._carry_out(self._session.stopped(forget_listeners=forget_listeners))

    # Requests ----------------------------------------------------------------------------------

    async def subscribe(self, channel: str, opts: SubscribeOptions | None = None) -> None:
        """Receive what is published to `channel`, and its presence; renewed after every reconnect.

        Raises ServerRequestError, AckTimeoutError, NotConnectedError, DisconnectedError; ValueError or TypeError for a
        bad name. A subscription that was refused or never sent is not renewed.
        """
        wire.check_channel(channel)
        options = SubscribeOptions() if opts is None else replace(opts)  # a copy: told from a later call by identity
        subscriptions = self._session.subscriptions
        before = subscriptions.get(channel)
        subscriptions[channel] = options
        try:
            await self._request(wire.Subscribe(channel, _new_request_id(), options.include_sender_metadata))
        except (errors.AckTimeoutError, errors.DisconnectedError):
            raise  # the service may have accepted it
        except errors.SignallingError:
            if subscriptions.get(channel) is options:
                subscriptions.pop(channel)
                if before is not None:
                    subscriptions[channel] = before
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Stop receiving `channel`. Raises as `subscribe` does."""
        wire.check_channel(channel)
        self._session.subscriptions.pop(channel, None)
        await self._request(wire.Unsubscribe(channel, _new_request_id()))

    async def publish(self, channel: str, data: Any) -> None:
        """Send any JSON value to every other subscriber of `channel`; returns at the service's acknowledgement.

        Raises as `subscribe` does, OversizedPayloadError, and ValueError or TypeError where `data` is not JSON.
        """
        wire.check_channel(channel)
        await self._request(wire.Publish(channel, data, _new_request_id()))

    async def send(self, to_peer_id: str, data: Any) -> None:
        """Send any JSON value to one peer; returns at the service's acknowledgement. Raises as `publish` does."""
        wire.check_peer_id(to_peer_id)
        await self._request(wire.Send(to_peer_id, data, _new_request_id()))

    async def _request(self, frame: wire.Subscribe | wire.Unsubscribe | wire.Publish | wire.Send) -> None:
        loop = asyncio.get_running_loop()
        request_id, text = self._session.request(frame, loop.time())
        answered = self._waiting[request_id] = loop.create_future()
        self._arm_timer()
        try:
            self._transmit(text)
            await answered
        finally:
            self._waiting.pop(request_id, None)
            self._session.abandon(request_id)

    # Shell of the session ------------------------------------------------------------------------

    async def _supervise(self, previous: asyncio.Task[None] | None) -> None:
        """Open one connection after the other, whenever the session asks for one."""
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        while not self._ended:
            await self._dial.wait()
            self._dial.clear()
            if not self._ended:
                await self._one_connection()

    async def _one_connection(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            url = await self._find_url()
        except Exception as error:  # noqa: BLE001 - the application's token provider; the session reports it
            self._carry_out(self._session.token_failed(error, loop.time()))
            return
        if self._ended:
            return  # the token provider itself closed the client
        self._session.token_obtained()
        try:
            code, reason = await self._live_one_link(url)
        except Exception as error:  # noqa: BLE001 - a fault in a logger or a library costs this connection, not the client
            self._log_error("a connection", error)
            code, reason = 1006, type(error).__name__
        self._carry_out(self._session.socket_closed(code, reason, loop.time()))

    async def _live_one_link(self, url: str) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        link = Link(self._log)
        refused = await link.open(url, ssl=self._ssl, **self._connect)
        if refused is not None:
            return refused
        self._link = link
        self._carry_out(self._session.socket_opened(loop.time()))
        try:
            return await link.live(lambda text: self._carry_out(self._session.receive_text(text, loop.time())))
        finally:
            self._link = None

    def _transmit(self, text: str) -> None:
        if self._link is not None:
            self._link.send(text)

    def _transmit_if_room(self, text: str) -> None:
        try:
            self._transmit(text)
        except errors.SignallingError as error:
            self._log.warning("a frame of the client itself was not sent", {"error": str(error)})

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Notify():
                    self.emit(action.event)
                case Settle():
                    _finish(self._waiting.get(action.request_id), action.error)
                case Transmit():
                    self._transmit_if_room(action.text)
                case Ready():
                    _finish(self._ready, action.error)
                case Dial():
                    self._dial.set()
                case HangUp():
                    if self._link is not None:
                        self._link.hang_up(action.code, action.reason)
                case Log():
                    self._log.warning(action.message, action.context)
                case End():
                    self._end(forget_listeners=action.forget_listeners)
        self._arm_timer()

    def _end(self, *, forget_listeners: bool) -> None:
        self._ended = True
        self._dial.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if forget_listeners:
            self._retire_listeners()

    def _arm_timer(self) -> None:
        """Have `_on_timer` called when the session wants it; an earlier call is harmless, so few are re-armed."""
        due = self._session.next_timer()
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._carry_out(self._session.handle_timer(asyncio.get_running_loop().time()))


def _finish(future: asyncio.Future[None] | None, error: Exception | None) -> None:
    if future is None or future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _new_request_id() -> str:
    return str(uuid.uuid4())


def _reconnect_options(given: ReconnectOptions | bool) -> ReconnectOptions | None:
    if isinstance(given, ReconnectOptions):
        return given
    return ReconnectOptions() if given else None


def _url_finder(
    origin: str, api_key: str | None, provider: TokenProviderFn | None, timeout_s: float
) -> Callable[[], Awaitable[str]]:
    """Return the one function that knows the credential; a closure, so that no `repr` or `vars` shows it."""

    async def find() -> str:
        if provider is None:
            return connect_url(origin, api_key=api_key)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                answer = provider()
                token = await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"the token provider did not answer within {timeout_s:g} s") from None
            raise
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            raise RuntimeError("the token provider was cancelled") from None
        if not isinstance(token, str) or not token:
            raise ValueError("the token provider must return a non-empty string")
        return connect_url(origin, token=token)

    return find
