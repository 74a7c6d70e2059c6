"""Of which cameras a viewer gets the second picture because its link takes no more than that. Pure.

One `LinkChoice` for each viewer: what another one gets is not touched by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

MIN_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class LinkWaits:
    """`confirm_s`: a link is thin for that long before anything is done about it. `settle_s`: from one camera to the
    next, until the link shows what the first one has saved. `retry_s`: until a main picture is tried again; it doubles
    up to `max_retry_s` with every try that fails, and starts over after one that held for `held_s`.
    """

    confirm_s: float = 1.0
    settle_s: float = 5.0
    retry_s: float = 20.0
    max_retry_s: float = 300.0
    held_s: float = 180.0


class LinkChoice:
    """Lowers the heaviest camera first, raises the one that was lowered last, and only ever one at a time.

    `mains`, wherever it is asked for: the cameras whose main picture the viewer wishes and whose second one it could be
    given, with the bits per second of the main picture.
    """

    def __init__(self, waits: LinkWaits) -> None:
        self._waits = waits
        self._is_thin = False
        self._since_s = -inf
        self._lowered_s = self._raised_s = -inf
        self._retry_s = waits.retry_s
        self._lowered: list[str] = []
        self._tried: dict[str, float] = {}

    @property
    def lowered(self) -> tuple[str, ...]:
        """The cameras whose second picture has to do, in the order in which that was decided."""
        return tuple(self._lowered)

    @property
    def is_thin(self) -> bool:
        """Whether the link takes less than is wanted of it now."""
        return self._is_thin

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do or to undo."""
        return not self._is_thin and not self._lowered

    def linked(self, now_s: float, *, is_thin: bool) -> None:
        """The link became thin, or is wide enough for what is sent now."""
        if is_thin != self._is_thin:
            self._is_thin, self._since_s = is_thin, now_s

    def renewed(self, now_s: float) -> None:
        """The link is another one: failures on the old one do not count, and nothing is known of this one yet."""
        self._is_thin, self._since_s = False, now_s
        self._retry_s = self._waits.retry_s
        self._tried.clear()

    def step(self, now_s: float, mains: Mapping[str, float]) -> bool:
        """Lower or raise one camera, if it is time; True if so."""
        if now_s < self._due_s(mains):
            return False
        if self._is_thin:
            self._lower(now_s, mains)
        else:
            self._raise(now_s, mains)
        return True

    def next_s(self, now_s: float, mains: Mapping[str, float]) -> float:
        """When `step` is to be called again: of a thin link now and then, for `mains` may have changed."""
        due_s = self._due_s(mains)
        return min(due_s, now_s + max(self._waits.settle_s, MIN_INTERVAL_S)) if self._is_thin else due_s

    def _due_s(self, mains: Mapping[str, float]) -> float:
        if not self._is_thin:
            last_s = max(self._since_s, self._lowered_s, self._raised_s)
            return last_s + self._retry_s if self._lowered else inf
        if all(name in self._lowered for name in mains):
            return inf
        return max(self._since_s + self._waits.confirm_s, self._lowered_s + self._waits.settle_s)

    def _lower(self, now_s: float, mains: Mapping[str, float]) -> None:
        held = {name for name, since_s in self._tried.items() if now_s - since_s >= self._waits.held_s}
        failed = [name for name in self._tried if name in mains and name not in held]
        if held:
            self._retry_s = self._waits.retry_s
        if failed:
            self._retry_s = min(self._waits.max_retry_s, 2 * self._retry_s)
        self._tried.clear()
        heaviest = max((name for name in mains if name not in self._lowered), key=lambda name: mains[name])
        self._lowered.append(failed[-1] if failed else heaviest)
        self._lowered_s = now_s

    def _raise(self, now_s: float, mains: Mapping[str, float]) -> None:
        name = self._lowered.pop()
        if name in mains:  # whose main picture is not wished now is no trial
            self._tried[name] = now_s
            self._raised_s = now_s
