"""One data channel over all the channels it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metered_realtime import channel_reopening, events
from metered_realtime.errors import DataChannelOverflowError, MeteredRealtimeError, NotJsonError
from metered_realtime.reopening_channel import ReopeningDataChannel
from tests.sdk.raw_channel import FakeRemote
from tests.sdk.wired import SmallPictures, wired


def heard(channel: ReopeningDataChannel) -> list[Any]:
    told: list[Any] = []
    for event_type in (events.StateChange, events.DCOpen, events.DCClose, events.DCError, events.DCMessage):
        channel.on(event_type, told.append)
    return told


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_sends_wait_for_the_channel_and_go_out_in_order() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x", ordered=False)
    told = heard(channel)
    sending = [asyncio.create_task(channel.send(text)) for text in ("a", "b")]
    await turns()
    assert (channel.state, channel.buffered_amount) == ("connecting", 2)
    remote.channels[0].open()
    await asyncio.gather(*sending)
    await channel.opened(1.0)
    assert remote.channels[0].sent == ["a", "b"]
    assert channel.buffered_amount == 2
    assert remote.parameters == [{"ordered": False}]
    assert told == [events.StateChange("connecting", "open"), events.DCOpen()]


async def test_what_waits_outlives_a_reset_and_what_was_handed_over_is_not_repeated() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x", max_buffered_amount=8)
    told = heard(channel)
    remote.channels[0].open()
    await channel.send("12345678")
    waiting = asyncio.create_task(channel.send("next"))
    await turns()
    remote.reset()
    await turns()
    assert not waiting.done()
    remote.channels[0].emit("message", "from the grave")
    remote.channels[1].open()
    await waiting
    assert [each.sent for each in remote.channels] == [["12345678"], ["next"]]
    assert remote.channels[0].readyState == "open", "a channel whose connection is gone is not closed"
    changes = [(event.from_, event.to) for event in told if isinstance(event, events.StateChange)]
    assert changes == [("connecting", "open"), ("open", "connecting"), ("connecting", "open")]
    assert not [event for event in told if isinstance(event, events.DCMessage)]


async def test_a_channel_the_other_side_closes_is_opened_again(monkeypatch) -> None:
    monkeypatch.setattr(channel_reopening, "FIRST_DELAY_S", 0.01)
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    remote.channels[0].open()
    remote.channels[0].close()
    async with asyncio.timeout(5):
        while len(remote.channels) < 2:
            await asyncio.sleep(0.005)
        remote.channels[1].open()
        await channel.opened()


async def test_the_accepting_side_takes_the_channel_of_its_label() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x", accept=True)
    told = heard(channel)
    assert not remote.channels
    remote.offer("y")
    assert channel.state == "connecting"
    first = remote.offer("x")
    await channel.send("a")
    first.emit("message", b"b")
    second = remote.offer("x")
    await channel.send("c")
    assert (first.sent, first.readyState, second.sent) == (["a"], "closed", ["c"])
    assert told[1:] == [events.DCOpen(), events.DCMessage(b"b")]


@pytest.mark.parametrize("polite", [True, False])
async def test_two_that_open_at_once_use_the_channel_of_the_impolite_side(polite) -> None:
    remote = FakeRemote(polite=polite)
    channel = ReopeningDataChannel(remote, "x")
    told = heard(channel)
    remote.channels[0].open()
    theirs = remote.offer("x")
    await channel.send("a")
    theirs.emit("message", "b")
    assert (remote.channels[0].sent, theirs.sent) == (([], ["a"]) if polite else (["a"], []))
    assert remote.channels[0].readyState == ("closed" if polite else "open")
    assert told[-1] == events.DCMessage("b")


async def test_a_channel_agreed_on_beforehand_is_open_at_once() -> None:
    remote = FakeRemote()
    remote.initial_state = "open"
    channel = ReopeningDataChannel(remote, "x", negotiated=True, id=5)
    assert channel.state == "open"
    remote.reset()
    assert channel.state == "open"


async def test_too_much_waiting_overflows() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x", max_queued_sends=2, max_queued_bytes=10)
    waiting = [asyncio.create_task(channel.send("1234"))]
    await turns()
    with pytest.raises(DataChannelOverflowError, match="4 bytes") as overflow:
        await channel.send("1234567")
    assert (overflow.value.queued, overflow.value.cap) == (4, 10)
    waiting.append(asyncio.create_task(channel.send("1234")))
    await turns()
    with pytest.raises(DataChannelOverflowError, match="2 messages"):
        await channel.send("1")
    waiting[0].cancel()
    await turns()
    remote.channels[0].open()
    await waiting[1]
    assert remote.channels[0].sent == ["1234"]
    assert channel.buffered_amount == 4


async def test_a_message_that_can_never_be_sent_is_refused_and_the_next_one_goes() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x", max_buffered_amount=4)
    with pytest.raises(MeteredRealtimeError, match="5 bytes"):
        await channel.send("12345")
    with pytest.raises(TypeError):
        await channel.send({})  # type: ignore[arg-type]
    remote.channels[0].open()
    remote.channels[0].send = lambda data: (_ for _ in ()).throw(ValueError("larger than the peer takes"))  # type: ignore[method-assign]
    with pytest.raises(MeteredRealtimeError, match="larger"):
        await channel.send("1234")
    del remote.channels[0].send
    await channel.send("1")
    assert remote.channels[0].sent == ["1"]


async def test_a_message_sent_while_the_channel_is_closing_waits_for_the_next() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    remote.channels[0].open()
    remote.channels[0].readyState = "closing"
    waiting = asyncio.create_task(channel.send("a"))
    await turns()
    remote.reset()
    remote.channels[1].open()
    await waiting
    assert remote.channels[1].sent == ["a"]


async def test_it_ends_when_the_peer_leaves() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    told = heard(channel)
    values = channel.json_messages()
    waiting = asyncio.create_task(channel.send("a"))
    opening = asyncio.create_task(channel.opened())
    await turns()
    remote.leave()
    for each in (waiting, opening):
        with pytest.raises(MeteredRealtimeError, match="closed"):
            await each
    assert told == [events.StateChange("connecting", "closed"), events.DCClose()]
    assert [value async for value in values] == []
    assert [value async for value in channel.json_messages()] == []
    assert not remote.listener_count(events.ConnectionReset)
    remote.channels[0].open()
    assert channel.state == "closed"
    with pytest.raises(MeteredRealtimeError, match="has left"):
        ReopeningDataChannel(remote, "x")


async def test_our_own_close_closes_and_stays_closed() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    remote.channels[0].open()
    channel.close()
    channel.close()
    remote.reset()
    assert [each.readyState for each in remote.channels] == ["closed"]
    with pytest.raises(MeteredRealtimeError, match="'x' is closed"):
        await channel.send("a")
    assert repr(channel) == "ReopeningDataChannel('x', closed)"


async def test_a_handler_of_the_loss_may_close_it() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    remote.channels[0].open()
    channel.on(events.StateChange, lambda event: channel.close() if event.to == "connecting" else None)
    remote.reset()
    assert len(remote.channels) == 1
    assert channel.state == "closed"


async def test_an_opening_that_fails_is_told_and_tried_again(monkeypatch) -> None:
    monkeypatch.setattr(channel_reopening, "FIRST_DELAY_S", 0.01)
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    told = heard(channel)
    remote.trouble = RuntimeError("the connection is closed")
    remote.reset()
    assert str(told[-1].err) == "the connection is closed"
    remote.trouble = None
    async with asyncio.timeout(5):
        while len(remote.channels) < 2:
            await asyncio.sleep(0.005)
    remote.channels[1].open()
    await channel.opened()
    channel.close()


async def test_parameters_that_cannot_work_are_refused_at_once() -> None:
    remote = FakeRemote()
    remote.trouble = ValueError("no such parameter")
    with pytest.raises(ValueError, match="no such"):
        ReopeningDataChannel(remote, "x")
    assert not remote.listener_count(events.ConnectionReset)


async def test_opened_gives_up_after_its_timeout() -> None:
    channel = ReopeningDataChannel(FakeRemote(), "x")
    with pytest.raises(TimeoutError):
        await channel.opened(0.01)


async def test_json_goes_out_and_comes_in() -> None:
    remote = FakeRemote()
    channel = ReopeningDataChannel(remote, "x")
    told = heard(channel)
    remote.channels[0].open()
    await channel.send_json({"é": [1, None]})
    assert remote.channels[0].sent == ['{"é":[1,null]}']
    with pytest.raises(TypeError):
        await channel.send_json(object())
    async with channel.json_messages(maxsize=2) as values:
        for message in ('{"a":1}', "nonsense", b"[2]"):
            remote.channels[0].emit("message", message)
        assert await anext(values) == [2]
        assert values.dropped == 1
    assert [type(event.err) for event in told if isinstance(event, events.DCError)] == [NotJsonError]
    remote.channels[0].emit("error", ValueError("broken"))
    assert str(told[-1].err) == "broken"


async def test_over_real_connections_that_are_replaced() -> None:
    async with wired() as (polite, impolite, _):
        ours = ReopeningDataChannel(polite.link.remote, "x")
        theirs = ReopeningDataChannel(impolite.link.remote, "x")
        polite.add(SmallPictures())
        async with asyncio.timeout(30), theirs.json_messages() as values, ours.json_messages() as back:
            await ours.send_json({"n": 1})
            assert await anext(values) == {"n": 1}
            await theirs.send_json({"n": 2})
            assert await anext(back) == {"n": 2}
            polite.link.signalling_back(None, polite=True, renamed=True)
            async with polite.link.remote.events(events.ConnectionReset) as resets:
                await anext(resets)
            await ours.send_json({"n": 3})
            assert await anext(values) == {"n": 3}
            await theirs.send_json({"n": 4})
            assert await anext(back) == {"n": 4}
