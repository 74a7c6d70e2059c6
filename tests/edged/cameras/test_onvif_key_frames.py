from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edged.cameras.onvif import OnvifAddress, OnvifCamera
from edged.cameras.onvif_key_frames import OnvifKeyFrames, pace_of
from edged.cameras.onvif_pace import OnvifPace
from metered_realtime.media.access_unit import AccessUnit
from tests.edged.cameras.onvif_service import PASSWORD, USER, OnvifService
from tests.sdk.media.tracks import Clock

SIZE = (320, 240)


class Bench:
    """A camera's connection: its pictures, and the service that is asked."""

    def __init__(self, service: OnvifService, *, password: str = PASSWORD) -> None:
        self.clock = Clock()
        self.pace = OnvifPace()
        address = OnvifAddress.of(service.address, "127.0.0.1")
        camera = OnvifCamera(address, username=USER, password=password, timeout_s=5.0)
        self.key_frames = OnvifKeyFrames("yard", camera, self.pace, clock=self.clock)
        self._units: asyncio.Queue[AccessUnit] = asyncio.Queue()
        self._watched = self.key_frames.watched(self._sent())

    async def picture(self, *, is_key: bool) -> None:
        self._units.put_nowait(AccessUnit(b"x", 0, is_key))
        await anext(self._watched)

    async def asked(self) -> None:
        """Wait until nothing is under way."""
        async with asyncio.timeout(10):
            while any(task.get_name() == "key frame of camera yard" for task in asyncio.all_tasks()):
                await asyncio.sleep(0.005)

    async def _sent(self) -> AsyncIterator[AccessUnit]:
        while True:
            yield await self._units.get()


async def test_a_camera_that_has_shown_that_it_makes_key_frames_is_relied_on() -> None:
    async with OnvifService() as service:
        bench = Bench(service)
        assert not bench.key_frames.request(SIZE), "until then the last group is sent again"
        await bench.asked()
        await bench.picture(is_key=False)
        assert not bench.key_frames.request(SIZE)
        await bench.picture(is_key=True)
        bench.clock.now_s += 5
        assert bench.key_frames.request(SIZE)
        await bench.asked()
        assert service.tokens == ["main & 1"] * 2
        bench.clock.now_s += 5
        assert not bench.key_frames.request(SIZE), "it said yes, and sent none"
        await bench.asked()


async def test_however_many_ask_the_camera_is_asked_once() -> None:
    async with OnvifService() as service:
        bench = Bench(service)
        for _ in range(20):
            bench.key_frames.request(SIZE)
        await bench.asked()
        for _ in range(20):
            bench.key_frames.request(SIZE)
        assert service.tokens == ["main & 1"]


async def test_a_refusal_is_said_once_and_the_camera_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with OnvifService() as service:
        bench = Bench(service, password="wrong")
        bench.key_frames.request(SIZE)
        await bench.asked()
        calls = len(service.calls)
        for _ in range(10):
            bench.clock.now_s += 30
            assert not bench.key_frames.request(SIZE)
        assert len(service.calls) == calls
        assert [record.message for record in caplog.records] == [
            "camera yard gives no key frame by ONVIF: it refused the login; its own are waited for"
        ]


async def test_closing_the_connection_ends_what_is_under_way() -> None:
    async with OnvifService() as service:
        bench = Bench(service)
        bench.key_frames.request(SIZE)
        await bench.key_frames.aclose()
        await bench.asked()
        await bench.key_frames.aclose()
        assert service.tokens == []


def test_how_a_camera_is_asked_outlives_its_connections_and_is_bounded() -> None:
    login = ("u", "wrong")
    first = pace_of("http://cam/x", login)
    assert pace_of("http://cam/x", login) is first
    assert pace_of("http://cam/x", ("u", "right")) is not first, "a login that was mended is tried at once"
    for number in range(300):
        pace_of(f"http://cam{number}/x", login)
    assert pace_of("http://cam/x", login) is not first
