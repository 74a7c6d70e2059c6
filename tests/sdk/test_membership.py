"""Links made, kept and ended as presence says."""

from __future__ import annotations

import asyncio
from typing import Any

from metered_realtime.frames import PresencePeer
from metered_realtime.membership import Membership


class Link:
    """Stands for a PeerLink."""

    def __init__(self, peer_id: str, polite: bool) -> None:
        self.remote: Any = peer_id
        self.polite = polite
        self.calls: list[Any] = []

    def leave(self) -> None:
        self.calls.append("leave")

    def signalling_lost(self) -> None:
        self.calls.append("lost")

    def signalling_back(self, metadata: Any, *, polite: bool, renamed: bool) -> None:
        self.calls.append((metadata, polite, renamed))

    async def aclose(self) -> None:
        self.calls.append("closed")


class Channel:
    def __init__(self, own_id: str = "m") -> None:
        self.events: list[str] = []
        self.made: dict[str, Link] = {}
        self.open = True
        self.members = Membership(
            open_link=self._open,
            joined=lambda remote: self.events.append(f"+{remote}"),
            left=lambda remote: self.events.append(f"-{remote}"),
            is_open=lambda: self.open,
        )
        self.members.welcomed(own_id, 0.0, is_reconnect=False)

    def _open(self, member: PresencePeer, polite: bool) -> Any:
        self.made[member.peer_id] = Link(member.peer_id, polite)
        return self.made[member.peer_id]

    def presence(self, joined: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> None:
        change = self.members.take([PresencePeer(each) for each in joined], [PresencePeer(each) for each in left])
        self.members.admit(change)


async def test_members_come_and_go_and_the_smaller_id_is_polite() -> None:
    channel = Channel()
    channel.presence(joined=("a", "z"))
    assert (channel.made["a"].polite, channel.made["z"].polite) == (False, True)
    assert len(channel.members) == 2
    channel.presence(left=("a",))
    assert channel.events == ["+a", "+z", "-a"]
    assert channel.members.get("a") is None
    await channel.members.aclose(1.0)
    assert channel.made["a"].calls == channel.made["z"].calls == ["leave", "closed"]
    assert channel.events[-1] == "-z"


async def test_survivors_hear_of_loss_and_return_and_of_our_new_name_once() -> None:
    channel = Channel("m")
    channel.presence(joined=("a", "n"))
    channel.members.signalling_lost()
    assert not channel.members.welcomed("p", 1.0, is_reconnect=True)
    channel.presence(joined=("a", "new"))
    assert channel.made["a"].calls == ["lost", (None, False, True)]
    assert channel.events == ["+a", "+n", "-n", "+new"] or set(channel.events) == {"+a", "+n", "-n", "+new"}
    channel.members.signalling_lost()
    channel.members.welcomed("p", 2.0, is_reconnect=True)
    channel.presence(joined=("a", "new"))
    assert channel.made["a"].calls[-1] == (None, False, False)
    await channel.members.aclose(1.0)


async def test_a_handler_that_closes_everything_stops_the_rest() -> None:
    channel = Channel()
    channel.members._joined = lambda remote: setattr(channel, "open", False)
    channel.presence(joined=("a", "b"))
    assert set(channel.made) == {"a"}
    await channel.members.aclose(1.0)


async def test_the_wait_for_the_list_asks_again_and_then_gives_up() -> None:
    channel, asked = Channel(), []
    channel.presence(joined=("a",))
    channel.members.signalling_lost()
    loop = asyncio.get_running_loop()
    # Long ago: every deadline has passed already.
    channel.members.welcomed("m", loop.time() - 1000.0, is_reconnect=True)
    roster = channel.members._roster
    watching = asyncio.create_task(
        channel.members.await_snapshot(lambda: asked.append("again"), lambda: asked.append("give up"))
    )
    while not asked:
        await asyncio.sleep(0)
    roster._snapshot_by = loop.time() - 1.0
    watching.cancel()
    again = asyncio.create_task(
        channel.members.await_snapshot(lambda: asked.append("again"), lambda: asked.append("give up"))
    )
    while len(asked) < 2:
        await asyncio.sleep(0)
    again.cancel()
    roster._snapshot_by = loop.time() - 1.0
    await channel.members.await_snapshot(lambda: asked.append("again"), lambda: asked.append("give up"))
    assert asked == ["again", "again", "give up"]
    await channel.members.aclose(1.0)
