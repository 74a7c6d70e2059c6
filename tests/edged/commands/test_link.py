"""The link to the hub: what it brings in, how old that may be, and how its lives end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from edged.commands.link import CommandLink
from edged.commands.policy import Sender
from edged.errors import UplinkLostError
from metered_realtime import (
    AckTimeoutError,
    Connected,
    Direct,
    Disconnected,
    Message,
    ServerRequestError,
    SubscribeOptions,
)

CHANNEL = "farm/commands"


class FakeClient:
    """A client whose events the test makes."""

    def __init__(self) -> None:
        self.handlers: dict[type, Callable[[Any], None]] = {}
        self.subscribed: list[tuple[str, bool]] = []
        self.questions = 0
        self.asked = asyncio.Event()
        self.refuses = ""
        self.is_silent = False
        self.closed = False
        self.sent: list[tuple[str, Any]] = []

    def on(self, event_type: Any, handler: Any, /) -> Any:
        self.handlers[event_type] = handler

    def emit(self, event: Any) -> None:
        self.handlers[type(event)](event)

    async def connect(self) -> None:
        self.emit(Connected("us", 0, None, False, 65536))

    async def close(self) -> None:
        self.closed = True

    async def subscribe(self, channel: str, opts: SubscribeOptions | None = None) -> None:
        if self.refuses:
            raise ServerRequestError(self.refuses, None, "r1")
        self.subscribed.append((channel, opts is not None and opts.include_sender_metadata))

    async def unsubscribe(self, _channel: str) -> None:
        self.questions += 1
        self.asked.set()
        if self.is_silent:
            raise AckTimeoutError("r", 15)

    async def send(self, to_peer_id: str, data: Any) -> None:
        self.sent.append((to_peer_id, data))


class FakeRelay:
    """Keeps what comes in."""

    def __init__(self) -> None:
        self.taken: list[tuple[Sender, Any, float]] = []
        self.beside: list[tuple[str, Any]] = []
        self.is_up = False

    def receive(self, sender: Sender, data: Any, waited_s: float) -> None:
        self.taken.append((sender, data, waited_s))

    def link_up(self, _send: Any) -> None:
        self.is_up = True

    def link_down(self) -> None:
        self.is_up = False

    def send_beside(self, peer_id: str, message: Any) -> None:
        self.beside.append((peer_id, message))


class Bench:
    """One life of a link."""

    def __init__(self, *, check_s: float = 5.0) -> None:
        self.uptime_s = 100.0
        self.client, self.relay = FakeClient(), FakeRelay()
        self.up = asyncio.Event()
        self.link = CommandLink(
            lambda: self.client,
            self.relay,  # type: ignore[arg-type]
            gateway="g",
            channels=(CHANNEL,),
            check_s=check_s,
            uptime_s=lambda: self.uptime_s,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.link.run(lambda _detail: self.up.set()))
        try:
            async with asyncio.timeout(10):
                await self.up.wait()
                await self.client.asked.wait()
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_messages_of_the_channel_and_direct_ones_are_taken_with_their_sender() -> None:
    bench = Bench()
    async with bench.running():
        assert bench.client.subscribed == [(CHANNEL, True)]
        assert bench.relay.is_up
        bench.client.emit(Message(CHANNEL, "p", {"a": 1}, {"role": "operator"}))
        bench.client.emit(Message("another", "p", {"a": 2}))
        bench.client.emit(Direct("q", "text"))

        assert bench.relay.taken == [
            (Sender("p", {"role": "operator"}), {"a": 1}, 0.0),
            (Sender("q", is_direct=True), "text", 0.0),
        ]
    assert bench.client.closed
    assert not bench.relay.is_up


async def test_what_comes_after_a_standstill_is_doubted_until_the_hub_has_answered() -> None:
    bench = Bench()
    async with bench.running():
        bench.uptime_s += 60
        bench.client.asked.clear()
        bench.client.emit(Message(CHANNEL, "p", "stale"))
        assert bench.relay.taken[-1][2] == 60

        await asyncio.wait_for(bench.client.asked.wait(), 10)
        await asyncio.sleep(0)
        bench.client.emit(Message(CHANNEL, "p", "fresh"))
        assert bench.relay.taken[-1][2] == 0


async def test_a_hub_that_answers_no_question_is_trusted_no_more() -> None:
    bench = Bench(check_s=0.5)
    bench.client.is_silent = True
    async with bench.running():
        for _ in range(30):
            bench.uptime_s += 0.4
            bench.client.emit(Message(CHANNEL, "p", "m"))
        waits = [waited_s for _, _, waited_s in bench.relay.taken]

        assert waits[0] == 0
        assert waits[-1] > 10


async def test_a_gateway_that_introduces_itself_is_told_once_that_we_are_one_too() -> None:
    bench = Bench()
    async with bench.running():
        for _ in range(3):
            bench.client.emit(Direct("cameras", {"type": "edged/gateway", "gateway": "g"}))

        assert bench.relay.beside == [("cameras", {"type": "edged/gateway", "gateway": "g"})]
        assert bench.relay.taken == []


@pytest.mark.parametrize(("code", "retry_after_s"), [(1006, None), (4001, 60.0), (4020, 60.0)])
async def test_the_end_of_the_connection_ends_the_life(code: int, retry_after_s: float | None) -> None:
    bench = Bench()
    async with bench.running() as task:
        bench.client.emit(Disconnected(code, "why", True))
        assert not bench.relay.is_up
        await asyncio.wait([task])
        error = task.exception()
        assert isinstance(error, UplinkLostError)
        assert str(error) == f"the connection to the hub ended ({code}: why)"
        assert error.retry_after_s == retry_after_s


async def test_a_channel_that_the_key_does_not_cover_is_said_with_what_to_change() -> None:
    bench = Bench()
    bench.client.refuses = "channel_not_authorized"

    with pytest.raises(UplinkLostError, match=r"farm/commands.*channel_not_authorized.*hub\.key"):
        await bench.link.run(lambda _detail: None)
    assert bench.client.closed
