"""Who gets which quality of which camera, and who is still to be answered. Pure: no peer, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.cameras.watch_messages import MAX_REASONS, Wish, read_watch, watching

MAX_WATCHERS = 1024
# However fast a viewer asks, its newest wishes are carried out this often; the first at once.
INTERVAL_S = 0.1
_NO_SUB = "it has no second picture; this is the main one"


@dataclass(slots=True)
class _Watcher:
    wishes: dict[str, Wish]
    is_gateway: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    request_id: str | int | None = None
    error: str = ""
    next_s: float = 0.0


class Watchers:
    """The members of a channel. `cameras`: name to whether it has a second picture.

    A member beyond the bound gets every camera and cannot choose (`refused` counts).
    """

    def __init__(self, cameras: Mapping[str, bool]) -> None:
        self._has_sub = dict(cameras)
        self._known = frozenset(cameras)
        self._watchers: dict[str, _Watcher] = {}
        self._due: dict[str, None] = {}
        self.refused = 0

    def arrived(self, peer_id: str, *, is_gateway: bool = False) -> None:
        """A member came. It gets the main picture of every camera, or, as a gateway, nothing."""
        if peer_id not in self._watchers and len(self._watchers) >= MAX_WATCHERS:
            self.refused += 1
            return
        self._due.pop(peer_id, None)
        self._watchers[peer_id] = _Watcher(dict.fromkeys(self._known, "none" if is_gateway else "main"), is_gateway)

    def gone(self, peer_id: str) -> None:
        """A member left."""
        self._watchers.pop(peer_id, None)
        self._due.pop(peer_id, None)

    def is_gateway(self, peer_id: str) -> bool:
        """A member says that it is a gateway: it gets nothing, unless it asks. False if that is no news."""
        watcher = self._watchers.get(peer_id)
        if watcher is None or watcher.is_gateway:
            return False
        watcher.is_gateway = True
        watcher.wishes = dict.fromkeys(self._known, "none")
        return True

    def asked(self, peer_id: str, message: Mapping[str, Any]) -> None:
        """A member sent an `edged/watch`; `take` says when it is carried out. Others' messages are ignored."""
        watcher = self._watchers.get(peer_id)
        if watcher is None:
            return
        request = read_watch(message, self._known)
        if request.every is not None:
            watcher.wishes = dict.fromkeys(self._known, request.every)
        watcher.wishes.update(request.cameras)
        room = MAX_REASONS - len(watcher.reasons)
        watcher.reasons.update(dict(list(request.reasons.items())[: max(0, room)]))
        watcher.request_id = request.id
        watcher.error = request.error
        self._due[peer_id] = None

    def choice(self, peer_id: str) -> dict[str, Wish]:
        """Return what a member gets of each camera, in the order of the settings."""
        watcher = self._watchers.get(peer_id)
        return {name: self._possible(name, watcher.wishes[name] if watcher else "main") for name in self._has_sub}

    def take(self, now_s: float) -> tuple[str, dict[str, Any]] | None:
        """Return a member whose wishes are to be carried out now, with the answer; None if there is none."""
        peer_id = next((one for one in self._due if self._watchers[one].next_s <= now_s), None)
        if peer_id is None:
            return None
        del self._due[peer_id]
        watcher = self._watchers[peer_id]
        lacking = {name: _NO_SUB for name, wish in watcher.wishes.items() if self._possible(name, wish) != wish}
        answer = watching(
            self.choice(peer_id),
            {**lacking, **watcher.reasons},
            request_id=watcher.request_id,
            error=watcher.error,
        )
        watcher.reasons = {}
        watcher.next_s = now_s + INTERVAL_S
        return peer_id, answer

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until `take` gives the next one; None if nobody waits."""
        return min((max(0.0, self._watchers[one].next_s - now_s) for one in self._due), default=None)

    def _possible(self, name: str, wish: Wish) -> Wish:
        return "main" if wish == "sub" and not self._has_sub[name] else wish
