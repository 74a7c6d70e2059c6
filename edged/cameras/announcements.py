"""Which camera states still have to be told to whom: the newest only, one message per camera and peer."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NEWCOMERS = 1024


class Announcements:
    """Collects what changed and who came; `take()` gives the next thing to send, None when all is told.

    A newcomer beyond the bound is told nothing by itself (`refused` counts) but hears every later change.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self.all = tuple(cameras)
        self._changed: dict[str, None] = {}
        self._newcomers: dict[str, list[str]] = {}
        self.refused = 0

    def changed(self, camera: str) -> None:
        """A camera has a new state: everybody is told."""
        self._changed[camera] = None

    def arrived(self, peer_id: str) -> None:
        """A peer came: it is told the state of every camera."""
        if peer_id not in self._newcomers and len(self._newcomers) >= MAX_NEWCOMERS:
            self.refused += 1
            return
        self._newcomers[peer_id] = list(self.all)

    def tell(self, peer_id: str, camera: str) -> None:
        """One peer is told this state anew; a peer beyond the bound is not."""
        if peer_id not in self._newcomers and len(self._newcomers) >= MAX_NEWCOMERS:
            self.refused += 1
            return
        waiting = self._newcomers.setdefault(peer_id, [])
        if camera not in waiting:
            waiting.append(camera)

    def gone(self, peer_id: str) -> None:
        """A peer left: nothing more is to be told to it."""
        self._newcomers.pop(peer_id, None)

    def rejoined(self) -> None:
        """The link was down: whoever stayed may have missed a change, so everybody is told everything."""
        self._newcomers.clear()
        self._changed = dict.fromkeys(self.all)

    def take(self) -> tuple[str | None, str] | None:
        """Return (peer id or None for everybody, camera) and forget it."""
        if self._changed:
            camera = next(iter(self._changed))
            del self._changed[camera]
            return None, camera
        while self._newcomers:
            peer_id, cameras = next(iter(self._newcomers.items()))
            if cameras:
                return peer_id, cameras.pop(0)
            del self._newcomers[peer_id]
        return None
