"""When a lost path to a peer is tried again, and how: restarts in place, then new connections, ever slower. Pure.

`negotiation` owns one of these and carries out what it says.
"""

from __future__ import annotations

from typing import Literal

# Protocol section 16: before the attempts 1 to 9. The first of them ask for a new path on the living connection.
ATTEMPT_DELAYS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)
MAX_RESTARTS = 4
# Every attempt costs both sides messages of their plan; a peer that cannot be reached is still tried now and then.
DELAY_AFTER_LADDER_S = 300.0
CONNECT_TIMEOUT_S = 15.0
# The other side has answered, and needs only to be found again.
RESTART_TIMEOUT_S = 8.0
# The presence frame that says the peer left comes right behind its closing alert; no connection is worth making then.
CLOSED_GRACE_S = 0.25
# Addresses and routes come one after another, and so do their changes.
NETWORK_GRACE_S = 0.2
RESTART_SPACING_S = 3.0

Step = Literal["restart", "rebuild"]


class Recovery:
    """The path of one connection: whether it works, until when it must, what is tried next and at what time."""

    def __init__(self) -> None:
        self.is_connected = False
        self.had_path = False
        self.is_dead = False  # the connection itself has ended; no restart can help it
        self.keeps_layout = True
        self.attempts = 0
        self._step: Step = "rebuild"
        self._attempt_at: float | None = None
        self._connect_by: float | None = None
        self._precaution_at: float | None = None
        self._restarted_at = -RESTART_SPACING_S

    @property
    def awaits_rebuild(self) -> bool:
        """A new connection will be made, so that nothing is worth saying on the present one."""
        return self._attempt_at is not None and self._step == "rebuild"

    @property
    def is_under_way(self) -> bool:
        """The path is being looked for, or will be."""
        return not self.is_connected and (self.attempts > 0 or self._connect_by is not None)

    def next_timer(self) -> float | None:
        """Return when `due` may have something."""
        times = (self._attempt_at, self._connect_by, self._precaution_at)
        return min((at for at in times if at is not None), default=None)

    # What happened -------------------------------------------------------------------------------

    def connected(self) -> None:
        """The path works."""
        self.is_connected = self.had_path = True
        self.attempts = 0
        self._attempt_at = self._connect_by = None

    def plan(self, now_s: float, *, may_restart: bool, keep_layout: bool = True, at_once: bool = False) -> bool:
        """The path is lost, or the last attempt failed: plan the next. False: that was the last of the quick ones.

        `at_once`: what is to be done is known, so that the first few attempts need no pause before them.
        """
        self.is_connected = False
        self._connect_by = self._precaution_at = None
        step: Step = "restart" if may_restart and not self.is_dead and self.attempts < MAX_RESTARTS else "rebuild"
        if self._attempt_at is not None:
            self._step = "restart" if step == self._step == "restart" else "rebuild"
            self.keeps_layout = self.keeps_layout and keep_layout
            return True
        on_ladder = self.attempts < len(ATTEMPT_DELAYS_S)
        delay_s = ATTEMPT_DELAYS_S[self.attempts] if on_ladder else DELAY_AFTER_LADDER_S
        if at_once and self.attempts < MAX_RESTARTS:
            delay_s = 0.0
        self.attempts += 1
        self._step, self.keeps_layout = step, keep_layout
        self._attempt_at = now_s + (delay_s if keep_layout else max(delay_s, CLOSED_GRACE_S))
        return self.attempts != len(ATTEMPT_DELAYS_S) + 1

    def renew(self, now_s: float) -> None:
        """A new connection is wanted at once, and nothing of the old layout."""
        self.attempts = 0
        self._attempt_at, self._step, self.keeps_layout = now_s, "rebuild", False

    def network_changed(self, now_s: float) -> None:
        """Our addresses or routes are others: look for a better path, even if the present one still works."""
        if self.is_connected:
            at = max(now_s + NETWORK_GRACE_S, self._restarted_at + RESTART_SPACING_S)
            self._precaution_at = at if self._precaution_at is None else self._precaution_at
        elif self.is_under_way and not self.awaits_rebuild:
            self.attempts, self._step = 1, "restart"
            at = now_s + NETWORK_GRACE_S
            self._attempt_at = at if self._attempt_at is None else min(self._attempt_at, at)
            self._connect_by = None

    def signalling_up(self, now_s: float) -> None:
        """Messages pass again: what waited for its turn gets it now."""
        if self._attempt_at is not None:
            self.attempts = 1
            self._attempt_at = min(self._attempt_at, now_s + CLOSED_GRACE_S)

    def agreed(self, now_s: float, *, restarted: bool) -> None:
        """Both sides hold each other's descriptions; `restarted`: with credentials for a new path."""
        if restarted:
            self._restarted_at = now_s
            self._attempt_at = self._connect_by = None
        if not self.is_connected and self._attempt_at is None and self._connect_by is None:
            self._connect_by = now_s + (RESTART_TIMEOUT_S if restarted and self.had_path else CONNECT_TIMEOUT_S)

    def replaced(self) -> None:
        """A new connection stands in the place of the old one."""
        self.is_connected = self.is_dead = self.had_path = False
        self._attempt_at = self._connect_by = self._precaution_at = None

    # Time ----------------------------------------------------------------------------------------

    def is_late(self, now_s: float) -> bool:
        """The path should work by now."""
        return self._connect_by is not None and now_s >= self._connect_by

    def due(self, now_s: float) -> Step | None:
        """Return the step whose time has come, once."""
        if self._attempt_at is not None and now_s >= self._attempt_at:
            self._attempt_at = None
            return self._step
        if self._precaution_at is not None and now_s >= self._precaution_at:
            self._precaution_at = None
            return "restart"
        return None
