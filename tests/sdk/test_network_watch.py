"""Watching the network: over a pair of sockets, and for real in a network namespace."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from metered_realtime import network_watch
from metered_realtime.network_watch import NetworkWatch

from .netlink import DELADDR, HOST_SCOPE, NEWADDR, ask_kernel, gone_address, new_address

ROOT = Path(__file__).parents[2]


class Kernel:
    """The other end of the socket."""

    def __init__(self) -> None:
        self.opened = 0
        self.ends: list[socket.socket] = []

    def open(self) -> socket.socket:
        self.opened += 1
        ours, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.ends.append(end)
        return ours

    @property
    def end(self) -> socket.socket:
        return self.ends[-1]

    def say(self, datagram: bytes) -> None:
        self.end.send(datagram)

    def close(self) -> None:
        for end in self.ends:
            end.close()


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(network_watch, "SETTLE_S", 0.02)
    monkeypatch.setattr(network_watch, "LONGEST_SETTLE_S", 0.1)
    made = Kernel()
    yield made
    made.close()


class Told(asyncio.Semaphore):
    def __init__(self) -> None:
        super().__init__(0)
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self.release()

    async def once(self) -> None:
        async with asyncio.timeout(5):
            await self.acquire()


async def test_a_burst_of_changes_is_told_once(kernel):
    told = Told()
    watch = NetworkWatch(told, open_socket=kernel.open)
    await watch.start()
    await watch.start()
    assert watch.is_watching
    for number in range(20):
        kernel.say(new_address(f"192.0.2.{number}"))
    await told.once()
    kernel.say(gone_address("192.0.2.7"))
    await told.once()
    assert told.count == 2
    await watch.aclose()
    await watch.aclose()
    assert not watch.is_watching


async def test_changes_without_end_are_told_all_the_same(kernel, monkeypatch):
    monkeypatch.setattr(network_watch, "SETTLE_S", 60.0)
    told = Told()
    watch = NetworkWatch(told, open_socket=kernel.open)
    await watch.start()
    kernel.say(new_address("192.0.2.1"))
    await told.once()
    await watch.aclose()


async def test_watches_of_a_loop_share_one_socket_that_ends_with_the_last(kernel):
    told, also = Told(), Told()
    first, second = NetworkWatch(told, open_socket=kernel.open), NetworkWatch(also, open_socket=kernel.open)
    await first.start()
    await second.start()
    assert kernel.opened == 1
    kernel.say(new_address("192.0.2.1"))
    await told.once()
    await also.once()
    await first.aclose()
    kernel.say(new_address("192.0.2.2"))
    await also.once()
    assert told.count == 1
    await second.aclose()
    assert kernel.end.recv(100)  # the request for the addresses there are
    assert kernel.end.recv(100) == b""  # and the end
    await first.start()
    assert kernel.opened == 2
    await first.aclose()


async def test_nothing_is_told_after_the_end(kernel):
    told = Told()
    watch = NetworkWatch(told, open_socket=kernel.open)
    await watch.start()
    kernel.say(new_address("192.0.2.1"))
    ear = network_watch._ears[asyncio.get_running_loop()]
    async with asyncio.timeout(5):
        while ear._settled is None:
            await asyncio.sleep(0)
    await watch.aclose()
    await asyncio.sleep(2 * network_watch.SETTLE_S)
    assert told.count == 0


async def test_where_the_socket_is_forbidden_nothing_is_lost_but_the_notice(caplog):
    def forbidden() -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    caplog.set_level(logging.DEBUG)
    watches = [NetworkWatch(Told(), open_socket=forbidden) for _ in range(2)]
    for watch in watches:
        await watch.start()
        assert not watch.is_watching
    assert len(caplog.records) == 1
    assert "not noticed" in caplog.text
    for watch in watches:
        await watch.aclose()


async def test_where_there_is_no_netlink_it_is_forbidden(monkeypatch):
    monkeypatch.delattr(socket, "AF_NETLINK")
    with pytest.raises(OSError, match="no netlink"):
        network_watch.open_netlink()


class Troubled(socket.socket):
    """A socket whose next reads fail."""

    errors: tuple[int, ...] = ()

    def recvfrom(self, *args):
        if self.errors:
            error, *self.errors = self.errors
            raise OSError(error, os.strerror(error))
        return super().recvfrom(*args)


def troubled(kernel: Kernel, *errors: int) -> socket.socket:
    made = Troubled(fileno=kernel.open().detach())
    made.errors = errors
    return made


async def test_messages_lost_by_the_kernel_count_as_a_change_and_are_asked_for_anew(kernel):
    told = Told()
    watch = NetworkWatch(told, open_socket=lambda: troubled(kernel, errno.ENOBUFS))
    await watch.start()
    kernel.say(b"x")
    await told.once()
    assert watch.is_watching
    assert [len(kernel.end.recv(100)) for _ in range(2)] == [24, 24]
    await watch.aclose()


async def test_a_socket_that_fails_for_good_is_let_go(kernel):
    told = Told()
    watch = NetworkWatch(told, open_socket=lambda: troubled(kernel, errno.EIO))
    await watch.start()
    kernel.say(b"x")
    await told.once()
    assert not watch.is_watching
    await watch.aclose()


async def test_messages_of_other_processes_are_not_believed(kernel):
    told, read = Told(), asyncio.Event()

    class Foreign(socket.socket):
        def recvfrom(self, *args):
            datagram, _ = super().recvfrom(*args)
            read.set()
            return datagram, (4712, 0)

    watch = NetworkWatch(told, open_socket=lambda: Foreign(fileno=kernel.open().detach()))
    await watch.start()
    kernel.say(new_address("192.0.2.1"))
    await read.wait()
    assert network_watch._ears[asyncio.get_running_loop()]._settled is None
    await watch.aclose()


def test_a_loop_closed_with_its_watch_open_leaves_no_socket(kernel):
    async def leave_open() -> None:
        await NetworkWatch(Told(), open_socket=kernel.open).start()

    async def another() -> None:
        watch = NetworkWatch(Told(), open_socket=kernel.open)
        await watch.start()
        await watch.aclose()

    asyncio.run(leave_open())
    asyncio.run(another())
    assert not network_watch._ears
    assert kernel.ends[0].recv(100)
    assert kernel.ends[0].recv(100) == b""


# For real -------------------------------------------------------------------------------------------


async def watch_real_changes(addresses: list[str]) -> None:
    """Run in a network namespace of our own: change addresses and hear of it."""
    told = Told()
    watch = NetworkWatch(told)
    await watch.start()
    assert watch.is_watching
    for address in addresses:
        for kind in (NEWADDR, DELADDR):
            ask_kernel(kind, address)
            await told.once()
    count = told.count
    ask_kernel(NEWADDR, "127.0.0.77", scope=HOST_SCOPE)
    await asyncio.sleep(2 * network_watch.SETTLE_S)
    assert told.count == count
    await watch.aclose()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_kernel_tells_of_real_addresses(loop):
    unshare = shutil.which("unshare")
    assert unshare, "this test needs unshare (util-linux)"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    become_root = [] if os.geteuid() == 0 else ["--map-root-user"]  # a root in a chroot may not have another user
    command = [unshare, *become_root, "--net", sys.executable, "-m", __name__, loop]
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=30)
    hint = "; the test needs the right to make a network namespace (root, or unprivileged user namespaces)"
    assert ran.returncode == 0, f"{ran.stderr[-2000:]}{hint if 'unshare' in ran.stderr else ''}"


if __name__ == "__main__":
    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(watch_real_changes(["10.77.0.1"]))
    else:
        asyncio.run(watch_real_changes(["10.77.0.1"]))
