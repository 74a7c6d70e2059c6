"""One life of the link to the hub: how it starts, and the sentences it ends with."""

from __future__ import annotations

import asyncio

import pytest

from edged.errors import UplinkLostError
from edged.telemetry.uplink import run_uplink
from metered_realtime import SignallingConnectError


class RecordingForwarder:
    def __init__(self):
        self.link = None
        self.history = []
        self.ended = []

    def link_up(self, link):
        self.link = link
        self.history.append("up")

    def link_down(self):
        self.link = None
        self.history.append("down")

    def link_ended(self, error, *, too_fast):
        self.ended.append((error, too_fast))


@pytest.fixture
async def life(hub):
    class Life:
        forwarder = RecordingForwarder()
        up = asyncio.Event()

        async def start(self):
            self.task = asyncio.create_task(run_uplink(hub.open_client, self.forwarder, lambda _detail: self.up.set()))
            await asyncio.wait_for(self.up.wait(), 5)

        async def error(self):
            await asyncio.wait([self.task], timeout=5)
            return self.task.exception()

    life = Life()
    yield life
    if hasattr(life, "task"):
        life.task.cancel()
        await asyncio.wait([life.task])


async def test_the_link_serves_the_forwarder_until_it_ends(life, hub):
    hub.max_message_size = 12_345
    await life.start()
    assert life.forwarder.link.max_message_bytes == 12_345
    await hub.drop()
    error = await life.error()
    assert str(error) == "the connection to the hub ended (1006)"
    assert error.retry_after_s is None
    assert life.forwarder.link is None
    assert hub.clients[0].closed


@pytest.mark.parametrize(
    ("code", "words", "retry_after_s"),
    [
        (4001, "set hub.key", 60),
        (4010, "too many connections", 30),
        (4011, "too fast", None),
        (4020, "administrator", 60),
    ],
)
async def test_a_close_code_becomes_a_sentence_and_a_pause(life, hub, code, words, retry_after_s):
    await life.start()
    await hub.drop(code, "because")
    error = await life.error()
    assert words in str(error)
    assert f"({code}: because)" in str(error)
    if retry_after_s is None:
        assert error.retry_after_s is None
    else:
        assert 0.8 * retry_after_s <= error.retry_after_s <= 1.2 * retry_after_s
    assert life.forwarder.ended == [(str(error), code == 4011)]


async def test_a_first_connection_that_fails_passes_its_own_error_on(hub):
    hub.refuse_connect = (4001, "bad key")
    forwarder = RecordingForwarder()
    with pytest.raises(SignallingConnectError):
        await run_uplink(hub.open_client, forwarder, lambda _detail: None)
    assert hub.clients[0].closed


async def test_a_connection_refused_for_its_rate_slows_us_down(hub):
    hub.refuse_connect = (4011, "slow down")
    forwarder = RecordingForwarder()
    with pytest.raises(SignallingConnectError):
        await run_uplink(hub.open_client, forwarder, lambda _detail: None)
    assert [too_fast for _error, too_fast in forwarder.ended] == [True]


async def test_the_forwarder_can_end_a_link_that_only_looks_alive(life):
    await life.start()
    life.forwarder.link.fail(UplinkLostError("the hub does not answer"))
    life.forwarder.link.fail(UplinkLostError("a second reason"))
    assert str(await life.error()) == "the hub does not answer"


async def test_cancellation_closes_the_client(life, hub):
    await life.start()
    life.task.cancel()
    await asyncio.wait([life.task])
    assert life.task.cancelled()
    assert hub.clients[0].closed
