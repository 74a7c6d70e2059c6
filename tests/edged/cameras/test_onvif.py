from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from edged.cameras.onvif import OnvifAddress, OnvifCamera, OnvifError
from tests.edged.cameras.onvif_service import PASSWORD, USER, OnvifService

LEARNING = ["GetSystemDateAndTime", "GetCapabilities", "GetProfiles"]
ASKING = "SetSynchronizationPoint"
SIZE = (320, 240)


@pytest.fixture
async def service() -> AsyncIterator[OnvifService]:
    async with OnvifService() as running:
        yield running


def camera(service: OnvifService, **options: Any) -> OnvifCamera:
    address = OnvifAddress.of(options.pop("address", service.address), "127.0.0.1")
    return OnvifCamera(address, **{"username": USER, "password": PASSWORD, "timeout_s": 2.0, **options})


async def refusal(asked: OnvifCamera) -> OnvifError:
    with pytest.raises(OnvifError) as told:
        await asked.set_synchronization_point(SIZE)
    assert PASSWORD not in str(told.value)
    return told.value


async def test_a_key_frame_is_asked_of_the_profile_with_the_size_of_the_stream(service: OnvifService) -> None:
    asked = camera(service)
    await asked.set_synchronization_point(SIZE)
    assert service.calls == [*LEARNING, ASKING]
    await asked.set_synchronization_point(SIZE)
    assert service.calls == [*LEARNING, ASKING, ASKING], "learned once"
    assert service.tokens == ["main & 1"] * 2


async def test_a_stream_of_another_size_is_taken_for_the_first(service: OnvifService) -> None:
    await camera(service).set_synchronization_point((111, 222))
    await camera(service).set_synchronization_point(None)
    assert service.tokens == ["sub_0"] * 2


async def test_a_camera_whose_clock_is_wrong_takes_the_login_all_the_same() -> None:
    async with OnvifService(clock_off=timedelta(days=-400, hours=3)) as service:
        await camera(service).set_synchronization_point(SIZE)
        assert service.tokens == ["main & 1"]


async def test_a_camera_whose_clock_is_at_the_end_of_time_is_given_our_own() -> None:
    async with OnvifService() as service:
        date = "<tt:Year>9999</tt:Year><tt:Month>12</tt:Month><tt:Day>31</tt:Day>"
        time = "<tt:Hour>23</tt:Hour><tt:Minute>59</tt:Minute><tt:Second>59</tt:Second>"
        clock = f'<a xmlns:tt="tt"><tt:UTCDateTime>{time}{date}</tt:UTCDateTime></a>'.encode()
        service.raw["GetSystemDateAndTime"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(clock) + clock
        await camera(service).set_synchronization_point(SIZE)
        assert service.tokens == ["main & 1"]


async def test_a_camera_that_knows_logins_by_http_only_is_given_one() -> None:
    async with OnvifService(http_digest=True) as service:
        asked = camera(service)
        await asked.set_synchronization_point(SIZE)
        await asked.set_synchronization_point(SIZE)
        assert service.tokens == ["main & 1"] * 2
        assert service.calls.count("GetCapabilities") == 2, "the first without the login that it wants"
        assert service.calls.count(ASKING) == 2, "and then never again without it"


@pytest.mark.parametrize("http_digest", [False, True])
async def test_a_wrong_login_is_a_refusal_and_is_not_tried_twice(http_digest: bool) -> None:
    async with OnvifService(http_digest=http_digest) as service:
        told = await refusal(camera(service, password="wrong"))
        assert (str(told), told.is_refusal) == ("it refused the login", True)
        assert len(service.calls) == (3 if http_digest else 2)


async def test_a_password_is_not_sent_in_the_clear(service: OnvifService) -> None:
    service.raw["GetProfiles"] = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\nContent-Length: 0\r\n\r\n'
    told = await refusal(camera(service))
    assert str(told) == "it refused the login"
    assert service.calls.count("GetProfiles") == 1


async def test_the_address_may_be_that_of_the_media_service(service: OnvifService) -> None:
    await camera(service, address=service.address.replace("device_service", "media")).set_synchronization_point(SIZE)
    assert service.calls == [*LEARNING, ASKING]


async def test_a_camera_that_names_no_media_service_is_asked_where_it_is(service: OnvifService) -> None:
    service.media_path = "/onvif/device_service"
    service.has_capabilities = False
    await camera(service).set_synchronization_point(SIZE)
    assert service.tokens == ["main & 1"]


async def test_a_profile_that_is_gone_is_looked_for_again(service: OnvifService) -> None:
    asked = camera(service)
    await asked.set_synchronization_point(SIZE)
    service.faults[ASKING] = "NoProfile"
    asking = asyncio.create_task(asked.set_synchronization_point(SIZE))
    while service.calls[-1] != "GetProfiles" or len(service.calls) < 6:
        await asyncio.sleep(0)
    service.faults.clear()
    await asking
    assert service.calls == [*LEARNING, ASKING, ASKING, *LEARNING, ASKING]


async def test_what_a_camera_wants_repeated_adds_no_line_to_our_request(service: OnvifService) -> None:
    service.raw["GetCapabilities"] = (
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a\nX: 1", nonce="n"\r\nContent-Length: 0\r\n\r\n'
    )
    assert "a header holds a line break" in str(await refusal(camera(service)))


async def test_a_camera_that_wants_a_login_where_none_is_known_is_asked_once(service: OnvifService) -> None:
    service.raw["GetCapabilities"] = (
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="cam", nonce="n"\r\nContent-Length: 0\r\n\r\n'
    )
    assert (await refusal(camera(service, username="", password=""))).trouble == "login"
    assert service.calls == ["GetSystemDateAndTime", "GetCapabilities"]


async def test_a_host_that_cannot_be_one_is_one_sentence(service: OnvifService) -> None:
    assert "a..b:80" in str(await refusal(camera(service, address="http://a..b/")))


@pytest.mark.parametrize("code", ["ActionNotSupported", "SomethingElse"])
async def test_a_camera_that_cannot_do_it_says_so(service: OnvifService, code: str) -> None:
    service.faults[ASKING] = code
    told = await refusal(camera(service))
    assert (str(told), told.is_refusal) == (f"it said: no {ASKING}", True)


async def test_an_answer_in_chunks_is_read(service: OnvifService) -> None:
    service.is_chunked = True
    await camera(service).set_synchronization_point(SIZE)
    assert service.tokens == ["main & 1"]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "it closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "it does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", "larger than 262144 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<a", "cut short"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000, "larger than 262144 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, "its head does not end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/ ", "it is no XML"),
        (b'HTTP/1.1 200 OK\r\n\r\n<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "declares a document type"),
        (b"HTTP/1.1 302 Go\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/>", "it has no media profile"),
    ],
)
async def test_a_hostile_answer_is_one_sentence(service: OnvifService, raw: bytes, says: str) -> None:
    service.raw["GetProfiles"] = raw
    assert says in str(await refusal(camera(service)))


async def test_a_service_that_is_silent_or_not_there_is_no_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        service = OnvifService()
        told = await refusal(camera(service, address=address, timeout_s=0.1))
        assert "gave no answer within 0.1 s" in str(told)
        assert not told.is_refusal
    told = await refusal(camera(service, address=address))
    assert "cannot be reached: Connect" in str(told)
    assert not told.is_refusal


@pytest.mark.parametrize(
    ("setting", "host", "means"),
    [
        ("auto", "cam", OnvifAddress("http", "cam", 80, "/onvif/device_service")),
        ("http://10.0.0.7:8000", "cam", OnvifAddress("http", "10.0.0.7", 8000, "/onvif/device_service")),
        ("https://cam/onvif/media", "cam", OnvifAddress("https", "cam", 443, "/onvif/media")),
        ("auto", "fe80::1", OnvifAddress("http", "fe80::1", 80, "/onvif/device_service")),
    ],
)
def test_where_the_service_is(setting: str, host: str, means: OnvifAddress) -> None:
    assert OnvifAddress.of(setting, host) == means
    assert means.shown.endswith(str(means.port))
