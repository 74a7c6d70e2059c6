"""A bounded row of messages read as JSON."""

from __future__ import annotations

import asyncio

import pytest

from metered_realtime.errors import NotJsonError
from metered_realtime.json_messages import JsonMessages


class Row:
    def __init__(self, maxsize: int = 3, max_bytes: int = 100) -> None:
        self.errors: list[NotJsonError] = []
        self.closed: list[JsonMessages] = []
        self.messages = JsonMessages(
            maxsize=maxsize, max_bytes=max_bytes, on_error=self.errors.append, on_close=self.closed.append
        )


async def test_text_and_binary_are_read_in_order():
    row = Row()
    for message in ('{"a":1}', b"[2]", '"\\u00e9"'):
        row.messages.push(message)
    row.messages.close()
    assert [value async for value in row.messages] == [{"a": 1}, [2], "é"]


async def test_a_reader_waits_for_the_next_one():
    row = Row()
    reading = asyncio.create_task(anext(row.messages))
    await asyncio.sleep(0)
    row.messages.push("7")
    assert await reading == 7


@pytest.mark.parametrize("bounds", [{"maxsize": 2}, {"max_bytes": 4}])
async def test_the_oldest_are_dropped_and_counted(bounds):
    row = Row(**bounds)
    for message in ("11", "22", "33"):
        row.messages.push(message)
    row.messages.close()
    assert [value async for value in row.messages] == [22, 33]
    assert row.messages.dropped == 1


@pytest.mark.parametrize(("message", "words"), [("nonsense", "not JSON"), (b"\xff", "UTF-8"), ("[" * 5000, "deep")])
async def test_what_is_not_json_is_told_and_passed_over(message, words):
    row = Row(max_bytes=10_000)
    row.messages.push(message)
    row.messages.push("1")
    assert await anext(row.messages) == 1
    assert [error.size for error in row.errors] == [len(message)]
    assert words in str(row.errors[0])


async def test_the_end_is_told_once_and_wakes_the_reader():
    row = Row()
    async with row.messages:
        reading = asyncio.create_task(anext(row.messages, "the end"))
        await asyncio.sleep(0)
        row.messages.close()
        assert await reading == "the end"
    row.messages.push("1")
    assert row.closed == [row.messages]
