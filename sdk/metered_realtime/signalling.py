"""`SignallingClient`: channels and messages over one WebSocket that mends itself. The decisions are in `session`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from ssl import SSLContext
from typing import Any, Self

from metered_realtime import errors, wire
from metered_realtime.address import check_origin
from metered_realtime.credential import url_finder
from metered_realtime.emitter import Emitter
from metered_realtime.lines import Lines
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
from metered_realtime.renewing_session import RenewingSession
from metered_realtime.session_actions import (
    Abandon,
    Action,
    Adopt,
    Dial,
    End,
    HangUp,
    Log,
    Notify,
    Ready,
    Settle,
    Transmit,
)


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
        self._session = RenewingSession(
            reconnect=_reconnect_options(options.reconnect),
            inactivity_timeout_s=options.inactivity_timeout,
            auto_resubscribe=options.auto_resubscribe,
            new_request_id=_new_request_id,
            has_tokens=options.token_provider is not None,
        )
        self._lines = Lines(
            self._session,
            url_finder(self._origin, options.api_key, options.token_provider, options.token_provider_timeout),
            self._carry_out,
            self._log_error,
            ssl=options.ssl,
            dead_after_s=options.inactivity_timeout,
            connect=_connect,
            log=self._log,
        )
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._ready: asyncio.Future[None] | None = None
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
        self._drop_when_idle = False  # a handler that connects again keeps its fellows
        self._lines.start()
        ready = self._ready = asyncio.get_running_loop().create_future()
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
        life = self._lines.life
        try:
            await self._lines.stop()
        finally:
            if life is self._lines.life:  # else somebody has connected again meanwhile
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

    async def publish(self, channel: str, data: Any, *, timeout: float | None = None) -> None:
        """Send any JSON value to every other subscriber of `channel`; returns at the service's acknowledgement.

        `data` may be `JsonText`, which is sent as it is. `timeout` is how long the acknowledgement may take,
        15 s unless given; a given one also holds off the inactivity watchdog: a large message may be under way.
        Raises as `subscribe` does, OversizedPayloadError, and ValueError or TypeError where `data` is not JSON.
        """
        wire.check_channel(channel)
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout must be greater than 0, not {timeout}")
        await self._request(wire.Publish(channel, data, _new_request_id()), timeout)

    async def send(self, to_peer_id: str, data: Any) -> None:
        """Send any JSON value, or `JsonText`, to one peer; returns at the acknowledgement. Raises as `publish` does."""
        wire.check_peer_id(to_peer_id)
        await self._request(wire.Send(to_peer_id, data, _new_request_id()))

    async def _request(
        self, frame: wire.Subscribe | wire.Unsubscribe | wire.Publish | wire.Send, timeout_s: float | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        request_id, text = self._session.request(frame, loop.time(), timeout_s)
        answered = self._waiting[request_id] = loop.create_future()
        self._arm_timer()
        try:
            if text is not None:
                self._lines.send(text)
            await answered
        finally:
            self._waiting.pop(request_id, None)
            self._session.abandon(request_id)

    # Shell of the session ------------------------------------------------------------------------

    def _transmit_if_room(self, text: str) -> None:
        try:
            self._lines.send(text)
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
                    self._lines.dial(action.line)
                case HangUp():
                    self._lines.hang_up(action)
                case Adopt():
                    self._lines.adopt()
                case Abandon():
                    self._lines.abandon()
                case Log():
                    self._log.warning(action.message, action.context)
                case End():
                    self._end(forget_listeners=action.forget_listeners)
        self._arm_timer()

    def _end(self, *, forget_listeners: bool) -> None:
        self._lines.end()
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


def _new_request_id() -> str:
    return str(uuid.uuid4())


def _reconnect_options(given: ReconnectOptions | bool) -> ReconnectOptions | None:
    if isinstance(given, ReconnectOptions):
        return given
    return ReconnectOptions() if given else None
