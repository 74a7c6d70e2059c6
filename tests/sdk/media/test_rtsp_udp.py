from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from metered_realtime.media import rtsp_udp
from metered_realtime.media.rtsp_udp import UdpTrack, bare_host
from tests.sdk.media.h264_samples import rtp

HERE = frozenset({"127.0.0.1"})


@contextmanager
def camera_socket(host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((host, 0))
        one.settimeout(5)
        yield one


async def test_packets_arrive_in_order_and_only_from_the_camera() -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    reported: asyncio.Queue[bytes] = asyncio.Queue()
    track = UdpTrack(arrived.put_nowait, reported.put_nowait)
    await track.open("127.0.0.1")
    try:
        assert track.ports[0] % 2 == 0
        assert track.ports[1] == track.ports[0] + 1
        track.listen(HERE, None)
        first, second, third = (rtp(number, 0, b"x") for number in (1, 2, 3))
        with camera_socket() as camera, camera_socket("127.0.0.2") as stranger:
            stranger.sendto(b"nonsense", ("127.0.0.1", track.ports[0]))
            stranger.sendto(b"a false report", ("127.0.0.1", track.ports[1]))
            for data in (first, third, second):
                camera.sendto(data, ("127.0.0.1", track.ports[0]))
            camera.sendto(b"a report", ("127.0.0.1", track.ports[1]))
            got = [await asyncio.wait_for(arrived.get(), 5) for _ in range(3)]
            assert await asyncio.wait_for(reported.get(), 5) == b"a report"
        assert got == [first, second, third]
        assert track.strangers == 2
    finally:
        track.close()


async def test_the_way_from_the_camera_is_opened_by_a_greeting() -> None:
    track = UdpTrack(lambda _: None, lambda _: None)
    await track.open("127.0.0.1")
    try:
        with camera_socket() as rtp_side, camera_socket() as rtcp_side:
            ports = rtp_side.getsockname()[1], rtcp_side.getsockname()[1]
            track.listen(HERE, ports)
            assert (await asyncio.to_thread(rtp_side.recvfrom, 100))[1] == ("127.0.0.1", track.ports[0])
            assert (await asyncio.to_thread(rtcp_side.recvfrom, 100))[0][:2] == b"\x80\xc9"
        track.listen(HERE, ports)  # nobody is there any more: the refusal harms nothing
        await asyncio.sleep(0.01)
    finally:
        track.close()


async def test_an_address_that_is_not_ours_is_an_os_error() -> None:
    with pytest.raises(OSError, match="assign"):
        await UdpTrack(lambda _: None, lambda _: None).open("192.0.2.1")


async def test_ports_beside_each_other_are_looked_for_until_there_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([True, True, False])
    bound = rtsp_udp._bound  # the seam to the kernel

    def crowded(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
        if port and next(refusals, False):
            raise OSError(98, "Address already in use")
        return bound(family, host, port)

    monkeypatch.setattr(rtsp_udp, "_bound", crowded)
    track = UdpTrack(lambda _: None, lambda _: None)
    await track.open("127.0.0.1")
    assert track.ports[1] == track.ports[0] + 1
    track.close()


def test_addresses_of_one_machine_are_written_alike() -> None:
    assert bare_host("fe80::1%eth0") == "fe80::1"
    assert bare_host("::ffff:127.0.0.1") == "127.0.0.1"
