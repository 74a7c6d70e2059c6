"""From one quality of a camera to the other without a frozen picture: a viewer keeps the one that is live until the
other one is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edged.cameras.watch_messages import Quality, Wish

IsLive = Callable[[str, Quality], bool]


class Handover:
    """What each member is sent now, and which pictures have to be opened before somebody is sent them."""

    def __init__(self, is_live: IsLive) -> None:
        self._is_live = is_live
        self._given: dict[str, dict[str, Wish]] = {}
        self._awaited: dict[str, frozenset[tuple[str, Quality]]] = {}

    def plan(self, peer_id: str, choice: Mapping[str, Wish]) -> dict[str, Wish]:
        """Return what the member is sent of each camera from now on; it is taken to be done."""
        before = self._given.get(peer_id, {})
        given: dict[str, Wish] = {}
        awaited: set[tuple[str, Quality]] = set()
        for name, wish in choice.items():
            now = before.get(name, "none")
            given[name] = wish
            if wish == "none" or now == "none":
                continue
            if wish != now and self._is_live(name, now) and not self._is_live(name, wish):
                given[name] = now
                awaited.add((name, wish))
        self._given[peer_id] = given
        if awaited:
            self._awaited[peer_id] = frozenset(awaited)
        else:
            self._awaited.pop(peer_id, None)
        return given

    def gone(self, peer_id: str) -> None:
        """The member left."""
        self._given.pop(peer_id, None)
        self._awaited.pop(peer_id, None)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Members that are not sent yet what was chosen for them."""
        return tuple(self._awaited)

    @property
    def awaited(self) -> frozenset[tuple[str, Quality]]:
        """The pictures they wait for."""
        return frozenset().union(*self._awaited.values())
