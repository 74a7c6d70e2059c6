"""The remote peers of one channel, kept in line with presence: who is made, who survives a reconnect, who is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from metered_realtime.frames import PresencePeer
from metered_realtime.owned_tasks import OwnedTasks
from metered_realtime.peer_link import PeerLink
from metered_realtime.remote_peer import RemotePeer
from metered_realtime.roster import Roster, RosterChange


class Membership:
    """Owns the links to the remote peers.

    `open_link(member, polite)` makes one. `joined` and `left` tell of it; what they call may close everything, so
    `is_open` is asked before each.
    """

    def __init__(
        self,
        *,
        open_link: Callable[[PresencePeer, bool], PeerLink],
        joined: Callable[[RemotePeer], None],
        left: Callable[[RemotePeer], None],
        is_open: Callable[[], bool],
    ) -> None:
        self._open_link = open_link
        self._joined = joined
        self._left = left
        self._is_open = is_open
        self._roster = Roster()
        self._links: dict[str, PeerLink] = {}
        self._is_renamed = False
        self._closing = OwnedTasks()

    def __len__(self) -> int:
        return len(self._links)

    @property
    def own_id(self) -> str | None:
        """Our id as the service knows us."""
        return self._roster.own_id

    @property
    def links(self) -> list[PeerLink]:
        """The links, in the order the peers came."""
        return list(self._links.values())

    def get(self, peer_id: str) -> PeerLink | None:
        """Return the link to a member."""
        return self._links.get(peer_id)

    # Presence ------------------------------------------------------------------------------------------

    def welcomed(self, own_id: str, now_s: float, *, is_reconnect: bool) -> bool:
        """A connection was accepted. True: nothing has to be awaited before we are a member again."""
        self._is_renamed = self._is_renamed or self.own_id not in (None, own_id)
        return self._roster.welcomed(own_id, now_s, is_reconnect=is_reconnect)

    def take(self, joined: Iterable[PresencePeer], left: Iterable[PresencePeer]) -> RosterChange:
        """Take in a presence frame; `admit` carries it out."""
        return self._roster.presence(joined, left)

    def admit(self, change: RosterChange) -> None:
        """Make, keep and end remote peers as presence says."""
        renamed, self._is_renamed = self._is_renamed, self._is_renamed and not change.is_snapshot
        for member in change.survived:
            link = self._links.get(member.peer_id)
            if link is not None:
                polite = self._is_polite_to(member.peer_id)
                link.signalling_back(member.metadata, polite=polite, renamed=renamed)
        for member in change.joined:
            if self._is_open() and member.peer_id not in self._links:
                link = self._open_link(member, self._is_polite_to(member.peer_id))
                self._links[member.peer_id] = link
                self._joined(link.remote)
        for peer_id in change.left:
            self._remove(peer_id)

    def _is_polite_to(self, peer_id: str) -> bool:
        return (self.own_id or "") < peer_id

    # A lost connection ---------------------------------------------------------------------------------

    def signalling_lost(self) -> None:
        """Everybody stays, as far as we know."""
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

    # End -----------------------------------------------------------------------------------------------

    def _remove(self, peer_id: str) -> None:
        link = self._links.pop(peer_id, None)
        if link is not None:
            link.leave()
            self._left(link.remote)
            self._closing.start(link.aclose(), f"close of the connection to {peer_id}")

    def clear(self) -> None:
        """Everybody has left, as far as we are concerned."""
        self._roster.clear()
        for peer_id in tuple(self._links):
            self._remove(peer_id)

    async def aclose(self, grace_s: float) -> None:
        """End everybody and wait until their connections are closed, `grace_s` at most."""
        self.clear()
        await self._closing.aclose(grace_s=grace_s)
