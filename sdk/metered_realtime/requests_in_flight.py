"""Requests that wait for an answer, are renewed after a reconnect, or are held back for a new connection. Pure."""

from __future__ import annotations

from collections.abc import Callable

from metered_realtime import errors, wire
from metered_realtime.options import SubscribeOptions
from metered_realtime.session_actions import Action, Log, Settle, Transmit

ACK_TIMEOUT_S = 15.0
REPLAY_TRIES = 4
REPLAY_RETRY_S = 2.0
MAX_HELD_BYTES = 1024 * 1024


class RequestsInFlight:
    """Every request until it is settled, once. `subscriptions` are the application's, by channel."""

    def __init__(self, subscriptions: dict[str, SubscribeOptions], new_request_id: Callable[[], str]) -> None:
        self._subscriptions = subscriptions
        self._new_request_id = new_request_id
        # When each is given up, and after how long; never before an earlier one: answers come in the order of requests.
        self._pending: dict[str, tuple[float, float]] = {}
        self._patient: set[str] = set()
        self._replays: dict[str, tuple[str, int]] = {}
        self._retries: dict[str, tuple[float, int]] = {}
        self._held: dict[str, str] = {}
        self._held_bytes = 0
        self._on_old: set[str] = set()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._pending

    def __len__(self) -> int:
        return len(self._pending)

    # Requests of the application -----------------------------------------------------------------

    def register(self, request_id: str, now_s: float, timeout_s: float | None = None) -> None:
        """A request goes out. One with a time of its own holds off the watchdog that long: it may be under way."""
        wait_s = ACK_TIMEOUT_S if timeout_s is None else timeout_s
        if self._pending:
            wait_s = max(wait_s, next(reversed(self._pending.values()))[0] - now_s)
        self._pending[request_id] = now_s + wait_s, wait_s
        if timeout_s is not None:
            self._patient.add(request_id)

    def hold(self, request_id: str, text: str) -> bool:
        """Keep a registered request's text for later; False where too much is held already."""
        if self._held_bytes + len(text) > MAX_HELD_BYTES:
            return False
        self._held[request_id] = text
        self._held_bytes += len(text)
        return True

    def release(self) -> list[Action]:
        """Send what was held, in order."""
        texts = tuple(self._held.values())
        self._held.clear()
        self._held_bytes = 0
        return [Transmit(text) for text in texts]

    def abandon(self, request_id: str) -> None:
        """The caller no longer waits."""
        self._pending.pop(request_id, None)
        self._patient.discard(request_id)
        self._held_bytes -= len(self._held.pop(request_id, ""))

    def settle(self, request_id: str, error: Exception | None, now_s: float) -> list[Action]:
        """A request was answered, or is given up."""
        if self._pending.pop(request_id, None) is None:
            return []
        self._patient.discard(request_id)
        self._held_bytes -= len(self._held.pop(request_id, ""))
        replay = self._replays.pop(request_id, None)
        if replay is None:
            return [Settle(request_id, error)]
        if error is None:
            return []
        return self._replay_failed(*replay, error, now_s)

    # Connections ---------------------------------------------------------------------------------

    def moved(self) -> None:
        """Another connection has taken over: what was sent before waits for its answer on the old one."""
        self._on_old = self._pending.keys() - self._held.keys()

    def fail_sent(self, code: int) -> list[Action]:
        """The connection is gone, but another one is about to take over: what is held can still be sent."""
        return self._fail([request_id for request_id in self._pending if request_id not in self._held], code)

    def fail_old(self, code: int) -> list[Action]:
        """The old connection is gone."""
        lost = [request_id for request_id in self._pending if request_id in self._on_old]
        self._on_old = set()
        return self._fail(lost, code)

    def fail_all(self, code: int) -> list[Action]:
        """There is no connection any more."""
        self._retries.clear()
        self._on_old = set()
        never_sent = errors.NotConnectedError(f"the connection closed with code {code} before the request was sent")
        actions: list[Action] = []
        for request_id in tuple(self._held):
            self.abandon(request_id)
            actions.append(Settle(request_id, never_sent))
        return [*self._fail(list(self._pending), code), *actions]

    def _fail(self, request_ids: list[str], code: int) -> list[Action]:
        actions: list[Action] = []
        for request_id in request_ids:
            self.abandon(request_id)
            if self._replays.pop(request_id, None) is None:
                sentence = f"the connection closed with code {code} before the acknowledgement"
                actions.append(Settle(request_id, errors.DisconnectedError(sentence)))
        return actions

    # Replay of subscriptions after a reconnect ---------------------------------------------------

    def replay_all(self, now_s: float) -> list[Action]:
        """Subscribe again to every channel."""
        actions: list[Action] = []
        for channel in self._subscriptions:
            actions += self._replay(channel, 1, now_s)
        return actions

    def is_moving(self, channel: str | None = None) -> bool:
        """Whether a subscription, or that of `channel`, still waits to be accepted by the present connection."""
        if channel is None:
            return bool(self._replays)
        return any(replayed == channel for replayed, _ in self._replays.values())

    def _replay(self, channel: str, attempt: int, now_s: float) -> list[Action]:
        options = self._subscriptions.get(channel)
        if options is None:
            return []
        request_id = self._new_request_id()
        self.register(request_id, now_s)
        self._replays[request_id] = (channel, attempt)
        frame = wire.Subscribe(channel, request_id, options.include_sender_metadata)
        return [Transmit(wire.encode(frame))]

    def _replay_failed(self, channel: str, attempt: int, error: Exception, now_s: float) -> list[Action]:
        again = attempt < REPLAY_TRIES
        if again:
            self._retries[channel] = (now_s + REPLAY_RETRY_S, attempt + 1)
        return [Log("a subscription was not renewed", {"channel": channel, "error": str(error), "again": again})]

    # Time ----------------------------------------------------------------------------------------

    def next_timer(self) -> float:
        """Return when `handle_timer` wants to be called next. Called for every frame, so it makes no list."""
        due = float("inf")
        if self._pending:
            due = next(iter(self._pending.values()))[0]
        for at_s, _ in self._retries.values():
            due = min(due, at_s)
        return due

    @property
    def silence_allowed_until_s(self) -> float:
        """Until when an answer may be on its way although nothing is heard."""
        if not self._patient:
            return 0.0
        request_id, (due_s, _) = next(iter(self._pending.items()))
        return due_s if request_id in self._patient else 0.0

    def handle_timer(self, now_s: float) -> list[Action]:
        """Give up what has waited too long, repeat what was refused."""
        actions: list[Action] = []
        overdue = [(waiting, after_s) for waiting, (by_s, after_s) in self._pending.items() if now_s >= by_s]
        for request_id, after_s in overdue:
            actions += self.settle(request_id, errors.AckTimeoutError(request_id, after_s), now_s)
        for channel, (at_s, attempt) in list(self._retries.items()):
            if now_s >= at_s:
                del self._retries[channel]
                actions += self._replay(channel, attempt, now_s)
        return actions
