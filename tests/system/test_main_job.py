"""The main job with real parts: camera and sensors in a browser, and nothing lost when the gateway restarts."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from typing import Any

import pytest

from scripts.lib import peers
from tests.system.conftest import Recorder, Site, publish, subscribed

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
TOPIC = "plant/counter"
READINGS = 1000
ROUTES = {"routes": [{"topic": "plant/#"}]}
FIRST_PICTURE_MS = 5000
RECEIVE_MAXIMUM = 500


def ids_by_value(recorder: Recorder) -> dict[Any, set[str]]:
    found: dict[Any, set[str]] = defaultdict(set)
    for reading in recorder.readings:
        found[reading["value"]].add(reading["id"])
    return found


def first_arrivals(values: list[int]) -> list[int]:
    return list(dict.fromkeys(values))


async def test_browser_shows_the_camera_and_gets_every_reading_in_order(site: Site) -> None:
    broker, _, camera = await site.start_broker(), await site.start_hub(), await site.start_camera()
    yard = {"source": f"{camera.url}/cam", "metadata": {"role": "yard"}}
    gateway = await site.start_gateway(site.settings(cameras={"yard": yard}, telemetry=ROUTES))
    await subscribed(gateway)
    recorder = await site.start_recorder()
    viewer = await site.open_viewer()

    assert await viewer.first_frame_ms() < FIRST_PICTURE_MS
    picture = await viewer.frames_above("yard", 25)
    assert (picture.width, picture.height, picture.state) == (1280, 720, "live")

    await publish(broker, TOPIC, range(READINGS))

    assert await recorder.until_values(TOPIC, range(READINGS)) == list(range(READINGS))
    seen = await viewer.readings_at_least(READINGS)
    assert (seen.count, seen.duplicates, seen.topics) == (READINGS, 0, (TOPIC,))
    sequence = [int(one.rpartition("/")[2]) for one in seen.ids]
    assert sequence == sorted(sequence)
    await viewer.frames_above("yard", picture.frames + 25)


async def restart_in_the_middle(site: Site, how: signal.Signals) -> tuple[Recorder, list[int]]:
    """Publish 1,000 numbers while the gateway is ended by `how` and started again; return what arrived."""
    broker = await site.start_broker()
    await site.start_hub()
    settings = site.settings(telemetry=ROUTES)
    first = await site.start_gateway(settings)
    await subscribed(first)
    recorder = await site.start_recorder()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish(broker, TOPIC, range(READINGS), pace_s=0.002))
        so_far = await recorder.until_values(TOPIC, range(READINGS // 4))
        assert len(so_far) < READINGS // 2, "it is ended in the middle"
        first.signal(how)
        await first.exited()
        await site.start_gateway(settings)
    return recorder, await recorder.until_values(TOPIC, range(READINGS))


async def test_restart_in_the_middle_loses_nothing_and_repeats_nothing(site: Site) -> None:
    recorder, values = await restart_in_the_middle(site, signal.SIGTERM)

    assert first_arrivals(values) == list(range(READINGS))
    assert [ids for ids in ids_by_value(recorder).values() if len(ids) > 1] == [], "a repeat carries the same id"


async def test_kill_in_the_middle_loses_nothing(site: Site) -> None:
    recorder, values = await restart_in_the_middle(site, signal.SIGKILL)

    assert first_arrivals(values) == list(range(READINGS))
    # What the hub had acknowledged and the broker was not yet told of is sent again by the broker, as news.
    twice = [value for value, ids in ids_by_value(recorder).items() if len(ids) > 1]
    assert len(twice) <= RECEIVE_MAXIMUM


async def test_viewer_sees_the_camera_again_after_the_gateway_restarted(site: Site) -> None:
    await site.start_hub()
    camera = await site.start_camera()
    settings = site.settings(cameras={"yard": {"source": f"{camera.url}/cam"}})
    first = await site.start_gateway(settings)
    viewer = await site.open_viewer()
    before = await viewer.frames_above("yard", 5, timeout_s=30)

    await first.stop()
    await viewer.camera_in_state("yard", "lost")
    await site.start_gateway(settings)

    await viewer.frames_above("yard", before.frames + 25, timeout_s=30)
    assert (await viewer.camera_in_state("yard", "live")).width == 1280


async def test_readings_taken_while_the_hub_is_down_arrive_when_it_is_back(site: Site) -> None:
    broker = await site.start_broker()
    port = peers.free_port()
    down = await site.start_hub(port=port)
    gateway = await site.start_gateway(site.settings(telemetry=ROUTES))
    await subscribed(gateway)
    await down.child.stop()

    await publish(broker, TOPIC, range(50))
    gateway.signal(signal.SIGSTOP)  # a channel has no memory, so who is to hear must be there first
    await site.start_hub(port=port)
    recorder = await site.start_recorder()
    gateway.signal(signal.SIGCONT)

    assert first_arrivals(await recorder.until_values(TOPIC, range(50), timeout_s=45)) == list(range(50))
