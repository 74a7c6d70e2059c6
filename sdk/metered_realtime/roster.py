"""Who is in the channel: presence frames to joins and leaves, across reconnects. Pure (protocol section 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metered_realtime.frames import PresencePeer

MAX_PEERS = 256
MAX_FORMER_IDS = 16
SNAPSHOT_TIMEOUT_S = 10.0
MAX_RESUBSCRIBES = 2

Metadata = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What one presence frame means, to be carried out in the order of the fields.

    `left` are ids. `survived` are members remembered from before a reconnect and still there, `joined` new ones, each
    with its public metadata. `dropped` counts members beyond the limit.
    """

    survived: tuple[PresencePeer, ...] = ()
    joined: tuple[PresencePeer, ...] = ()
    left: tuple[str, ...] = ()
    is_snapshot: bool = False
    dropped: int = 0


class Roster:
    """The members other than ourselves, and whether the next presence frame is the whole list."""

    def __init__(self) -> None:
        self.own_id: str | None = None
        self.awaits_snapshot = False
        self._members: dict[str, Metadata] = {}
        self._former_ids: deque[str] = deque(maxlen=MAX_FORMER_IDS)
        self._snapshot_by: float | None = None
        self._resubscribes = 0

    @property
    def members(self) -> tuple[str, ...]:
        """Ids of the members, oldest first."""
        return tuple(self._members)

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._members

    def welcomed(self, own_id: str, now_s: float, *, is_reconnect: bool) -> bool:
        """A connection was accepted under `own_id`. True: the roster is as good as known, nothing need be awaited."""
        if self.own_id not in (None, own_id):
            self._former_ids.append(str(self.own_id))
        self.own_id = own_id
        if not is_reconnect:
            return True
        self._resubscribes = 0
        self.awaits_snapshot = bool(self._members)
        self._snapshot_by = now_s + SNAPSHOT_TIMEOUT_S if self.awaits_snapshot else None
        return not self.awaits_snapshot

    def dropped(self) -> None:
        """The connection was lost; whatever comes first after the next welcome is a snapshot."""
        self.awaits_snapshot = bool(self._members)
        self._snapshot_by = None

    def presence(self, joined: Iterable[PresencePeer], left: Iterable[PresencePeer]) -> RosterChange:
        """Take in one presence frame of our channel."""
        if self.awaits_snapshot:
            return self._snapshot(joined)
        new, dropped = self._admit(joined)
        gone = [peer.peer_id for peer in left if peer.peer_id in self._members]
        for peer_id in dict.fromkeys(gone):
            del self._members[peer_id]
        return RosterChange(joined=new, left=tuple(dict.fromkeys(gone)), dropped=dropped)

    def _snapshot(self, joined: Iterable[PresencePeer]) -> RosterChange:
        self.awaits_snapshot = False
        self._snapshot_by = None
        listed = {peer.peer_id: peer for peer in joined if self._is_other(peer.peer_id)}
        left = tuple(peer_id for peer_id in self._members if peer_id not in listed)
        for peer_id in left:
            del self._members[peer_id]
        survived = tuple(peer for peer_id, peer in listed.items() if peer_id in self._members)
        self._members.update({peer.peer_id: peer.metadata for peer in survived})
        new, dropped = self._admit(listed.values())
        return RosterChange(survived, new, left, is_snapshot=True, dropped=dropped)

    def _admit(self, joined: Iterable[PresencePeer]) -> tuple[tuple[PresencePeer, ...], int]:
        new, dropped = [], 0
        for peer in joined:
            if not self._is_other(peer.peer_id) or peer.peer_id in self._members:
                continue
            if len(self._members) >= MAX_PEERS:
                dropped += 1
                continue
            self._members[peer.peer_id] = peer.metadata
            new.append(peer)
        return tuple(new), dropped

    def _is_other(self, peer_id: str) -> bool:
        # The service may list our own last connection for a while after it was lost (15, S9).
        return peer_id != self.own_id and peer_id not in self._former_ids

    def clear(self) -> tuple[str, ...]:
        """Forget everybody; returns who was there."""
        members = self.members
        self._members.clear()
        self.awaits_snapshot = False
        self._snapshot_by = None
        return members

    def next_timer(self) -> float | None:
        """Return when `overdue` wants to be asked."""
        return self._snapshot_by

    def overdue(self, now_s: float) -> bool | None:
        """The snapshot has not come. True: subscribe again; False: give up; None: not due."""
        if self._snapshot_by is None or now_s < self._snapshot_by:
            return None
        if self._resubscribes >= MAX_RESUBSCRIBES:
            self._snapshot_by = None
            return False
        self._resubscribes += 1
        self._snapshot_by = now_s + SNAPSHOT_TIMEOUT_S
        return True
