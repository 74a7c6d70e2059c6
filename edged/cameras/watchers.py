"""Who gets which quality of which camera, and who is still to be answered. Pure: no peer, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from edged.cameras.link_choice import LinkChoice, LinkWaits
from edged.cameras.watch_messages import MAX_REASONS, Wish, read_watch, watching

MAX_WATCHERS = 1024
# However fast a viewer asks, its newest wishes are carried out this often; the first at once.
INTERVAL_S = 0.1
_NO_SUB = "it has no second picture; this is the main one"
SLOW_LINK = "your link is slow; the main picture is tried again by and by"


Lowerable = Callable[[str], float | None]
"""The bits per second of a camera's main picture where the second one can take its place now, else None."""


@dataclass(slots=True)
class _Watcher:
    wishes: dict[str, Wish]
    link: LinkChoice
    is_gateway: bool = False
    lowered: frozenset[str] = frozenset()
    reasons: dict[str, str] = field(default_factory=dict)
    request_id: str | int | None = None
    error: str = ""
    next_s: float = 0.0


class Watchers:
    """The members of a channel. `cameras`: name to whether it has a second picture. Times are seconds of any clock that
    only goes forward.

    A viewer whose link is too thin for main pictures gets second ones, for as long; its wishes stay what they are. A
    member beyond the bound gets every camera and cannot choose (`refused` counts).
    """

    def __init__(
        self,
        cameras: Mapping[str, bool],
        *,
        lowerable: Lowerable = lambda _name: None,
        waits: LinkWaits = LinkWaits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._has_sub = dict(cameras)
        self._known = frozenset(cameras)
        self._lowerable = lowerable
        self._waits = waits
        self._watchers: dict[str, _Watcher] = {}
        self._due: dict[str, None] = {}
        self._slow: dict[str, None] = {}
        self.refused = 0

    def arrived(self, peer_id: str, *, is_gateway: bool = False) -> None:
        """A member came. It gets the main picture of every camera, or, as a gateway, nothing."""
        if peer_id not in self._watchers and len(self._watchers) >= MAX_WATCHERS:
            self.refused += 1
            return
        self.gone(peer_id)
        wishes: dict[str, Wish] = dict.fromkeys(self._known, "none" if is_gateway else "main")
        self._watchers[peer_id] = _Watcher(wishes, LinkChoice(self._waits), is_gateway)

    def gone(self, peer_id: str) -> None:
        """A member left."""
        self._watchers.pop(peer_id, None)
        self._due.pop(peer_id, None)
        self._slow.pop(peer_id, None)

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

    def linked(self, peer_id: str, now_s: float, *, is_thin: bool) -> None:
        """The link to a member became too thin for what it is sent, or is wide enough; `take` says what comes of it."""
        if (watcher := self._watchers.get(peer_id)) is not None:
            watcher.link.linked(now_s, is_thin=is_thin)
            self._slow[peer_id] = None

    def link_renewed(self, peer_id: str, now_s: float) -> None:
        """The link to a member is another one than before."""
        if (watcher := self._watchers.get(peer_id)) is not None:
            watcher.link.renewed(now_s)

    def choice(self, peer_id: str) -> dict[str, Wish]:
        """Return what a member gets of each camera, in the order of the settings."""
        watcher = self._watchers.get(peer_id)
        if watcher is None:
            return dict.fromkeys(self._has_sub, "main")
        lowered = self._lowered(watcher)
        return {
            name: "sub" if name in lowered else self._possible(name, watcher.wishes[name]) for name in self._has_sub
        }

    def take(self, now_s: float) -> tuple[str, dict[str, Any]] | None:
        """Return a member whose wishes are to be carried out now, with the answer; None if there is none."""
        self._follow_links(now_s)
        peer_id = next((one for one in self._due if self._watchers[one].next_s <= now_s), None)
        if peer_id is None:
            return None
        del self._due[peer_id]
        watcher = self._watchers[peer_id]
        watcher.lowered = self._lowered(watcher)
        lacking = {name: _NO_SUB for name, wish in watcher.wishes.items() if self._possible(name, wish) != wish}
        answer = watching(
            self.choice(peer_id),
            {**lacking, **dict.fromkeys(sorted(watcher.lowered), SLOW_LINK), **watcher.reasons},
            request_id=watcher.request_id,
            error=watcher.error,
        )
        watcher.reasons, watcher.request_id, watcher.error = {}, None, ""
        watcher.next_s = now_s + INTERVAL_S
        return peer_id, answer

    def unheard(self, peer_id: str, answer: Mapping[str, Any]) -> None:
        """An answer could not be sent: it is given again, as things are by then."""
        if (watcher := self._watchers.get(peer_id)) is not None:
            if watcher.request_id is None:
                watcher.request_id, watcher.error = answer.get("id"), answer.get("error", "")
            self._due[peer_id] = None

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until `take` gives the next one, or has to look at a link again; None if nobody waits."""
        due_s = [self._watchers[one].next_s for one in self._due]
        links = (self._watchers[one] for one in self._slow)
        due_s += [watcher.link.next_s(now_s, self._mains(watcher)) for watcher in links]
        first_s = min(due_s, default=inf)
        return None if first_s == inf else max(0.0, first_s - now_s)

    def counts(self, connected: Iterable[str]) -> tuple[int, int]:
        """Return how many of these members wish pictures, and how many of those have a link too thin for that."""
        viewers = {peer_id for peer_id in connected if self._wishes_any(peer_id)}
        return len(viewers), len(viewers & self._slow.keys())

    def _wishes_any(self, peer_id: str) -> bool:
        watcher = self._watchers.get(peer_id)
        return watcher is None or any(wish != "none" for wish in watcher.wishes.values())

    def _follow_links(self, now_s: float) -> None:
        for peer_id in tuple(self._slow):
            watcher = self._watchers[peer_id]
            watcher.link.step(now_s, self._mains(watcher))
            if self._lowered(watcher) != watcher.lowered:
                self._due[peer_id] = None
            elif watcher.link.is_idle:
                del self._slow[peer_id]

    def _mains(self, watcher: _Watcher) -> dict[str, float]:
        wished = (name for name, wish in watcher.wishes.items() if wish == "main")
        return {name: bps for name in wished if (bps := self._lowerable(name)) is not None}

    def _lowered(self, watcher: _Watcher) -> frozenset[str]:
        """The cameras it gets the second picture of because of its link, and for no other reason."""
        return frozenset(watcher.link.lowered) & frozenset(self._mains(watcher))

    def _possible(self, name: str, wish: Wish) -> Wish:
        return "main" if wish == "sub" and not self._has_sub[name] else wish
