from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from metered_realtime.media.rtsp_auth import Authenticator
from metered_realtime.media.rtsp_dialogue import RtspDialogue
from metered_realtime.media.rtsp_errors import RtspAuthError, RtspConnectError, RtspTimeoutError
from metered_realtime.media.rtsp_message import RtspRequest
from metered_realtime.media.rtsp_url import parse_rtsp_url
from tests.sdk.media.scripted_camera import ScriptedCamera, answer, frame, scripted

CHALLENGE = 'Digest realm="r", nonce="1", qop="auth"'


def dialogue(url: str, *, login: Authenticator | None = None, timeout_s: float = 5) -> RtspDialogue:
    return RtspDialogue(parse_rtsp_url(url), login=login, timeout_s=timeout_s)


async def connect(talk: RtspDialogue) -> None:
    await talk.connect(on_frame=lambda _channel, _payload: None, on_end=lambda _error: None, ssl_context=None)


@asynccontextmanager
async def talking(camera: ScriptedCamera, login: Authenticator | None = None) -> AsyncIterator[RtspDialogue]:
    talk = dialogue(camera.url, login=login)
    await connect(talk)
    try:
        yield talk
    finally:
        await talk.close(within_s=1)


def asks_for_login(request: RtspRequest) -> bytes:
    if "authorization" in dict(request.headers.fields):
        return answer(request)
    return answer(request, "401 Unauthorized", WWW_Authenticate=CHALLENGE)


async def test_the_login_is_sent_when_asked_for_and_the_session_as_soon_as_known() -> None:
    async with scripted(asks_for_login) as camera, talking(camera, Authenticator("u", "p")) as talk:
        await talk.request("DESCRIBE", camera.url)
        talk.session = "12"
        await talk.request("PLAY", camera.url, {"Range": "npt=0-"})
    first, second, third = camera.requests
    assert first.headers.get("authorization") == ""
    assert second.headers.get("authorization").startswith("Digest ")
    assert third.headers.get("authorization").count("nc=00000002") == 1
    assert third.headers.get("session") == "12"
    assert third.headers.get("range") == "npt=0-"


async def test_who_is_cancelled_while_the_answer_arrives_is_cancelled_all_the_same() -> None:
    asks: list[asyncio.Task[object]] = []
    async with scripted(lambda request: answer(request) + frame(0, b"")) as camera:
        talk = dialogue(camera.url)
        # The frame comes right behind the answer, before anybody has seen that.
        await talk.connect(on_frame=lambda *_: asks[0].cancel(), on_end=lambda _error: None, ssl_context=None)
        asks.append(asyncio.create_task(talk.request("OPTIONS", camera.url), name="ask"))
        await asyncio.wait(asks)
        assert asks[0].cancelled()
        await talk.close(within_s=1)


async def test_a_wrong_login_is_tried_once() -> None:
    def refuse(request: RtspRequest) -> bytes:
        return answer(request, "401 Unauthorized", WWW_Authenticate=CHALLENGE)

    async with scripted(refuse) as camera, talking(camera, Authenticator("u", "p")) as talk:
        with pytest.raises(RtspAuthError, match="refused the login") as caught:
            await talk.request("DESCRIBE", camera.url)
    assert caught.value.login_given
    assert len(camera.requests) == 2


async def test_a_camera_whose_nonces_are_always_stale_is_given_up() -> None:
    def stale(request: RtspRequest) -> bytes:
        return answer(request, "401 Unauthorized", WWW_Authenticate=f"{CHALLENGE}, stale=true")

    async with scripted(stale) as camera, talking(camera, Authenticator("u", "p")) as talk:
        with pytest.raises(RtspAuthError):
            await talk.request("DESCRIBE", camera.url)
    assert len(camera.requests) == 3


async def test_without_a_login_the_wish_for_one_is_told() -> None:
    async with scripted(asks_for_login) as camera, talking(camera) as talk:
        with pytest.raises(RtspAuthError, match="wants a login, and none was given") as caught:
            await talk.request("DESCRIBE", camera.url)
    assert not caught.value.login_given


async def test_silence_is_a_timeout_that_names_the_request() -> None:
    async with scripted(lambda _: b"") as camera:
        talk = dialogue(camera.url, timeout_s=0.05)
        await connect(talk)
        with pytest.raises(RtspTimeoutError, match=f"127.0.0.1:{camera.port} did not answer DESCRIBE within 0.05 s"):
            await talk.request("DESCRIBE", camera.url)
        await talk.close(within_s=1)


async def test_a_closed_port_is_told() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(RtspConnectError, match="refuses connections: is the port right"):
            await connect(dialogue(f"rtsp://127.0.0.1:{bound.getsockname()[1]}/cam"))


async def test_a_host_that_takes_nothing_is_a_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        with pytest.raises(RtspTimeoutError, match=r"within 0.1 s: is it switched on"):
            await connect(dialogue(f"rtsp://127.0.0.1:{full.getsockname()[1]}/cam", timeout_s=0.1))
        for filler in fillers:
            filler.close()


async def test_an_unknown_host_name_is_told() -> None:
    with pytest.raises(RtspConnectError, match=r"the host name of the camera at no-such-camera.invalid:554"):
        await connect(dialogue("rtsp://no-such-camera.invalid/cam"))


async def test_an_address_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(RtspConnectError, match=r"no connection to the camera at 255.255.255.255:554: \S"):
        await connect(dialogue("rtsp://255.255.255.255/cam"))


async def test_tls_that_fails_is_told() -> None:
    async with scripted(lambda _: b"no TLS") as camera:
        talk = dialogue(camera.url.replace("rtsp:", "rtsps:"))
        with pytest.raises(RtspConnectError, match=f"TLS with the camera at 127.0.0.1:{camera.port} failed") as caught:
            await connect(talk)
    assert isinstance(caught.value.__cause__, ssl.SSLError | OSError)
    assert "without TLS it is rtsp://" in str(caught.value)


async def test_a_certificate_that_nobody_signed_is_told(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=cam -days 1 -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(RtspConnectError) as caught:
        await connect(dialogue(f"rtsps://127.0.0.1:{port}/cam"))
    server.close()
    await server.wait_closed()
    assert f"the certificate of the camera at 127.0.0.1:{port} is not accepted (self-signed certificate)" in str(
        caught.value
    )
    assert "write rtsp://" in str(caught.value)


async def test_no_request_without_a_connection() -> None:
    talk = dialogue("rtsp://cam/1")
    await talk.close(within_s=1)
    with pytest.raises(RtspConnectError, match="there is no connection"):
        await talk.request("OPTIONS", "rtsp://cam/1")
