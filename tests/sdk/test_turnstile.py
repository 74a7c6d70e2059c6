"""Steps of many that come at once: one per round of the loop, in order, and nobody waits without need."""

from __future__ import annotations

import asyncio

from metered_realtime.turnstile import Turnstile
from tests.sdk.rounds import Rounds


async def test_who_is_alone_never_waits() -> None:
    turnstile, rounds = Turnstile(), Rounds()
    before = rounds.count
    await turnstile.turn()
    assert rounds.count == before
    for _ in range(3):
        await asyncio.sleep(0)
    before = rounds.count
    await turnstile.turn()
    assert rounds.count == before
    rounds.stop()


async def test_of_many_one_begins_per_round_in_the_order_of_arrival() -> None:
    turnstile, rounds = Turnstile(), Rounds()
    began: list[tuple[int, int]] = []

    async def step(number: int) -> None:
        await turnstile.turn()
        began.append((number, rounds.count))

    await asyncio.gather(*(step(number) for number in range(50)))
    assert [number for number, _ in began] == list(range(50))
    assert len({count for _, count in began}) == 50
    assert len(turnstile) == 0
    rounds.stop()


async def test_who_gives_up_holds_nobody_up() -> None:
    turnstile = Turnstile()
    began: list[int] = []

    async def step(number: int) -> None:
        await turnstile.turn()
        began.append(number)

    tasks = [asyncio.create_task(step(number)) for number in range(6)]
    await asyncio.sleep(0)
    for task in tasks[2:4]:
        task.cancel()
    await asyncio.wait(tasks)
    assert began == [0, 1, 4, 5]


async def test_who_comes_again_takes_its_place_at_the_end() -> None:
    turnstile = Turnstile()
    began: list[str] = []

    async def steps(name: str) -> None:
        for _ in range(3):
            await turnstile.turn()
            began.append(name)

    await asyncio.gather(steps("a"), steps("b"), steps("c"))
    assert began == ["a", "a", "b", "c", "a", "b", "c", "b", "c"]
