"""One client's side of the signalling protocol, without socket, clock or task.

The shell (`signalling`) feeds it what happened and the time, and carries out the actions it returns, in order. Times
are seconds of a monotonic clock. Protocol sections 4, 7, 8, 11.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable

from metered_realtime import errors, events, wire
from metered_realtime.backoff import jittered
from metered_realtime.ice_servers import parse_ice_servers
from metered_realtime.options import ReconnectOptions, SignallingClientState, SubscribeOptions
from metered_realtime.requests_in_flight import RequestsInFlight
from metered_realtime.scrub import scrubbed_error
from metered_realtime.session_actions import Action, Dial, End, HangUp, Log, Notify, Ready, Transmit

WELCOME_TIMEOUT_S = 10.0
MIN_HEARTBEAT_S = 1.0
OVER_LIMIT_FLOOR_S = 30.0
TOKEN_FAILURES_REPORTED_FROM = 3
# A service that goes away ends the connection by itself; where it does not, we do, this long after the time it named.
GOING_AWAY_PATIENCE_S = 60.0
_NEVER = float("inf")
TERMINAL_CLOSE_CODES = frozenset(
    {
        wire.WsCloseCode.INVALID_TOKEN,
        wire.WsCloseCode.CHANNEL_NOT_AUTHORIZED,
        wire.WsCloseCode.ACCOUNT_SUSPENDED,
        wire.WsCloseCode.ADMIN_DISCONNECT,
    }
)


class Session:
    """State of one `SignallingClient`. Every method returns the actions to carry out, in order."""

    def __init__(
        self,
        *,
        reconnect: ReconnectOptions | None,
        inactivity_timeout_s: float,
        auto_resubscribe: bool,
        new_request_id: Callable[[], str],
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.state: SignallingClientState = "idle"
        self.max_message_bytes = wire.DEFAULT_MAX_MESSAGE_BYTES
        self.subscriptions: dict[str, SubscribeOptions] = {}
        self._reconnect = reconnect
        watched = 0 < inactivity_timeout_s < float("inf")
        self._inactivity_s = inactivity_timeout_s if watched else None
        self._heartbeat_s = max(MIN_HEARTBEAT_S, inactivity_timeout_s / 3)
        self._auto_resubscribe = auto_resubscribe
        self._requests = RequestsInFlight(self.subscriptions, new_request_id)
        self._random = random
        self._stopping = False
        self._ever_connected = False
        self._socket_open = False
        self._attempts = 0
        self._token_failures = 0
        self._delay_floor_s = 0.0
        self._retry_after_s = 0.0
        self._last_close_code = 1006
        self._dial_at: float | None = None
        self._welcome_by: float | None = None
        self._leave_by: float | None = None
        self._last_inbound = 0.0
        self._last_ping = 0.0

    # Life --------------------------------------------------------------------------------------

    def start(self) -> list[Action]:
        """Begin to connect. Raises SignallingError unless idle or closed."""
        if self.state not in ("idle", "closed"):
            raise errors.SignallingError(f"connect() is not possible while the client is {self.state}")
        self.subscriptions.clear()
        self._stopping = self._ever_connected = False
        self._attempts = self._token_failures = 0
        self._delay_floor_s = self._retry_after_s = 0.0
        return [*self._enter("connecting"), Dial()]

    def stop(self, code: int, reason: str) -> list[Action]:
        """The application closes the client: fail what waits, hang up, never dial again."""
        self._stopping = True
        self._dial_at = None
        hang_up = [HangUp(code, reason)] if self._socket_open else []
        return [*self._requests.fail_all(code), *hang_up]

    def stopped(self, *, forget_listeners: bool = True) -> list[Action]:
        """The shell has let go of everything after `stop`."""
        never = errors.SignallingError("the client was closed before it was connected")
        self._drop_connection()
        return [Ready(never), *self._enter("closed"), End(forget_listeners)]

    def token_failed(self, error: Exception, now_s: float) -> list[Action]:
        """The token provider raised or took too long; counts as an attempt."""
        shown = scrubbed_error(error)
        actions = self._report_token_failure(shown)
        if self._tries_again(None):
            return [*actions, *self._plan_dial(now_s)]
        if self._ever_connected:
            actions.append(Notify(events.Disconnected(self._last_close_code, "token provider failed", False)))
        return [*actions, Ready(shown), *self._enter("closed"), End(self._ever_connected)]

    def _report_token_failure(self, shown: Exception) -> list[Action]:
        self._token_failures += 1
        if self._token_failures < TOKEN_FAILURES_REPORTED_FROM:
            return []
        return [Notify(events.TokenProviderError(self._token_failures, shown))]

    def token_obtained(self) -> None:
        """The token provider answered."""
        self._token_failures = 0

    # Socket ------------------------------------------------------------------------------------

    def socket_opened(self, now_s: float) -> list[Action]:
        """The WebSocket is open; the welcome must follow."""
        self._socket_open = True
        self._dial_at = None
        self._welcome_by = now_s + WELCOME_TIMEOUT_S
        self._last_inbound = self._last_ping = now_s
        return []

    def socket_closed(self, code: int, reason: str, now_s: float) -> list[Action]:
        """The WebSocket ended, or never opened; `code` may be an HTTP status."""
        was_open = self._socket_open
        actions = self._requests.fail_all(code)
        self._drop_connection()
        self._last_close_code = code
        if self._stopping:
            return actions
        if code == wire.WsCloseCode.OVER_CONCURRENT_LIMIT:
            self._delay_floor_s = max(self._delay_floor_s, OVER_LIMIT_FLOOR_S)
        again = self._tries_again(code)
        if was_open and self._ever_connected:
            actions.append(Notify(events.Disconnected(code, reason, again)))
        if again:
            return [*actions, *self._plan_dial(now_s)]
        failed = errors.SignallingConnectError(code, reason)
        return [*actions, Ready(failed), *self._enter("closed"), End(self._ever_connected)]

    def receive_text(self, text: str, now_s: float) -> list[Action]:
        """A text message arrived."""
        self._last_inbound = self._last_ping = now_s
        try:
            frame = wire.decode_server_frame(text)
        except wire.WireError as error:
            return [Log("a frame of the service was ignored", {"reason": str(error)})]
        match frame:
            case wire.Ack():
                return self._requests.settle(frame.request_id, None, now_s)
            case wire.Message():
                event = events.Message(frame.channel, frame.from_peer, frame.data, frame.from_metadata)
                return [Notify(event)]
            case wire.Direct():
                return [Notify(events.Direct(frame.from_peer, frame.data, frame.from_metadata))]
            case wire.Presence():
                return [Notify(events.Presence(frame.channel, frame.joined, frame.left))]
            case wire.Error():
                return self._on_error(frame, now_s)
            case wire.Welcome():
                return self._on_welcome(frame, now_s)
            case wire.GoingAway():
                self._retry_after_s = frame.retry_after_ms / 1000
                self._leave_by = now_s + self._retry_after_s + GOING_AWAY_PATIENCE_S
                return [Notify(events.GoingAway(frame.retry_after_ms))]
            case wire.Pong():
                return []

    def _on_welcome(self, frame: wire.Welcome, now_s: float) -> list[Action]:
        if self._welcome_by is None:
            return [Log("a second welcome was ignored")]
        return self._welcomed(frame, now_s)

    def _welcomed(self, frame: wire.Welcome, now_s: float) -> list[Action]:
        is_reconnect = self._ever_connected
        self._ever_connected = True
        self._welcome_by = self._leave_by = None
        self._attempts = 0
        self._delay_floor_s = self._retry_after_s = 0.0
        self.max_message_bytes = frame.max_message_size
        connected = events.Connected(
            peer_id=frame.peer_id,
            server_time=frame.server_time,
            expires_at=frame.expires_at,
            is_reconnect=is_reconnect,
            max_message_size=frame.max_message_size,
            ice_servers=parse_ice_servers(frame.metadata),
        )
        actions = [*self._enter("connected"), Notify(connected), Ready()]
        if self._auto_resubscribe:
            actions += self._requests.replay_all(now_s)
        return actions

    def _on_error(self, frame: wire.Error, now_s: float) -> list[Action]:
        if frame.request_id is not None and frame.request_id in self._requests:
            error = errors.ServerRequestError(frame.code, frame.message, frame.request_id)
            return self._requests.settle(frame.request_id, error, now_s)
        if frame.code == "unknown_type" and frame.request_id is None:
            return []  # an old service that does not know `ping`
        return [Notify(events.ServerError(frame.code, frame.message, frame.request_id))]

    # Requests ----------------------------------------------------------------------------------

    def request(self, frame: wire.ClientFrame, now_s: float, timeout_s: float | None = None) -> tuple[str, str | None]:
        """Register a request; return its id and the text to send. Raises NotConnectedError, OversizedPayloadError."""
        if self.state != "connected" or self._stopping:
            state = "closing" if self._stopping and self.state == "connected" else self.state
            raise errors.NotConnectedError(f"not connected to the signalling service (the client is {state})")
        text = wire.encode(frame)
        if isinstance(frame, wire.Publish | wire.Send) and len(text.encode()) > self.max_message_bytes:
            size = wire.json_size(frame.data)
            if size > self.max_message_bytes:
                raise errors.OversizedPayloadError(size, self.max_message_bytes)
        request_id = frame.request_id or ""
        self._requests.register(request_id, now_s, timeout_s)
        return request_id, text

    def abandon(self, request_id: str) -> None:
        """The caller no longer waits for this request."""
        self._requests.abandon(request_id)

    # Time --------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """Return when `handle_timer` wants to be called next. Called for every frame, so it makes no list."""
        if not self._socket_open:
            return self._dial_at
        due = self._requests.next_timer()
        if self._welcome_by is not None:
            due = min(due, self._welcome_by)
        if self._leave_by is not None:
            due = min(due, self._leave_by)
        if self._inactivity_s is not None:
            due = min(due, self._silent_until(self._inactivity_s))
            if self.state == "connected":
                due = min(due, self._last_ping + self._heartbeat_s)
        return None if due == _NEVER else due

    def handle_timer(self, now_s: float) -> list[Action]:
        """Do what has become due."""
        if self._dial_at is not None and now_s >= self._dial_at:
            self._dial_at = None
            return [Dial()]
        if not self._socket_open:
            return []
        if self._welcome_by is not None and now_s >= self._welcome_by:
            self._welcome_by = _NEVER
            return [HangUp(1000, "no welcome")]
        if self._leave_by is not None and now_s >= self._leave_by:
            self._leave_by, self._retry_after_s = None, 0.0
            return [HangUp(wire.WsCloseCode.CLIENT_INACTIVITY, "the service is going away")]
        return self._requests.handle_timer(now_s) + self._watch(now_s)

    def _watch(self, now_s: float) -> list[Action]:
        if self._inactivity_s is None:
            return []
        if now_s >= self._silent_until(self._inactivity_s):
            self._last_inbound = self._last_ping = _NEVER
            return [HangUp(wire.WsCloseCode.CLIENT_INACTIVITY, "inactivity")]
        if self.state == "connected" and now_s >= self._last_ping + self._heartbeat_s:
            self._last_ping = now_s
            return [Transmit(wire.encode(wire.Ping()))]
        return []

    def _silent_until(self, inactivity_s: float) -> float:
        return max(self._last_inbound + inactivity_s, self._requests.silence_allowed_until_s)

    def _tries_again(self, code: int | None) -> bool:
        if self._stopping or self._reconnect is None or code in TERMINAL_CLOSE_CODES:
            return False
        if not self._ever_connected and not self._reconnect.retry_first_connect:
            return False
        return self._attempts < self._reconnect.max_attempts

    def _plan_dial(self, now_s: float) -> list[Action]:
        options = self._reconnect
        if options is None:
            return []
        # The exponent is bounded because a multiplier of 2 overflows a float after a thousand attempts.
        growth = options.multiplier ** min(self._attempts, 64)
        base_s = max(min(options.initial_delay * growth, options.max_delay), self._delay_floor_s)
        delay_s = jittered(base_s, options.jitter_ratio, self._random)
        if delay_s < self._retry_after_s:  # not before the time the service named, nor all clients at that moment
            delay_s = jittered(self._retry_after_s, options.jitter_ratio, lambda: 0.5 + self._random() / 2)
        self._attempts += 1
        self._delay_floor_s = self._retry_after_s = 0.0
        self._dial_at = now_s + delay_s
        return self._enter("reconnecting") if self._ever_connected else []

    def _drop_connection(self) -> None:
        self._socket_open = False
        self._welcome_by = self._leave_by = None

    def _enter(self, state: SignallingClientState) -> list[Action]:
        if state == self.state:
            return []
        change = events.StateChange(self.state, state)
        self.state = state
        return [Notify(change)]
