"""The remote peers of one channel, kept in line with presence: who is made, who survives a reconnect, who is ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from metered_realtime.frames import PresencePeer
from metered_realtime.member_link import MemberLink
from metered_realtime.network_watch import NetworkWatch
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.remote_peer import RemotePeer
from metered_realtime.roster import MAX_PEERS, Roster, RosterChange

_log = logging.getLogger(__name__)

# A member that takes a new connection to the service is listed as gone and as there right behind that (protocol 15.1).
LEAVE_GRACE_S = 0.05
# And where we take a new one ourselves at that moment, the list of members has to come first.
RENEWED_LEAVE_GRACE_S = 2.0


class Membership:
    """Owns the links to the remote peers.

    `open_link(member, polite)` makes one. `joined` and `left` tell of it; what they call may close everything, so
    `is_open` is asked before each. A member that goes and comes at once, as when its token was renewed, stays if it is
    connected: its media need not have suffered. Any other may as well be a new program under its id, and is told as
    one. While there are links the addresses of this machine are watched (`open_watch`). `refused_members` counts
    those beyond the limit, as often as they were listed.
    """

    def __init__(
        self,
        *,
        open_link: Callable[[PresencePeer, bool], MemberLink],
        joined: Callable[[RemotePeer], None],
        left: Callable[[RemotePeer], None],
        is_open: Callable[[], bool],
        open_watch: Callable[[Callable[[], None]], NetworkWatch] = NetworkWatch,
    ) -> None:
        self._open_link = open_link
        self._joined = joined
        self._left = left
        self._is_open = is_open
        self._roster = Roster()
        self._links: dict[str, MemberLink] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._is_renamed = False
        self._tasks = OwnedTasks()
        self._watch = open_watch(self._network_changed)
        self.refused_members = 0

    def __len__(self) -> int:
        return len(self._links)

    @property
    def own_id(self) -> str | None:
        """Our id as the service knows us."""
        return self._roster.own_id

    @property
    def links(self) -> list[MemberLink]:
        """The links, in the order the peers came."""
        return list(self._links.values())

    def get(self, peer_id: str) -> MemberLink | None:
        """Return the link to a member."""
        return self._links.get(peer_id)

    # Presence ------------------------------------------------------------------------------------------

    def welcomed(self, own_id: str, now_s: float, *, is_reconnect: bool) -> bool:
        """A connection was accepted. True: nothing has to be awaited before we are a member again."""
        self._is_renamed = self._is_renamed or self.own_id not in (None, own_id)
        is_known = self._roster.welcomed(own_id, now_s, is_reconnect=is_reconnect)
        if is_reconnect:
            for peer_id, leaving in self._leaving.items():  # word that they came goes to this connection now
                leaving.cancel()
                loop = asyncio.get_running_loop()
                self._leaving[peer_id] = loop.call_later(RENEWED_LEAVE_GRACE_S, self._remove, peer_id)
        return is_known

    def take(self, joined: Iterable[PresencePeer], left: Iterable[PresencePeer]) -> RosterChange:
        """Take in a presence frame; `admit` carries it out."""
        change = self._roster.presence(joined, left)
        if change.dropped:
            if not self.refused_members:
                _log.warning("the channel has more than %d members; the rest is not connected", MAX_PEERS)
            self.refused_members += change.dropped
        return change

    def admit(self, change: RosterChange) -> None:
        """Make, keep and end remote peers as presence says."""
        renamed, self._is_renamed = self._is_renamed, self._is_renamed and not change.is_snapshot
        for member in change.survived:
            link = self._links.get(member.peer_id)
            if link is not None:
                polite = self._is_polite_to(member.peer_id)
                link.signalling_back(member.metadata, polite=polite, renamed=renamed)
        for member in change.joined:
            leaving = self._leaving.pop(member.peer_id, None)
            if leaving is not None:
                leaving.cancel()
                self._links[member.peer_id].returned(member.metadata)
            elif self._is_open() and member.peer_id not in self._links:
                self._admit(member)
        if change.is_snapshot:
            for peer_id in tuple(self._leaving):
                self._remove(peer_id)
        for peer_id in change.left:
            link = self._links.get(peer_id)
            if change.is_snapshot or link is None or not link.is_connected:
                self._remove(peer_id)
            elif peer_id not in self._leaving:
                loop = asyncio.get_running_loop()
                self._leaving[peer_id] = loop.call_later(LEAVE_GRACE_S, self._remove, peer_id)

    def _admit(self, member: PresencePeer) -> None:
        if len(self._links) >= MAX_PEERS:
            for peer_id in tuple(self._leaving):
                self._remove(peer_id)
        link = self._open_link(member, self._is_polite_to(member.peer_id))
        if not self._links:
            self._tasks.start(self._watch.start(), "watch over the network")
        self._links[member.peer_id] = link
        self._joined(link.remote)
        if self._links.get(member.peer_id) is link:  # else the handler has closed us
            link.start()

    def _is_polite_to(self, peer_id: str) -> bool:
        return (self.own_id or "") < peer_id

    # A lost connection ---------------------------------------------------------------------------------

    def signalling_lost(self) -> None:
        """Everybody stays, as far as we know; but for those who were about to go."""
        for peer_id in tuple(self._leaving):
            self._remove(peer_id)
        self._roster.dropped()
        for link in self.links:
            link.signalling_lost()

    async def await_snapshot(self, subscribe_again: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Watch over the list of members that must follow a reconnect."""
        loop = asyncio.get_running_loop()
        while (due := self._roster.next_timer()) is not None:
            await asyncio.sleep(max(0.0, due - loop.time()))
            again = self._roster.overdue(loop.time())
            if again is not None:
                (subscribe_again if again else give_up)()

    def _network_changed(self) -> None:
        for link in self.links:
            link.network_changed()

    # End -----------------------------------------------------------------------------------------------

    def _remove(self, peer_id: str) -> None:
        link = self._links.pop(peer_id, None)
        leaving = self._leaving.pop(peer_id, None)
        if leaving is not None:
            leaving.cancel()
        if link is not None:
            link.leave()
            self._left(link.remote)
            if not self._links:
                self._tasks.start(self._watch.aclose(), "end of the watch over the network")
            self._tasks.start(link.aclose(), f"close of the connection to {peer_id}")

    def clear(self) -> None:
        """Everybody has left, as far as we are concerned."""
        self._roster.clear()
        for peer_id in tuple(self._links):
            self._remove(peer_id)

    async def aclose(self, grace_s: float) -> None:
        """End everybody and wait until their connections are closed, `grace_s` at most."""
        self.clear()
        await self._tasks.aclose(grace_s=grace_s)
