"""The built-in greenhouse: smooth values, and the shape of the broker door."""

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from edged.demo_sensors import Greenhouse, greenhouse


@given(st.floats(min_value=0, max_value=1e6), st.floats(min_value=0, max_value=0.5))
def test_values_are_plausible_and_smooth(at_s, step_s):
    now, later = greenhouse(at_s), greenhouse(at_s + step_s)
    assert 15 < now["greenhouse/temperature"] < 30
    assert 40 < now["greenhouse/humidity"] < 75
    assert now["greenhouse/door"] in {"open", "closed"}
    assert abs(now["greenhouse/temperature"] - later["greenhouse/temperature"]) < 0.4
    assert abs(now["greenhouse/humidity"] - later["greenhouse/humidity"]) < 0.7


async def test_measurements_come_every_time_and_the_door_when_it_changes():
    got: asyncio.Queue = asyncio.Queue()
    said = []
    task = asyncio.create_task(Greenhouse(got.put_nowait, interval_s=0.001).run(said.append))
    messages = [await got.get() for _ in range(7)]
    task.cancel()
    topics = [message.topic for message in messages]
    assert topics.count("greenhouse/door") == 1
    assert topics.count("greenhouse/temperature") == 3
    assert all(json.loads(message.payload) is not None for message in messages)
    assert messages[0].received_ms > 1_600_000_000_000
    assert not messages[0].retain
    messages[0].ack()
    assert said == ["a built-in greenhouse"]


async def test_nothing_comes_while_paused():
    got: asyncio.Queue = asyncio.Queue()
    source = Greenhouse(got.put_nowait, interval_s=0.001)
    source.pause_reading()
    task = asyncio.create_task(source.run(lambda _: None))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert got.empty()
    source.resume_reading()
    await got.get()
    task.cancel()
