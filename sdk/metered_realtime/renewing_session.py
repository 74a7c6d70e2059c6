"""A session that renews its token before it expires, by a second connection beside the first.

What `renewal` decides is carried out here, for the three lines there can be: `main`, `beside` and `old`. What becomes
of a connection when another one comes with the same peer id is the service's affair (protocol sections 12, 15, 19),
so each course is taken as it comes. A service that lets both live shows the others nothing. One that ends the first at
once shows them a return; our requests wait for the moment it takes, so none is lost. And one that takes the end of the
first for the end of both is put right by subscribing once more.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable

from metered_realtime import errors, events, wire
from metered_realtime.options import ReconnectOptions
from metered_realtime.renewal import HOLD_S, Renewal
from metered_realtime.scrub import scrubbed_error
from metered_realtime.session import TERMINAL_CLOSE_CODES, WELCOME_TIMEOUT_S, Session
from metered_realtime.session_actions import Abandon, Action, Adopt, Dial, HangUp, Line, Log, Notify

# The old connection is closed when the new one has every subscription, or after this.
MOVE_LIMIT_S = 2.0
CONFIRM_AFTER_S = 1.0
_NEVER = float("inf")


class RenewingSession(Session):
    """State of one `SignallingClient` whose token may expire. `line` tells of which connection something is told."""

    def __init__(
        self,
        *,
        reconnect: ReconnectOptions | None,
        inactivity_timeout_s: float,
        auto_resubscribe: bool,
        new_request_id: Callable[[], str],
        has_tokens: bool,
        random: Callable[[], float] = _random.random,
    ) -> None:
        super().__init__(
            reconnect=reconnect,
            inactivity_timeout_s=inactivity_timeout_s,
            auto_resubscribe=auto_resubscribe,
            new_request_id=new_request_id,
            random=random,
        )
        # Without reconnects the application wants one connection and its end.
        self._renews = has_tokens and reconnect is not None
        self._renewal = Renewal(random)
        self._lost: tuple[int, str] | None = None
        self._excused_until_s = 0.0
        self._old_open = False
        self._old_until_s = self._confirm_at_s = _NEVER

    # Life ------------------------------------------------------------------------------------------

    def start(self) -> list[Action]:
        """Begin to connect: as of `Session`."""
        actions = super().start()
        self._give_up_renewal()
        self._lost, self._excused_until_s = None, 0.0
        self._old_open = False
        return actions

    def stop(self, code: int, reason: str) -> list[Action]:
        """The application closes the client: as of `Session`, on every line."""
        actions = self._give_up_renewal()
        self._lost = None
        old = [HangUp(code, reason, "old")] if self._old_open else []
        return [*super().stop(code, reason), *actions, *old]

    def _give_up_renewal(self) -> list[Action]:
        is_under_way = self._renewal.phase != "idle"
        self._renewal.cancel()
        self._old_until_s = self._confirm_at_s = _NEVER
        return [Abandon()] if is_under_way else []

    def token_failed(self, error: Exception, now_s: float, line: Line = "main") -> list[Action]:
        """The token provider raised or took too long; counts as an attempt, on the main line."""
        if line == "main":
            return super().token_failed(error, now_s)
        reports = self._report_token_failure(scrubbed_error(error))
        return [*reports, *self._renewal_failed("the token provider failed", now_s)]

    def token_for_renewal(self, now_s: float, *, is_new: bool) -> bool:
        """The token provider answered; returns whether to dial with it. A token in use already gains nothing."""
        self.token_obtained()
        if self._renewal.phase != "asking":
            return False
        if is_new:
            self._renewal.dial(now_s)
        else:
            self._renewal.failed(now_s)
        return is_new

    def request(self, frame: wire.ClientFrame, now_s: float, timeout_s: float | None = None) -> tuple[str, str | None]:
        """As of `Session`; the text is None where it is sent later, by an action."""
        request_id, text = super().request(frame, now_s, timeout_s)
        is_held = self._renewal.hold_until_s is not None and text is not None and self._requests.hold(request_id, text)
        if not is_held and not self._socket_open:
            self._requests.abandon(request_id)
            raise errors.NotConnectedError("the connection is being replaced, and too much already waits for that")
        return request_id, None if is_held else text

    # Sockets ---------------------------------------------------------------------------------------

    def socket_opened(self, now_s: float, line: Line = "main") -> list[Action]:
        """A WebSocket is open; its welcome must follow."""
        if line == "main":
            return super().socket_opened(now_s)
        if self._renewal.phase != "dialling":
            return [Abandon()]
        self._renewal.welcome_by_s = now_s + WELCOME_TIMEOUT_S
        return []

    def socket_closed(self, code: int, reason: str, now_s: float, line: Line = "main") -> list[Action]:
        """A WebSocket ended, or never opened; `code` may be an HTTP status."""
        if line == "old":
            return self._old_closed(code, now_s)
        if line == "beside":
            return self._renewal_failed(f"{code} {reason}".strip(), now_s, code=code, reason=reason)
        if self._renewal.phase == "dialling" and self._socket_open and not self._stopping:
            # Perhaps for the sake of the connection that is coming: nobody is told until that is known.
            self._drop_connection()
            self._lost = code, reason
            self._renewal.hold_until_s = now_s + HOLD_S
            return self._requests.fail_sent(code)
        if code in TERMINAL_CLOSE_CODES and now_s < self._excused_until_s:
            code, reason = 1006, "replaced by a connection that was lost"
        return self._main_closed(code, reason, now_s)

    def _main_closed(self, code: int, reason: str, now_s: float) -> list[Action]:
        actions = self._give_up_renewal()
        if self._old_open:
            actions.append(HangUp(1000, "replaced", "old"))
        return [*actions, *super().socket_closed(code, reason, now_s)]

    def receive_text(self, text: str, now_s: float, line: Line = "main") -> list[Action]:
        """A text message arrived."""
        if line == "main":
            actions = super().receive_text(text, now_s)
            if self._old_until_s != _NEVER and not self._requests.is_moving():
                actions += self._hang_up_old(now_s)
            return actions
        try:
            frame = wire.decode_server_frame(text)
        except wire.WireError as error:
            return [Log("a frame of the service was ignored", {"reason": str(error)})]
        if line == "old":
            return self._on_old_frame(frame, now_s)
        if isinstance(frame, wire.Welcome) and self._renewal.phase == "dialling":
            return self._adopt(frame, now_s)
        return []

    def _adopt(self, frame: wire.Welcome, now_s: float) -> list[Action]:
        """The connection beside is as good as the main one was; it takes over."""
        self._old_open = self._socket_open
        self._requests.moved()
        self._socket_open = True
        self._lost = None
        self._last_inbound = self._last_ping = now_s
        actions = [Adopt(), *self._welcomed(frame, now_s), *self._requests.release()]
        if self._old_open:
            self._old_until_s = now_s + MOVE_LIMIT_S
            if not self._requests.is_moving():
                actions += self._hang_up_old(now_s)
        return actions

    def _welcomed(self, frame: wire.Welcome, now_s: float) -> list[Action]:
        self._excused_until_s = 0.0
        if self._renews:
            self._renewal.plan(frame.expires_at, frame.server_time, now_s)
        return super()._welcomed(frame, now_s)

    # The old line ----------------------------------------------------------------------------------

    def _on_old_frame(self, frame: wire.ServerFrame, now_s: float) -> list[Action]:
        """What was asked on the old line is answered there; a channel is heard there until the new one has it."""
        match frame:
            case wire.Ack():
                return self._requests.settle(frame.request_id, None, now_s)
            case wire.Error() if frame.request_id is not None and frame.request_id in self._requests:
                return self._on_error(frame, now_s)
            case wire.Message() if self._requests.is_moving(frame.channel):
                return [Notify(events.Message(frame.channel, frame.from_peer, frame.data, frame.from_metadata))]
        return []

    def _hang_up_old(self, now_s: float) -> list[Action]:
        self._old_until_s = _NEVER
        self._confirm_at_s = now_s + CONFIRM_AFTER_S + MOVE_LIMIT_S
        return [HangUp(1000, "the token was renewed", "old")]

    def _old_closed(self, code: int, now_s: float) -> list[Action]:
        self._old_open = False
        self._old_until_s = _NEVER
        if self._confirm_at_s != _NEVER:  # closed by us; a service that closed it knows that we have another
            self._confirm_at_s = now_s + CONFIRM_AFTER_S
        return self._requests.fail_old(code)

    # Failure ---------------------------------------------------------------------------------------

    def _renewal_failed(self, why: str, now_s: float, *, code: int = 1006, reason: str = "") -> list[Action]:
        if self._renewal.phase == "idle":
            return []
        if self._renewal.phase == "dialling" and code not in TERMINAL_CLOSE_CODES:
            # The service may have welcomed it, out of our hearing, and be about to end the present one for its sake.
            self._excused_until_s = now_s + HOLD_S
        self._renewal.failed(now_s)
        if self._lost is not None:
            lost_code, lost_reason = self._lost
            self._lost = None
            if lost_code in TERMINAL_CLOSE_CODES:  # told to the connection that was being replaced
                lost_code, lost_reason = code, reason
            self._socket_open = True  # to the outside it was, until now
            return self._main_closed(lost_code, lost_reason, now_s)
        log = Log("the token could not be renewed ahead of time; trying again", {"reason": why})
        return [*([log] if self._renewal.failures == 1 else []), *self._requests.release()]

    # Time ------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """Return when `handle_timer` wants to be called next."""
        due = super().next_timer()
        if not self._renews:
            return due
        earliest = min(self._old_until_s, self._confirm_at_s, self._renewal.next_timer())
        if earliest == _NEVER:
            return due
        return earliest if due is None else min(due, earliest)

    def handle_timer(self, now_s: float) -> list[Action]:
        """Do what has become due."""
        actions = self._handle_renewal(now_s)
        if now_s >= self._old_until_s:
            actions += self._hang_up_old(now_s)
        if now_s >= self._confirm_at_s:
            self._confirm_at_s = _NEVER
            actions += self._requests.replay_all(now_s) if self._auto_resubscribe else []
        return [*actions, *super().handle_timer(now_s)]

    def _handle_renewal(self, now_s: float) -> list[Action]:
        renewal = self._renewal
        if renewal.is_due(now_s):
            renewal.ask()
            return [Dial("beside")]
        if renewal.welcome_by_s is not None and now_s >= renewal.welcome_by_s:
            return [Abandon(), *self._renewal_failed("no welcome", now_s)]
        if renewal.hold_until_s is not None and now_s >= renewal.hold_until_s:
            if self._lost is not None:
                return [Abandon(), *self._renewal_failed("it takes too long", now_s)]
            renewal.hold_until_s = None
            return self._requests.release()
        return []
