"""Waiting sends over a raw channel."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metered_realtime import events
from metered_realtime.data_channel import DataChannel
from metered_realtime.errors import DataChannelOverflowError, MeteredRealtimeError
from tests.sdk.raw_channel import Raw
from tests.sdk.wired import SmallPictures, wired


def heard(channel: DataChannel) -> list[Any]:
    told: list[Any] = []
    for event_type in (events.DCOpen, events.DCClose, events.DCError, events.DCMessage):
        channel.on(event_type, told.append)
    return told


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_messages_go_out_and_come_in() -> None:
    raw = Raw()
    channel = DataChannel(raw)
    told = heard(channel)
    await channel.send("text")
    await channel.send(b"bytes")
    raw.emit("message", "back")
    raw.emit("message", b"too")
    assert raw.sent == ["text", b"bytes"]
    assert told == [events.DCMessage("back"), events.DCMessage(b"too")]
    assert (channel.label, channel.ready_state, channel.buffered_amount) == ("raw", "open", 9)
    assert raw.bufferedAmountLowThreshold == 524_288


async def test_a_full_buffer_makes_senders_wait_in_order() -> None:
    raw = Raw()
    channel = DataChannel(raw, max_buffered_amount=10, buffer_poll_interval=60.0)
    await channel.send("12345678")
    sending = [asyncio.create_task(channel.send(text)) for text in ("abcdef", "g")]
    await turns()
    assert raw.sent == ["12345678"]
    raw.drain()
    await asyncio.gather(*sending)
    assert raw.sent == ["12345678", "abcdef", "g"]


async def test_a_buffer_that_drained_unheard_is_noticed() -> None:
    raw = Raw()
    channel = DataChannel(raw, max_buffered_amount=10, buffer_poll_interval=0.01)
    await channel.send("12345678")
    sending = asyncio.create_task(channel.send("abcdef"))
    await turns()
    raw.drain(quietly=True)
    async with asyncio.timeout(5):
        await sending


async def test_too_many_waiting_sends_overflow() -> None:
    raw = Raw()
    channel = DataChannel(raw, max_buffered_amount=4, max_queued_sends=2, buffer_poll_interval=60.0)
    await channel.send("full")
    waiting = [asyncio.create_task(channel.send("next")) for _ in range(2)]
    await turns()
    with pytest.raises(DataChannelOverflowError) as overflow:
        await channel.send("more")
    assert (overflow.value.queued, overflow.value.cap) == (2, 2)
    channel.close()
    for each in waiting:
        with pytest.raises(MeteredRealtimeError, match="closed"):
            await each


@pytest.mark.parametrize("state", ["connecting", "closing", "closed"])
async def test_a_channel_that_is_not_open_takes_nothing(state: str) -> None:
    with pytest.raises(MeteredRealtimeError, match=state):
        await DataChannel(Raw(state)).send("x")


async def test_a_message_larger_than_the_buffer_is_refused_with_its_size() -> None:
    with pytest.raises(MeteredRealtimeError, match="5 bytes"):
        await DataChannel(Raw(), max_buffered_amount=4).send("12é4")


async def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="dict"):
        await DataChannel(Raw()).send({})  # type: ignore[arg-type]


async def test_open_and_error_are_told() -> None:
    raw = Raw("connecting")
    channel = DataChannel(raw)
    told = heard(channel)
    raw.readyState = "open"
    raw.emit("open")
    raw.emit("error", ValueError("broken"))
    raw.emit("error", "text")
    assert isinstance(told[0], events.DCOpen)
    assert [str(event.err) for event in told[1:]] == ["broken", "text"]


async def test_a_close_from_the_other_side_is_told_once_and_frees_who_waits() -> None:
    raw = Raw()
    channel = DataChannel(raw, max_buffered_amount=4, buffer_poll_interval=60.0)
    told = heard(channel)
    await channel.send("full")
    waiting = asyncio.create_task(channel.send("next"))
    await turns()
    raw.close()
    with pytest.raises(MeteredRealtimeError):
        await waiting
    assert told == [events.DCClose()]
    channel.close()


async def test_our_own_close_closes_the_raw_channel_and_lets_go_of_it() -> None:
    raw = Raw()
    channel = DataChannel(raw)
    channel.close()
    channel.close()
    assert raw.readyState == "closed"
    assert not raw.listeners("message")
    with pytest.raises(MeteredRealtimeError, match="closed"):
        await channel.send("x")


async def test_a_detached_channel_is_not_closed_but_says_nothing_more() -> None:
    raw = Raw()
    channel = DataChannel(raw, max_buffered_amount=4, buffer_poll_interval=60.0)
    told = heard(channel)
    await channel.send("full")
    waiting = asyncio.create_task(channel.send("next"))
    await turns()
    channel.detach()
    channel.detach()
    raw.emit("message", "late")
    with pytest.raises(MeteredRealtimeError, match="closed"):
        await waiting
    assert (raw.readyState, told) == ("open", [])


async def test_over_a_real_connection() -> None:
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        ours = DataChannel(polite.link.create_data_channel("x"))
        async with ours.events(events.DCOpen) as opened, asyncio.timeout(10):
            await anext(opened)
        (event,) = await impolite.until(lambda: impolite.all(events.DataChannelOpened))
        theirs = DataChannel(event.channel)
        async with theirs.events(events.DCMessage) as messages, asyncio.timeout(10):
            await ours.send("x" * 200_000)
            assert len((await anext(messages)).data) == 200_000
            with pytest.raises(MeteredRealtimeError, match="300000 bytes"):
                await ours.send("x" * 300_000)
