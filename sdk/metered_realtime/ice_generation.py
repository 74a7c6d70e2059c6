"""One generation of an ICE session: the credentials of either side, the checks made with them, what these select.

An ICE restart (RFC 8445 section 9) is a second generation beside the first. Fills gaps of aioice: checks are events and
not tasks, the first goes out at once, candidates of either side may come at any time, also when a pair is selected.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aioice import Candidate, stun
from aioice.candidate import candidate_priority
from aioice.utils import random_string

from metered_realtime.ice_pairs import Pair, PairTable, State
from metered_realtime.ice_socket import CHECK_DELAYS_S, Address, Answer, IceSocket, StunExchange

MAX_EARLY_CHECKS = 64
# RFC 8445 section 14.2: the least time between two checks that nobody asked for.
PACE_S = 0.005
# RFC 8863: how long to wait for a path, from the last news on, before it counts as a failure.
PATIENCE_S = 39.5
_ROLE_CONFLICT = 487


@dataclass(slots=True)
class Role:
    """Which side nominates, and the number that settles a conflict over it (RFC 8445 section 7.3.1.1)."""

    is_controlling: bool
    tie_breaker: int


class IceGeneration:
    """Credentials and checks. Tells by `on_selected` of each pair that shall carry the data from now on."""

    def __init__(
        self,
        role: Role,
        on_selected: Callable[[IceGeneration, Pair], None],
        on_failed: Callable[[IceGeneration], None],
    ) -> None:
        self._role = role
        self._on_selected, self._on_failed = on_selected, on_failed
        self.local_ufrag, self.local_pwd = random_string(8), random_string(24)
        self.remote_ufrag: str | None = None
        self.remote_pwd: str | None = None
        self.local_candidates: list[Candidate] = []
        self.table = PairTable()
        self.selected: Pair | None = None
        self.has_failed = False
        self._has_begun = self._has_ended = False
        self._is_searching = False
        self._nominations = 0
        self._early: deque[tuple[stun.Message, Address, IceSocket]] = deque(maxlen=MAX_EARLY_CHECKS)
        self._pace: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start checking: the other side's credentials are known. What came in before counts now."""
        if self._has_begun or self._has_ended:
            return
        self._has_begun = True
        self._news()
        early = list(self._early)
        self._early.clear()
        for message, addr, ice_socket in early:
            self.take_check(message, addr, ice_socket)
        self._next()

    def end(self) -> None:
        """Stop every check and timer."""
        self._has_ended = True
        self._early.clear()
        for timer in (self._pace, self._patience):
            if timer is not None:
                timer.cancel()
        for pair in self.table:
            pair.stop()

    def add_socket(self, ice_socket: IceSocket) -> None:
        """Check over one more local address."""
        self.table.add_socket(ice_socket)
        self._news()
        self._next()

    def add_remote(self, candidate: Candidate, host: str) -> None:
        """Check one more candidate of the other side, reached at `host`."""
        if self.table.add_remote(candidate, host):
            self._news()
            self._next()

    def drop_socket(self, ice_socket: IceSocket) -> None:
        """A local socket is gone."""
        self.table.drop_socket(ice_socket)
        self.local_candidates = [each for each in self.local_candidates if each is not ice_socket.local_candidate]

    def search(self) -> None:
        """Check all pairs anew: the selected one does not answer."""
        self._is_searching = True
        for pair in self.table:
            if pair is not self.selected and pair.exchange is None:
                pair.state = State.WAITING
        self._next()

    def settle(self) -> None:
        """End the search: the selected pair answers again."""
        self._is_searching = False

    def take_check(self, message: stun.Message, addr: Address, ice_socket: IceSocket) -> None:
        """Take note of an authenticated and answered check of the other side (RFC 8445 section 7.3.1)."""
        if not self._has_begun:
            self._early.append((message, addr, ice_socket))
            return
        pair = self.table.heard(ice_socket, addr, message.attributes.get("PRIORITY", 0))
        if pair is None or self._has_ended:
            return
        is_nominated = "USE-CANDIDATE" in message.attributes and not self._role.is_controlling
        if is_nominated:
            self._nominations += 1
            pair.nomination = self._nominations
        if pair.state is State.SUCCEEDED:
            if is_nominated:
                self._select(pair)
        elif pair.exchange is not None:
            pair.exchange.hurry()
        elif is_nominated or self._is_wanted(pair):
            self._news()
            self._check(pair)

    def take_repeat(self, pair: Pair, *, is_nominating: bool) -> bool:
        """Take note of a check like one before it. False where that may change something: take it as any other."""
        if self._has_ended or self._is_searching or self.selected is not pair or pair.state is not State.SUCCEEDED:
            return False
        if is_nominating:
            self._nominations += 1
            pair.nomination = self._nominations
        return True

    @property
    def is_controlling(self) -> bool:
        """Whether we nominate."""
        return self._role.is_controlling

    def check_request(self, *, nominate: bool) -> stun.Message:
        """Return a check as it is before it is signed."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.remote_ufrag}:{self.local_ufrag}"
        request.attributes["PRIORITY"] = candidate_priority(1, "prflx")
        if self._role.is_controlling:
            request.attributes["ICE-CONTROLLING"] = self._role.tie_breaker
            if nominate:
                request.attributes["USE-CANDIDATE"] = None
        else:
            request.attributes["ICE-CONTROLLED"] = self._role.tie_breaker
        return request

    def _request(self, pair: Pair, on_done: Callable[[Answer | None], None], *, nominate: bool) -> StunExchange:
        request, key = self.check_request(nominate=nominate), (self.remote_pwd or "").encode()
        return StunExchange(pair.protocol, request, pair.remote_addr, on_done, key=key, delays_s=CHECK_DELAYS_S)

    def _is_wanted(self, pair: Pair) -> bool:
        """Tell whether a check of `pair` can lead to anything better than what is selected."""
        if self.selected is None or self._is_searching:
            return True
        return self.selected.is_relayed and not pair.is_relayed

    def _next(self) -> None:
        """Start the check that is most worth it, and come back for the others."""
        if not self._has_begun or self._has_ended or self._pace is not None:
            return
        waiting = [each for each in self.table if each.state is State.WAITING and self._is_wanted(each)]
        if not waiting:
            return
        controlling = self._role.is_controlling
        self._check(min(waiting, key=lambda pair: pair.order(is_controlling=controlling)))
        if len(waiting) > 1:
            self._pace = asyncio.get_running_loop().call_later(PACE_S, self._paced)

    def _paced(self) -> None:
        self._pace = None
        self._next()

    def _check(self, pair: Pair) -> None:
        pair.stop()
        pair.state = State.IN_PROGRESS
        controlling = self._role.is_controlling
        pair.exchange = self._request(pair, functools.partial(self._checked, pair, controlling), nominate=False)

    def _checked(self, pair: Pair, was_controlling: bool, answer: Answer | None) -> None:
        pair.exchange = None
        if answer is None:
            pair.state = State.FAILED
        elif answer.message.message_class is stun.Class.ERROR:
            if self.heed_conflict(answer.message, was_controlling=was_controlling):
                self._check(pair)
            else:
                pair.state = State.FAILED
        elif answer.addr != pair.remote_addr:
            pair.state = State.FAILED  # RFC 8445 section 7.2.5.2.1
        else:
            pair.state = State.SUCCEEDED
            pair.rtt_s = answer.rtt_s if answer.rtt_s is not None else pair.rtt_s
            self._succeeded(pair)

    def _succeeded(self, pair: Pair) -> None:
        if not self._role.is_controlling:
            if pair.nomination >= 0:
                self._select(pair)
        elif self._is_wanted(pair):
            # Data may go at once over a pair that works (RFC 8445 section 12.1); the nomination goes before it.
            pair.exchange = self._request(pair, functools.partial(self._nominated, pair), nominate=True)
            self._nominations += 1
            pair.nomination = self._nominations
            self._select(pair)

    def _nominated(self, pair: Pair, answer: Answer | None) -> None:
        pair.exchange = None
        if answer is not None:
            self.heed_conflict(answer.message, was_controlling=True)

    def heed_conflict(self, answer: stun.Message, *, was_controlling: bool) -> bool:
        """Take the other role if the answer says that both sides have the same one. Returns whether it said so."""
        is_conflict = answer.error_code == _ROLE_CONFLICT
        if is_conflict:
            self._role.is_controlling = not was_controlling
        return is_conflict

    def _select(self, pair: Pair) -> None:
        if self.selected is not None and pair.nomination < self.selected.nomination:
            return
        changed, self.selected = self.selected is not pair, pair
        if not changed and not self._is_searching:
            return
        self._is_searching = self.has_failed = False
        for other in self.table:
            if other is not pair and (self._role.is_controlling or other.nomination < 0):
                self._stop_unwanted(other)
        if changed:
            self._on_selected(self, pair)

    def _stop_unwanted(self, pair: Pair) -> None:
        # What was nominated before must not be nominated again by a retransmission.
        if pair.nomination >= 0 or not self._is_wanted(pair):
            pair.stop()

    def _news(self) -> None:
        """Begin to wait anew, as there is something to wait for."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._has_begun and not self._has_ended and self.selected is None:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        if self.selected is None:
            self.has_failed = True
            self._on_failed(self)
