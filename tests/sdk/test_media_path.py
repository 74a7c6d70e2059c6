"""Packets that leave through a real socket, together and one by one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from metered_realtime.media.rtp_image import PacketFormat, build_images
from metered_realtime.media_path import RelayPath, UdpPath

FORMAT = PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16)
(IMAGE,) = build_images([bytes([number]) * 500 for number in range(5)] + [b"tail"], FORMAT)
(RUN,) = IMAGE.runs
VIEW = memoryview(IMAGE.data)
PACKETS = [IMAGE.data[start : start + 528] for start in range(0, RUN.end, 528)]


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        yield sock


class Failing:
    """A socket whose system calls fail: at this seam only can a kernel without offload be had."""

    def __init__(self, sock: socket.socket, *, sendmsg: int = 0, sendto: int = 0) -> None:
        self._sock, self._sendmsg, self._sendto = sock, sendmsg, sendto
        self.calls: list[str] = []

    def sendmsg(self, *arguments: Any) -> int:
        self.calls.append("sendmsg")
        if self._sendmsg:
            raise OSError(self._sendmsg, "no")
        return self._sock.sendmsg(*arguments)

    def sendto(self, *arguments: Any) -> int:
        self.calls.append("sendto")
        if self._sendto:
            raise OSError(self._sendto, "no")
        return self._sock.sendto(*arguments)


def test_a_run_arrives_as_its_packets(sender: socket.socket, receiver: socket.socket) -> None:
    path = UdpPath(sender, receiver.getsockname())

    assert path.send_run(VIEW, RUN)

    assert [receiver.recv(2000) for _ in PACKETS] == PACKETS
    assert path.offload


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EMSGSIZE])
def test_without_offload_the_same_packets_arrive_one_by_one(
    sender: socket.socket, receiver: socket.socket, number: int
) -> None:
    failing: Any = Failing(sender, sendmsg=number)
    path = UdpPath(failing, receiver.getsockname())

    assert path.send_run(VIEW, RUN)
    assert path.send_run(VIEW, RUN)

    assert [receiver.recv(2000) for _ in range(12)] == PACKETS * 2
    assert failing.calls.count("sendmsg") == 1  # not tried again


def test_a_full_socket_says_so_before_anything_left(sender: socket.socket, receiver: socket.socket) -> None:
    full: Any = Failing(sender, sendmsg=errno.EAGAIN, sendto=errno.EAGAIN)

    assert not UdpPath(full, receiver.getsockname()).send_run(VIEW, RUN)
    assert not UdpPath(full, receiver.getsockname()).send_one(b"packet")


def test_what_the_kernel_refuses_is_counted_and_does_not_raise(sender: socket.socket, receiver: socket.socket) -> None:
    unreachable: Any = Failing(sender, sendmsg=errno.EHOSTUNREACH, sendto=errno.EPERM)
    path = UdpPath(unreachable, receiver.getsockname())

    assert path.send_run(VIEW, RUN)
    assert path.send_one(b"packet")
    assert path.refused == 7


def test_a_relay_gets_packet_after_packet() -> None:
    sent: list[bytes] = []
    path = RelayPath(sent.append)

    assert path.send_run(VIEW, RUN)
    assert path.send_one(b"more")

    assert sent == [*PACKETS, b"more"]
