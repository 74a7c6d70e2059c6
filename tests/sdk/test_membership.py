"""Links made, kept and ended as presence says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from metered_realtime.frames import PresencePeer
from metered_realtime.membership import LEAVE_GRACE_S, Membership
from metered_realtime.roster import MAX_PEERS


class Link:
    """Stands for a MemberLink."""

    def __init__(self, peer_id: str, polite: bool) -> None:
        self.remote: Any = peer_id
        self.polite = polite
        self.is_connected = True
        self.calls: list[Any] = []

    def start(self) -> None:
        self.calls.append("start")

    def network_changed(self) -> None:
        self.calls.append("network")

    def returned(self, _metadata: Any) -> None:
        self.calls.append("returned")

    def leave(self) -> None:
        self.calls.append("leave")

    def signalling_lost(self) -> None:
        self.calls.append("lost")

    def signalling_back(self, metadata: Any, *, polite: bool, renamed: bool) -> None:
        self.calls.append((metadata, polite, renamed))

    async def aclose(self) -> None:
        self.calls.append("closed")


class Watch:
    """Stands for a NetworkWatch."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.on_change = on_change
        self.is_on = False

    async def start(self) -> None:
        self.is_on = True

    async def aclose(self) -> None:
        self.is_on = False


class Channel:
    def __init__(self, own_id: str = "m") -> None:
        self.events: list[str] = []
        self.made: dict[str, Link] = {}
        self.open = True
        self.watches: list[Watch] = []
        self.members = Membership(
            open_link=self._open,
            joined=lambda remote: self.events.append(f"+{remote}"),
            left=lambda remote: self.events.append(f"-{remote}"),
            is_open=lambda: self.open,
            open_watch=self._open_watch,
        )
        self.members.welcomed(own_id, 0.0, is_reconnect=False)

    def _open_watch(self, on_change: Callable[[], None]) -> Any:
        self.watches.append(Watch(on_change))
        return self.watches[-1]

    def _open(self, member: PresencePeer, polite: bool) -> Any:
        self.made[member.peer_id] = Link(member.peer_id, polite)
        return self.made[member.peer_id]

    def presence(self, joined: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> None:
        change = self.members.take([PresencePeer(each) for each in joined], [PresencePeer(each) for each in left])
        self.members.admit(change)

    async def until(self, *events: str) -> None:
        async with asyncio.timeout(10):
            while not set(events) <= set(self.events):
                await asyncio.sleep(0.005)


async def test_members_come_and_go_and_the_smaller_id_is_polite() -> None:
    channel = Channel()
    channel.presence(joined=("a", "z"))
    assert (channel.made["a"].polite, channel.made["z"].polite) == (False, True)
    assert len(channel.members) == 2
    channel.presence(left=("a",))
    assert len(channel.members) == 2
    await channel.until("-a")
    assert channel.events == ["+a", "+z", "-a"]
    assert channel.members.get("a") is None
    await channel.members.aclose(1.0)
    assert channel.made["a"].calls == channel.made["z"].calls == ["start", "leave", "closed"]
    assert channel.events[-1] == "-z"


async def test_who_goes_and_comes_at_once_stays() -> None:
    channel = Channel()
    channel.presence(joined=("a", "b"))
    channel.presence(left=("a", "b"))
    channel.presence(joined=("a",))
    assert channel.made["a"].calls == ["start", "returned"]
    await channel.until("-b")
    assert channel.events == ["+a", "+b", "-b"]
    channel.presence(left=("a",))
    await channel.until("-a")
    await channel.members.aclose(1.0)


async def test_who_was_not_connected_goes_at_once_and_comes_back_as_somebody_new() -> None:
    channel = Channel()
    channel.presence(joined=("a", "b"))
    channel.made["a"].is_connected = False
    channel.presence(left=("a",))
    assert channel.events == ["+a", "+b", "-a"]
    channel.presence(joined=("a",))
    assert channel.events == ["+a", "+b", "-a", "+a"]
    await channel.members.aclose(1.0)


async def test_who_had_gone_when_the_service_was_lost_is_gone_and_comes_back_as_somebody_new() -> None:
    channel = Channel()
    channel.presence(joined=("a", "b"))
    channel.presence(left=("a",))
    channel.members.signalling_lost()
    assert channel.events == ["+a", "+b", "-a"]
    gone = channel.made["a"]
    assert gone.calls == ["start", "leave"]
    channel.members.welcomed("m", 1.0, is_reconnect=True)
    channel.presence(joined=("a", "b"))
    assert channel.made["a"] is not gone
    assert channel.made["b"].calls == ["start", "lost", (None, False, False)]
    await channel.members.aclose(1.0)


async def test_who_leaves_makes_room_for_others_at_once() -> None:
    channel = Channel()
    everybody = tuple(f"p{number}" for number in range(MAX_PEERS))
    channel.presence(joined=everybody)
    channel.presence(left=everybody)
    channel.presence(joined=("new",))
    assert channel.members.get("new") is not None
    assert len(channel.members) == 1
    await channel.members.aclose(1.0)


async def test_survivors_hear_of_loss_and_return_and_of_our_new_name_once() -> None:
    channel = Channel("m")
    channel.presence(joined=("a", "n"))
    channel.members.signalling_lost()
    assert not channel.members.welcomed("p", 1.0, is_reconnect=True)
    channel.presence(joined=("a", "new"))
    assert channel.made["a"].calls == ["start", "lost", (None, False, True)]
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


async def test_a_link_starts_when_the_application_has_heard_of_the_peer() -> None:
    channel = Channel()
    told: list[Any] = []
    channel.members._joined = lambda remote: told.append(list(channel.made[remote].calls))
    channel.presence(joined=("a",))
    assert told == [[]]
    assert channel.made["a"].calls == ["start"]
    await channel.members.aclose(1.0)


async def test_a_link_closed_by_the_handler_that_hears_of_it_is_not_started() -> None:
    channel = Channel()
    channel.members._joined = lambda remote: channel.members.clear()
    channel.presence(joined=("a",))
    await channel.members.aclose(1.0)
    assert channel.made["a"].calls == ["leave", "closed"]


async def test_the_network_is_watched_while_there_is_somebody() -> None:
    channel = Channel()
    (watch,) = channel.watches
    channel.presence(joined=("a", "b"))
    await asyncio.sleep(0)
    assert watch.is_on
    watch.on_change()
    assert [link.calls for link in channel.made.values()] == [["start", "network"]] * 2
    channel.presence(left=("a", "b"))
    await channel.until("-a", "-b")
    await asyncio.sleep(0)
    assert not watch.is_on
    channel.presence(joined=("c",))
    await asyncio.sleep(0)
    assert watch.is_on
    await channel.members.aclose(1.0)
    assert not watch.is_on


async def test_a_flood_of_members_is_bounded_counted_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    channel = Channel()
    for flood in range(3):
        channel.presence(joined=tuple(f"{flood}-{number}" for number in range(400)))
    assert len(channel.members) == MAX_PEERS
    assert channel.members.refused_members == 1200 - MAX_PEERS
    assert len(caplog.records) == 1
    for number in range(1000):
        channel.presence(left=(f"0-{number}",))
    await channel.members.aclose(1.0)
    assert len(channel.members._tasks) == 0


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


async def test_who_takes_a_new_connection_while_we_do_stays() -> None:
    channel = Channel()
    channel.presence(joined=("a",))
    channel.presence(left=("a",))
    channel.members.welcomed("m", 1.0, is_reconnect=True)
    await asyncio.sleep(2 * LEAVE_GRACE_S)  # the list of members takes longer than that to come
    channel.presence(joined=("a",))
    assert channel.made["a"].calls == ["start", "returned"]
    assert channel.events == ["+a"]
    await channel.members.aclose(1.0)


async def test_who_is_not_in_the_list_after_our_own_renewal_has_gone() -> None:
    channel = Channel()
    channel.presence(joined=("a", "b"))
    channel.presence(left=("a",))
    channel.members.welcomed("m", 1.0, is_reconnect=True)
    channel.presence(joined=("b",))
    assert channel.events == ["+a", "+b", "-a"]
    await channel.members.aclose(1.0)
