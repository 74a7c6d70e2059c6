"""The transports against a real camera (gst-rtsp-server), and against a scripted one for what that never does."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.rtsp import (
    RtspClient,
    RtspConnectError,
    RtspProtocolError,
    RtspTimeoutError,
    RtspTransportError,
)
from metered_realtime.media.rtsp_message import RtspRequest
from tests.sdk.media.camera_process import camera
from tests.sdk.media.h264_samples import idr, pps, rtp, slice_nal, sps, stap_a
from tests.sdk.media.scripted_camera import SDP, Answers, answer, polite, scripted

TIMEOUT_S = 8.0


async def read(url: str, count: int, **options: Any) -> tuple[list[AccessUnit], RtspClient]:
    """Return the first units."""
    async with RtspClient(url, timeout_s=TIMEOUT_S, **options) as rtsp:
        return [await rtsp.next_unit() for _ in range(count)], rtsp


@pytest.mark.system
async def test_a_camera_that_sends_over_udp_only_is_read_over_udp() -> None:
    sounds: list[AudioUnit] = []
    with camera("--transport", "udp") as process:
        units, rtsp = await read(process.url("/alaw"), 25, on_audio=sounds.append)
        assert rtsp.transport == "udp"
        assert units[0].is_key
        assert [unit.pts_90k for unit in units] == sorted(unit.pts_90k for unit in units)
        assert (rtsp.stats().lost_packets, rtsp.stats().bad_packets) == (0, 0)
        assert sounds
        with pytest.raises(RtspTransportError, match="does not send its video over TCP"):
            await read(process.url(), 1, transport="tcp")


@pytest.mark.system
async def test_a_camera_that_sends_over_tcp_only_is_read_over_tcp() -> None:
    with camera("--transport", "tcp") as process:
        _, rtsp = await read(process.url(), 2)
        assert rtsp.transport == "tcp"
        with pytest.raises(RtspTransportError, match="does not send its video over UDP"):
            await read(process.url(), 1, transport="udp")


@pytest.mark.system
async def test_a_camera_behind_tls_is_read_by_whoever_trusts_it(tmp_path: Path) -> None:
    certificate, key = self_made(tmp_path)
    context = ssl.create_default_context(cafile=certificate)
    with camera("--tls", certificate, key) as process:
        units, rtsp = await read(process.url(), 2, transport="udp", ssl_context=context)
        assert units[0].is_key
        assert rtsp.transport == "tcp"
        with pytest.raises(RtspConnectError, match=r"the certificate .* is not accepted"):
            await read(process.url(), 1)


@pytest.mark.system
async def test_several_slices_a_picture_and_a_new_size_in_mid_stream() -> None:
    with camera() as process:
        units, rtsp = await read(process.url("/slices"), 12)
        assert (rtsp.stats().pictures, rtsp.stats().dropped_units) == (12, 0)
        assert units[0].data.count(b"\x00\x00\x01\x65") > 1
        sizes = set()
        async with asyncio.timeout(TIMEOUT_S), RtspClient(process.url("/resize"), timeout_s=TIMEOUT_S) as rtsp:
            while len(sizes) < 2:
                unit = await rtsp.next_unit()
                size = (rtsp.video.width, rtsp.video.height)
                assert unit.is_key or not sizes or size in sizes
                sizes.add(size)
        assert sizes == {(320, 240), (160, 120)}


def refusing(status: str, *, way: str) -> Answers:
    """A camera that refuses one transport in SETUP."""

    def answers(request: RtspRequest) -> bytes | None:
        is_tcp = "/TCP" in request.headers.get("transport")
        if request.method == "SETUP" and is_tcp == (way == "tcp"):
            return answer(request, status)
        if request.method == "SETUP":
            return answer(request, Transport="RTP/AVP;unicast;client_port=1-2", Session="12")
        return answer(request) if request.method == "PLAY" else polite(request)

    return answers


@pytest.mark.parametrize("status", ["461 Unsupported Transport", "400 Bad Request"])
async def test_udp_is_tried_where_tcp_is_refused_and_strangers_are_not_heard(status: str) -> None:
    async with scripted(refusing(status, way="tcp")) as fake, RtspClient(fake.url, timeout_s=TIMEOUT_S) as rtsp:
        offers = [request.headers.get("transport") for request in fake.requests if request.method == "SETUP"]
        assert offers[0] == "RTP/AVP/TCP;unicast;interleaved=0-1"
        head, _, ports = offers[1].partition(";unicast;client_port=")
        assert head == "RTP/AVP"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            first = ("127.0.0.1", int(ports.partition("-")[0]))
            # The last packet overtakes the one before it.
            for data in (
                rtp(1, 0, stap_a(sps(), pps())),
                rtp(2, 0, idr(), marker=True),
                rtp(4, 3000, idr(), marker=True),
                rtp(3, 3000, stap_a(sps(), pps())),
            ):
                sender.sendto(data, first)
        assert (await rtsp.next_unit()).is_key
        assert (await rtsp.next_unit()).pts_90k == 3000
        assert (rtsp.stats().lost_packets, rtsp.stats().old_packets) == (0, 0)


async def test_after_a_loss_over_udp_nothing_is_shown_before_the_next_key_frame() -> None:
    async with scripted(refusing("461 No", way="tcp")) as fake, RtspClient(fake.url, timeout_s=TIMEOUT_S) as rtsp:
        offer = [request.headers.get("transport") for request in fake.requests if request.method == "SETUP"][-1]
        port = int(offer.partition("client_port=")[2].partition("-")[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(60):
                is_key = number in (0, 40)
                payloads = [stap_a(sps(), pps()), idr()] if is_key else [slice_nal(), b""]
                for index, payload in enumerate(payloads):
                    if number != 5:  # lost on the way
                        packet = rtp(2 * number + index, number * 3000, payload, marker=index == 1)
                        sender.sendto(packet, ("127.0.0.1", port))
                await asyncio.sleep(0.001)
        units = [await rtsp.next_unit() for _ in range(10)]
        assert [unit.pts_90k // 3000 for unit in units] == [0, 1, 2, 3, 4, 40, 41, 42, 43, 44]
        assert [unit.is_key for unit in units].count(True) == 2
        assert rtsp.stats().lost_packets == 2


async def test_udp_that_never_arrives_is_told_with_the_likely_cause() -> None:
    async with scripted(refusing("461 No", way="tcp")) as fake, RtspClient(fake.url, timeout_s=0.3) as rtsp:
        with pytest.raises(RtspTimeoutError, match=r"no picture for 0\.3 s: it sends over UDP, which a firewall may"):
            await rtsp.next_unit()


async def test_a_camera_that_refuses_both_is_told() -> None:
    def deaf(request: RtspRequest) -> bytes | None:
        return answer(request, "461 Unsupported") if request.method == "SETUP" else polite(request)

    async with scripted(deaf) as fake:
        with pytest.raises(RtspTransportError, match="over TCP or UDP") as caught:
            await read(fake.url, 1)
        assert caught.value.retry_after_s == 60.0


async def test_a_camera_that_answers_udp_with_something_else_is_told() -> None:
    def odd(request: RtspRequest) -> bytes | None:
        if request.method == "SETUP":
            return answer(request, Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        return polite(request)

    async with scripted(odd) as fake:
        with pytest.raises(RtspTransportError, match="over UDP, as it was asked to"):
            await read(fake.url, 1, transport="udp")


async def test_any_other_refusal_is_no_reason_to_try_udp() -> None:
    async with scripted(refusing("503 Unavailable", way="tcp")) as fake:
        with pytest.raises(RtspProtocolError, match="is busy"):
            await read(fake.url, 1)
        assert fake.methods.count("SETUP") == 1


async def test_sound_takes_the_way_of_the_picture() -> None:
    def answers(request: RtspRequest) -> bytes | None:
        if request.method == "DESCRIBE":
            return answer(request, body=SDP + b"m=audio 0 RTP/AVP 0\r\na=control:track2\r\n")
        return refusing("461 No", way="tcp")(request)

    async with scripted(answers) as fake:
        async with RtspClient(fake.url, timeout_s=TIMEOUT_S, on_audio=lambda _: None) as rtsp:
            assert rtsp.audio is not None
        offers = [request.headers.get("transport") for request in fake.requests if request.method == "SETUP"]
        assert ["TCP" in offer for offer in offers] == [True, False, False]


def test_a_transport_nobody_knows_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="transport must be one of auto, tcp, udp"):
        RtspClient("rtsp://cam", transport="http")  # type: ignore[arg-type]


def self_made(folder: Path) -> tuple[str, str]:
    """Write a certificate for 127.0.0.1 and its key; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")
