"""The announcer against a broker that takes, refuses or breaks off. Its second is an instant here."""

import asyncio
import contextlib
import copy
import json
import time

import pytest

from edged.errors import BrokerNotConnectedError, BrokerRefusedError
from edged.settings import SiteSettings
from edged.site import announcer as module
from edged.site.announcer import Announcer
from edged.site.memory import TopicMemory
from tests.edged.site.status import STATUS


class FakeBroker:
    """Holds what is published, and fails as it is told."""

    def __init__(self):
        self.held = {}
        self.published = []
        self.error = None
        self.refused = 0
        self.changed = asyncio.Event()

    async def publish(self, topic, payload, qos=1, retain=False):
        assert (qos, retain) == (1, True)
        if self.error is not None:
            self.refused += 1
            self.changed.set()
            raise self.error
        self.published.append((topic, payload))
        if payload:
            self.held[topic] = payload
        else:
            self.held.pop(topic, None)
        self.changed.set()

    async def until(self, ready):
        async with asyncio.timeout(10):
            while not ready():
                self.changed.clear()
                await self.changed.wait()


class Message:
    def __init__(self, payload, *, retain=False):
        self.payload = payload
        self.retain = retain


@pytest.fixture(autouse=True)
def short_second(monkeypatch):
    monkeypatch.setattr(module, "_SOON_S", 0.01)


@pytest.fixture
async def site(tmp_path):
    broker = FakeBroker()
    status = copy.deepcopy(STATUS)

    @contextlib.asynccontextmanager
    async def running(**settings):
        announcer = Announcer(
            SiteSettings(**settings),
            "farm-1",
            status=lambda: status,
            publish=broker.publish,
            memory=TopicMemory(tmp_path),
            clock=time.monotonic,
        )
        task = asyncio.create_task(announcer.run(print))
        try:
            yield announcer
        finally:
            task.cancel()
            await asyncio.wait([task])
            with contextlib.suppress(asyncio.CancelledError):
                task.result()

    return running, broker, status


async def test_nothing_is_published_before_there_is_a_connection(site):
    running, broker, _ = site
    async with running() as announcer:
        announcer.changed()
        await asyncio.sleep(0.05)
        assert not broker.published
        announcer.up()
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
    assert broker.published[0] == ("edged/farm-1/state", b"online")


async def test_a_stop_on_purpose_says_offline(site):
    running, broker, _ = site
    async with running() as announcer:
        announcer.up()
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
    assert broker.held["edged/farm-1/state"] == b"offline"


async def test_a_stop_without_a_connection_says_nothing(site):
    running, broker, _ = site
    async with running():
        pass
    assert not broker.published


async def test_only_what_changed_is_told(site):
    running, broker, status = site
    async with running() as announcer:
        announcer.up()
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
        broker.published.clear()
        status["figures"]["cameras"]["yard"]["state"] = "lost"
        announcer.changed()
        await broker.until(lambda: broker.published)
        assert json.loads(broker.held["edged/farm-1/camera/yard"])["state"] == "lost"
        looks, look = [], announcer._status

        def looked():
            looks.append(look())
            broker.changed.set()
            return looks[-1]

        announcer._status = looked
        announcer.changed()
        await broker.until(lambda: looks)
        status["figures"]["cameras"]["yard"]["state"] = "live"
        announcer.changed()
        await broker.until(lambda: len(broker.published) > 1)
        assert [topic for topic, _ in broker.published] == ["edged/farm-1/camera/yard"] * 2


async def test_numbers_are_told_with_the_interval(site, monkeypatch):
    running, broker, status = site
    async with running(interval_s=1) as announcer:
        announcer.up()
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
        status["account"]["delivered"] = 7
        await broker.until(lambda: json.loads(broker.held["edged/farm-1/outbox"])["delivered"] == 7)


async def test_what_is_gone_is_removed_even_after_a_restart(site):
    running, broker, status = site
    async with running(homeassistant=True) as announcer:
        announcer.up()
        await broker.until(lambda: "homeassistant/sensor/edged_farm-1/readings_dropped/config" in broker.held)
    assert "edged/farm-1/camera/yard" in broker.held
    del status["figures"]["cameras"]["yard"]
    async with running(homeassistant=False) as announcer:
        announcer.up()
        await broker.until(lambda: not [topic for topic in broker.held if topic.startswith("homeassistant")])
        await broker.until(lambda: "edged/farm-1/camera/yard" not in broker.held)
    assert broker.held["edged/farm-1/state"] == b"offline"


async def test_never_removes_what_an_earlier_life_has_published(site):
    running, broker, _ = site
    async with running() as announcer:
        announcer.up()
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
    async with running(state="never") as announcer:
        announcer.up()
        await broker.until(lambda: not broker.held)
    assert not broker.held


async def test_a_connection_that_breaks_is_waited_for_and_told_everything(site):
    running, broker, _ = site
    async with running() as announcer:
        broker.error = BrokerNotConnectedError("gone")
        announcer.up()
        await broker.until(lambda: broker.refused)
        broker.error = None
        announcer.changed()
        await asyncio.sleep(0.05)
        assert not broker.published
        announcer.up()
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)


async def test_a_broker_that_is_slow_is_told_when_it_answers_and_of_the_end(site):
    running, broker, _ = site
    tried = asyncio.Event()

    class SlowError(TimeoutError):
        def __init__(self):
            super().__init__()
            tried.set()

    async with running() as announcer:
        broker.error = SlowError
        announcer.up()
        await asyncio.wait_for(tried.wait(), 10)
        broker.error = None
        await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
    assert broker.held["edged/farm-1/state"] == b"offline"


async def test_after_a_fault_of_ours_it_goes_on_without_a_goodbye(site, tmp_path):
    _, broker, status = site
    figures = status.pop("figures")
    announcer = Announcer(
        SiteSettings(), "farm-1", status=lambda: status, publish=broker.publish, memory=TopicMemory(tmp_path)
    )
    announcer.up()
    with pytest.raises(KeyError, match="figures"):
        await announcer.run(print)
    assert not broker.published
    status["figures"] = figures
    task = asyncio.create_task(announcer.run(print))
    await broker.until(lambda: "edged/farm-1/uplink" in broker.held)
    task.cancel()
    await asyncio.wait([task])
    assert broker.held["edged/farm-1/state"] == b"offline"


async def test_a_broker_that_refuses_is_complained_of_once(site, caplog):
    running, broker, _ = site
    async with running() as announcer:
        broker.error = BrokerRefusedError("the broker does not take 'edged/farm-1/state': allow it for our user")
        announcer.up()
        await broker.until(lambda: broker.refused > 1)
        assert "site:" in caplog.text
        announcer.changed()
        await asyncio.sleep(0.05)
    assert caplog.text.count("allow it for our user, or set site.state: never") == 1


async def test_home_assistant_that_starts_is_told_everything_but_not_without_end(site):
    running, broker, _ = site
    topic = "homeassistant/binary_sensor/edged_farm-1/connection/config"

    def told():
        return [one for one, _ in broker.published].count(topic)

    async with running(homeassistant=True) as announcer:
        announcer.up()
        await broker.until(lambda: told() == 1)
        announcer.homeassistant_said(Message(b"online", retain=True))
        await asyncio.sleep(0.05)
        assert told() == 1
        for _ in range(5):
            announcer.homeassistant_said(Message(b"online"))
        announcer.homeassistant_said(Message(b"offline"))
        await broker.until(lambda: told() == 2)
        await asyncio.sleep(0.05)
        assert told() == 2
