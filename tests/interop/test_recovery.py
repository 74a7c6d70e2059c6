"""Media after the WebSocket of one side, or of both, was lost: every row of the table in section 15 of the protocol.

Ours is one side; the other is ours as well, the official Python SDK, or Chromium with the browser SDK. The hub is ours
as it comes ("held": a dropped member keeps its seat for 3 s), or as plain as it can be ("at once": the others hear of a
drop at that moment, and nobody is remembered).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

from metered_realtime import events
from scripts.lib.browser import Browser
from scripts.lib.peers import free_port
from tests.interop.others import PATIENCE_S, Others, Pair, others
from tests.sdk.defects.room import Road, Room, hub_with_secrets, plain_room, room_of_hub, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

KINDS = ("ours", "official", "chromium")
AT_ONCE = 2
Ids = Literal["new", "ours polite", "other polite"]
ALL_IDS: tuple[Ids, ...] = ("new", "ours polite", "other polite")
Told = Literal["at once", "held", "hidden"]
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Loss:
    """One row: the ids of the two, and what the hub tells the one who stayed."""

    ids: Ids
    told: Told

    def __str__(self) -> str:
        return f"{self.ids} ids, told {self.told}"


ONE_LOST = [
    *(Loss(ids, told) for ids in ALL_IDS for told in ("at once", "held")),
    *(Loss(ids, "hidden") for ids in ALL_IDS[1:]),
]


@dataclass(frozen=True, slots=True)
class Hubs:
    """A hub of each kind."""

    plain: Room
    ours: Room

    def room(self, told: Told) -> Room:
        hub = self.plain if told == "at once" else self.ours
        return hub.next_door(f"room-{next(_numbers)}")


@pytest_asyncio.fixture(loop_scope="session")
async def hubs() -> AsyncIterator[Hubs]:
    async with plain_room() as plain, room_of_hub(hold_s=3.0) as ours:
        yield Hubs(plain, ours)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=KINDS)
async def other_kind(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Others]:
    async with others(request.param, browser) as made:
        yield made


def names(ids: Ids) -> tuple[str | None, str | None]:
    """Return the ids of ours and of the other; the smaller one is polite."""
    number = next(_numbers)
    small, great = f"a-{number}", f"b-{number}"
    return {"new": (None, None), "ours polite": (small, great), "other polite": (great, small)}[ids]


async def side_by_side(
    cases: Iterable[Any], play: Callable[[Any], Coroutine[Any, Any, None]], *, at_once: int = AT_ONCE
) -> None:
    """Play all cases, a few at a time, each to its end; a failure says which."""
    may_play = asyncio.Semaphore(at_once)

    async def one(case: Any) -> None:
        async with may_play:
            try:
                await play(case)
            except Exception as error:
                error.add_note(f"in the case: {case}")
                raise

    outcomes = await asyncio.gather(*map(one, cases), return_exceptions=True)
    if failures := [outcome for outcome in outcomes if isinstance(outcome, Exception)]:
        raise ExceptionGroup(f"{len(failures)} of {len(outcomes)} cases", failures)


@asynccontextmanager
async def pair_of(room: Room, ids: Ids, made: Others) -> AsyncIterator[Pair]:
    """Two who see each other, and who leave in the end."""
    our_id, other_id = names(ids)
    pair = Pair(await room.member(our_id), await made.one(room, other_id))
    try:
        await pair.meet(room)
        yield pair
    finally:
        await pair.leave()


async def open_again(pair: Pair, road: Road) -> None:
    """Let one side back in, and wait until both know of each other."""
    road.is_open.set()
    await until(lambda: road.connections == 2 and road.rosters, PATIENCE_S)
    await until(lambda: pair.ours.peer.state == "joined", PATIENCE_S)


async def lose(pair: Pair, road: Road, told: Told, survivor_knows: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Cut a road, let the other learn what it may, and open the road again."""
    road.is_open.clear()
    road.cut()
    if told == "at once":
        await survivor_knows()
    else:
        await pair.pictures_arrive()  # media needs no service
    await open_again(pair, road)
    await until(lambda: pair.ours.peer.remote_peers, PATIENCE_S)


async def see_each_other_again(pair: Pair, *, is_remembered: bool = False) -> None:
    """See each other, and go on doing so.

    `is_remembered`: the other was told that ours had gone, and knew it still when it came back. The official Python
    client has closed its end then, and answers nobody polite any more (its defect 1). Ours goes on offering.
    """
    if pair.other.kind == "official" and is_remembered and pair.was_polite:
        offers = len(pair.ours.road.descriptions)
        await until(lambda: len(pair.ours.road.descriptions) > offers or pair.remote.state == "connected", PATIENCE_S)
        return
    await pair.see_each_other()
    await pair.see_each_other()


async def test_media_goes_on_when_ours_was_cut_off(other_kind: Others, hubs: Hubs) -> None:
    async def play(case: Loss) -> None:
        async with pair_of(hubs.room(case.told), case.ids, other_kind) as pair:
            remote = pair.remote
            if case.told == "hidden":
                pair.other.road.withhold = is_presence
            await lose(pair, pair.ours.road, case.told, lambda: pair.other.knows_that_ours_left(1))
            await see_each_other_again(pair)
            if (case.ids, case.told) == ("new", "held"):
                await pair.other.knows_that_ours_left(1)  # of who we were before
                await pair.see_each_other()
            assert pair.remote is remote

    await side_by_side(ONE_LOST, play)


async def test_media_goes_on_when_the_other_was_cut_off(other_kind: Others, hubs: Hubs) -> None:
    async def play(case: Loss) -> None:
        async with pair_of(hubs.room(case.told), case.ids, other_kind) as pair:
            if case.told == "hidden":
                pair.ours.road.withhold = is_presence
            await lose(pair, pair.other.road, case.told, lambda: pair.ours.told_of(events.PeerLeft))
            await see_each_other_again(pair, is_remembered=case.told == "at once")
            if (case.ids, case.told) == ("new", "held"):
                await pair.ours.told_of(events.PeerLeft)
                await pair.see_each_other()

    await side_by_side(ONE_LOST, play)


@pytest.mark.usefixtures("no_crossing_offers")
@pytest.mark.parametrize("first", ["ours", "other"])
async def test_media_goes_on_when_both_were_cut_off(other_kind: Others, hubs: Hubs, first: str) -> None:
    """Told at once: it is as after the restart of a service that remembers nobody."""

    async def play(case: Loss) -> None:
        async with pair_of(hubs.room(case.told), case.ids, other_kind) as pair:
            for road in (pair.ours.road, pair.other.road):
                road.is_open.clear()
                road.cut()
            await come_back_in_order(pair, first)
            await see_each_other_again(
                pair, is_remembered=(case.told, first) == ("at once", "ours") and case.ids != "new"
            )

    await side_by_side([case for case in ONE_LOST if case.told != "hidden"], play)


async def come_back_in_order(pair: Pair, first: str) -> None:
    roads = [pair.ours.road, pair.other.road]
    early, late = roads if first == "ours" else roads[::-1]
    early.is_open.set()
    await until(lambda: early.connections == 2 and early.has_subscribed, PATIENCE_S)
    await open_again(pair, late)
    await until(lambda: pair.ours.peer.remote_peers, PATIENCE_S)


@pytest.mark.usefixtures("no_crossing_offers")
async def test_media_goes_on_when_the_hub_was_restarted(other_kind: Others, tmp_path: Path) -> None:
    """Ours as it comes: it knows that clients are on their way back, and waits for them."""
    address = {"listen": f"127.0.0.1:{free_port()}", "state_dir": str(tmp_path), "hold_s": 3.0}
    cases = [Return(ids, first) for ids in ALL_IDS for first in ("ours", "other")]
    async with AsyncExitStack() as stack:
        async with hub_with_secrets(**address) as hub:
            room = Room(hub, stack)
            for case in cases:
                door = room.next_door(f"room-{next(_numbers)}")
                case.pair = await stack.enter_async_context(pair_of(door, case.ids, other_kind))
                case.remote = case.pair.remote
                case.pair.ours.road.is_open.clear()
                case.pair.other.road.is_open.clear()
        async with hub_with_secrets(**address):
            await side_by_side(cases, back_from_a_restart, at_once=len(cases))


@dataclass(slots=True)
class Return:
    """One pair that comes back, and who of them first."""

    ids: Ids
    first: str
    pair: Any = None
    remote: Any = None


async def back_from_a_restart(case: Return) -> None:
    await come_back_in_order(case.pair, case.first)
    await see_each_other_again(case.pair)
    assert case.ids == "new" or case.pair.remote is case.remote


def is_presence(frame: dict[str, Any]) -> bool:
    return frame["type"] == "presence"
