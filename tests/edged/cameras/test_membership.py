from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from edged.cameras.announcements import Announcements
from edged.cameras.errors import LinkLostError
from edged.cameras.link_choice import LinkWaits
from edged.cameras.membership import Membership
from edged.cameras.qualities import Qualities
from edged.settings import Secret
from metered_realtime import MediaStream, MeteredPeer
from tests.edged.cameras.fakes import FakePeer, FakeSource, settings


class Channel:
    """A membership of a channel with one camera in two qualities and one in one."""

    def __init__(self) -> None:
        self.peer = FakePeer()
        self.source = FakeSource()
        self.cameras = {
            one.name: Qualities(
                one,
                report=lambda _name: lambda _state, _detail: None,
                on_status=lambda _quality: self.membership.camera_changed(),
                open_source=self.source.open,
            )
            for one in (settings("yard", sub=Secret("rtsp://192.168.1.20/2")), settings("gate"))
        }
        self.yard = self.cameras["yard"].cameras
        self.main, self.sub = self.cameras["yard"].streams.values()
        self.gate = self.cameras["gate"].streams["main"]
        self.viewers: list[str] = []
        self.membership = Membership(
            cast("MeteredPeer", self.peer),
            Announcements(["us"]),
            self.cameras,
            lambda news: {"type": news},
            on_viewers=self.viewers.append,
            waits=LinkWaits(confirm_s=0, settle_s=0, retry_s=0.01),
        )

    def chosen(self, peer_id: str) -> list[MediaStream]:
        return self.peer.remotes[peer_id].chosen[-1]

    async def answer(self) -> tuple[str | None, dict[str, Any]]:
        while (sent := await self.peer.next_sent())[1]["type"] != "edged/watching":
            pass
        return sent


@asynccontextmanager
async def joined() -> AsyncIterator[Channel]:
    channel = Channel()
    pictures = [camera for one in channel.cameras.values() for camera in one.cameras.values()]
    tasks = [asyncio.create_task(job) for job in (channel.membership.announce(), *(one.run() for one in pictures))]
    await channel.peer.join("farm")
    try:
        yield channel
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def watch(**cameras: Any) -> dict[str, Any]:
    return {"type": "edged/watch", "cameras": cameras}


async def test_a_newcomer_gets_the_main_pictures_before_anything_is_sent_to_it() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        assert channel.peer.remotes["p1"].chosen == [[channel.main, channel.gate]]


async def test_who_asks_gets_what_it_asks_for_and_an_answer() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.come("p2")
        channel.peer.say("p1", watch(yard="sub", gate="none"))
        to, answer = await channel.answer()
        assert (to, answer["cameras"]) == ("p1", {"yard": "sub", "gate": "none"})
        assert channel.chosen("p1") == [channel.sub]
        assert channel.chosen("p2") == [channel.main, channel.gate]


async def test_a_second_wish_waits_for_its_turn_and_is_not_forgotten() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.say("p1", watch(yard="sub"))
        await channel.answer()
        channel.peer.say("p1", watch(yard="none"))
        channel.peer.say("p1", watch(gate="none"))
        assert (await channel.answer())[1]["cameras"] == {"yard": "none", "gate": "none"}
        assert channel.chosen("p1") == []
        assert len(channel.peer.remotes["p1"].chosen) == 3


async def test_another_gateway_gets_nothing_as_soon_as_it_is_known(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with joined() as channel:
        channel.peer.come("p1", {"edged": "gateway"})
        assert channel.peer.remotes["p1"].chosen == [[]]
        channel.peer.come("p2")
        for _ in range(2):
            channel.peer.say("p2", {"type": "edged/gateway", "gateway": "north"})
        assert channel.peer.remotes["p2"].chosen == [[channel.main, channel.gate], []]
        assert [one.message for one in caplog.records if "gateway" in one.message] == [
            "member p2 of the channel is another gateway: it is sent no picture"
        ]


@pytest.mark.parametrize("data", [None, 1, "edged/watch", [], {}, {"type": []}, {"type": "edged/watch", "cameras": []}])
async def test_what_others_say_harms_nobody(data: Any) -> None:
    async with joined() as channel:
        channel.peer.say("p1", data)
        channel.peer.come("p1")
        channel.peer.say("p1", data)
        channel.peer.say("p1", watch(yard="none"))
        assert (await channel.answer())[1]["cameras"] == {"yard": "none", "gate": "main"}


async def test_a_wish_that_came_while_the_link_was_down_is_carried_out_after_it() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.move("reconnecting")
        channel.peer.say("p1", watch(yard="sub"))
        await asyncio.sleep(0)
        assert len(channel.peer.remotes["p1"].chosen) == 1
        channel.peer.move("joined")
        await channel.answer()
        assert channel.chosen("p1") == [channel.sub, channel.gate]


async def test_an_answer_that_the_link_did_not_take_is_sent_when_it_is_back() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.fails = True
        channel.peer.say("p1", {**watch(yard="sub"), "id": 3})
        while channel.chosen("p1") != [channel.sub, channel.gate]:
            await asyncio.sleep(0)
        channel.peer.move("reconnecting")
        channel.peer.fails = False
        channel.peer.move("joined")
        to, answer = await channel.answer()
        assert (to, answer["id"], answer["cameras"]["yard"]) == ("p1", 3, "sub")


async def test_who_left_is_chosen_nothing_for() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.say("p1", watch(yard="sub"))
        channel.peer.leave("p1")
        channel.peer.come("p2")
        channel.peer.say("p2", watch(yard="sub"))
        assert (await channel.answer())[0] == "p2"
        assert len(channel.peer.remotes["p1"].chosen) == 1


async def test_a_link_that_breaks_is_one_spell() -> None:
    async with joined() as channel:
        spell = asyncio.create_task(channel.membership.watch_link("joined", lambda _detail: None))
        await asyncio.sleep(0)
        channel.peer.move("reconnecting")
        with pytest.raises(LinkLostError):
            await spell


async def test_what_ends_the_link_for_good_is_raised() -> None:
    channel = Channel()
    await channel.peer.join("farm")
    channel.peer.die(OSError("no"))
    with pytest.raises(OSError, match="no"):
        await channel.membership.announce()


async def test_the_picture_that_is_live_goes_on_until_the_other_one_is() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        reader = channel.yard["main"].track.open_reader()
        watching = asyncio.create_task(reader.recv())
        (await channel.source.life()).show(1)
        await watching
        channel.peer.say("p1", watch(yard="sub", gate="none"))
        assert (await channel.answer())[1]["cameras"]["yard"] == "sub"
        assert channel.chosen("p1") == [channel.main]
        sub = await channel.source.life()
        sub.show(1)
        while channel.chosen("p1") != [channel.sub]:
            await asyncio.sleep(0)
        channel.peer.leave("p1")
        await asyncio.wait_for(sub.closed.wait(), 5)
        reader.stop()


async def test_who_gives_up_waiting_keeps_nothing_open() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        reader = channel.yard["main"].track.open_reader()
        watching = asyncio.create_task(reader.recv())
        (await channel.source.life()).show(1)
        await watching
        channel.peer.say("p1", watch(yard="sub"))
        await channel.answer()
        sub = await channel.source.life()
        channel.peer.say("p1", watch(yard="main"))
        await channel.answer()
        await asyncio.wait_for(sub.closed.wait(), 5)
        channel.peer.say("p1", watch(yard="sub"))
        await channel.answer()
        sub = await channel.source.life()
        channel.membership.end()
        await asyncio.wait_for(sub.closed.wait(), 5)
        reader.stop()


async def test_a_viewer_on_a_thin_link_gets_the_second_picture_until_it_is_wide_again() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.come("p2")
        channel.peer.link("p1", is_thin=True)
        to, answer = await channel.answer()
        assert (to, answer["cameras"]) == ("p1", {"yard": "sub", "gate": "main"})
        assert "slow" in answer["reasons"]["yard"]
        assert channel.chosen("p1") == [channel.sub, channel.gate]
        channel.peer.link("p1", is_thin=False)
        to, answer = await channel.answer()
        assert (to, answer["cameras"], answer["reasons"]) == ("p1", {"yard": "main", "gate": "main"}, {})
        assert channel.chosen("p1") == [channel.main, channel.gate]
        assert len(channel.peer.remotes["p2"].chosen) == 1, "nothing of it touches another viewer"


async def test_a_new_connection_to_a_viewer_is_not_taken_for_thin() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.link("p1", is_thin=True)
        assert (await channel.answer())[1]["cameras"]["yard"] == "sub"
        channel.peer.remotes["p1"].reset()
        assert (await channel.answer())[1]["cameras"]["yard"] == "main"


async def test_a_second_picture_that_cannot_be_had_is_not_waited_for() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        reader = channel.yard["main"].track.open_reader()
        watching = asyncio.create_task(reader.recv())
        (await channel.source.life()).show(1)
        await watching
        channel.peer.link("p1", is_thin=True)
        assert (await channel.answer())[1]["cameras"]["yard"] == "sub"
        assert channel.chosen("p1") == [channel.main, channel.gate], "the one that is live goes on"
        sub = await channel.source.life()
        sub.fail(OSError("it is switched off"))
        to, answer = await channel.answer()
        assert (to, answer["cameras"]["yard"], answer["reasons"]) == ("p1", "main", {})
        assert channel.chosen("p1") == [channel.main, channel.gate]
        await asyncio.wait_for(sub.closed.wait(), 5)
        reader.stop()


async def test_who_watches_is_counted_and_told_when_it_changes() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.come("p2", {"edged": "gateway"})
        channel.peer.come("p3")
        channel.peer.link("p1", is_thin=True)
        channel.peer.leave("p1")
        channel.peer.leave("p3")
        assert channel.viewers == [", 1 viewer", ", 2 viewers", ", 2 viewers, 1 on a slow link", ", 1 viewer", ""]


async def test_a_member_that_takes_no_pictures_is_not_counted_as_a_viewer() -> None:
    async with joined() as channel:
        channel.peer.come("p1")
        channel.peer.remotes["p1"].move("connecting")
        channel.peer.come("p2")
        channel.peer.remotes["p2"].move("reconnecting")
        channel.peer.say("p2", {"type": "edged/watch", "id": 1, "cameras": {"*": "none"}})
        await channel.answer()
        assert channel.viewers == [", 1 viewer", "", ", 1 viewer", ""]
