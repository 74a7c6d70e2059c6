"""The reading of a socket: at once where little comes, gathered where much does, nothing after the end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from edged.mqtt.intake import GATHER_S, READ_BYTES, Intake
from edged.mqtt.stream import PacketError, PlainMessage
from tests.edged.mqtt.test_stream import PINGRESP, publish


class Timer:
    """A timer of the loop below."""

    def __init__(self, due_s: float, call: Callable[[], None]) -> None:
        self.due_s = due_s
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """A loop whose time passes when it is told to, and whose socket is readable when it is watched and has data."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.reader: Callable[[], None] | None = None
        self.timers: list[Timer] = []
        self.wake_ups = 0

    def time(self) -> float:
        return self.now_s

    def add_reader(self, _sock: Any, call: Callable[[], None]) -> None:
        self.reader = call

    def remove_reader(self, _sock: Any) -> None:
        self.reader = None

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now_s + delay_s, call))
        return self.timers[-1]

    def pass_time(self, seconds: float, sock: Socket | TlsSocket) -> None:
        self.now_s += seconds
        due = [timer for timer in self.timers if timer.due_s <= self.now_s and not timer.is_cancelled]
        self.timers = [timer for timer in self.timers if timer.due_s > self.now_s and not timer.is_cancelled]
        for timer in due:
            self.wake_ups += 1
            timer.call()
        if self.reader is not None and sock.incoming:
            self.wake_ups += 1
            self.reader()


class Socket:
    """A socket that has what was put into it."""

    def __init__(self) -> None:
        self.incoming: deque[bytes | Exception] = deque()

    def recv(self, count: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        first = self.incoming.popleft()
        if isinstance(first, Exception):
            raise first
        while self.incoming and isinstance(more := self.incoming[0], bytes):
            first += more
            self.incoming.popleft()
        if first[count:]:
            self.incoming.appendleft(first[count:])
        return first[:count]


class TlsSocket(ssl.SSLSocket):
    """A TLS socket that has the records put into it: it gives one at a time, or a part of one."""

    def __init__(self) -> None:
        self.incoming: deque[bytes] = deque()
        self.record = b""

    def recv(self, count: int = 1024, _flags: int = 0) -> bytes:
        if not self.record:
            if not self.incoming:
                raise ssl.SSLWantReadError
            self.record = self.incoming.popleft()
        part, self.record = self.record[:count], self.record[count:]
        return part

    def pending(self) -> int:
        return len(self.record)


class Rig:
    """An intake, its loop and socket, and what it handed on."""

    def __init__(self, *, v5: bool = False, sock: Any = None) -> None:
        self.sock = sock if sock is not None else Socket()
        self.loop = Loop()
        self.handed_on: list[Any] = []
        self.ends: list[Exception | None] = []
        self.on_message: Callable[[], None] = lambda: None
        self.intake = Intake(
            self.sock,
            self.loop,
            v5=v5,
            max_packet_bytes=1000,
            on_message=self._message,
            on_other=self.handed_on.append,
            on_end=self.ends.append,
        )
        self.intake.start()

    def _message(self, message: PlainMessage) -> None:
        self.handed_on.append(message.payload)
        self.on_message()

    def come(self, data: bytes | Exception, after_s: float = 1.0) -> None:
        self.sock.incoming.append(data)
        self.loop.pass_time(after_s, self.sock)


def test_messages_and_other_packets_are_handed_on_in_order() -> None:
    rig = Rig()
    rig.come(publish(b"a", b"1") + PINGRESP + publish(b"a", b"2")[:4])
    rig.come(publish(b"a", b"2")[4:])
    assert rig.handed_on == [b"1", PINGRESP, b"2"]


def test_a_message_now_and_then_is_read_when_it_comes() -> None:
    rig = Rig()
    for number in range(5):
        rig.come(publish(b"a", b"%d" % number), after_s=0.2)
        assert len(rig.handed_on) == number + 1
    assert rig.loop.wake_ups == 5
    assert rig.loop.reader is not None


def test_a_fault_of_who_takes_the_messages_ends_the_reading_loudly() -> None:
    rig = Rig()
    for n in range(3):
        rig.come(publish(b"a", b"%d" % n), after_s=GATHER_S)

    def fail() -> None:
        raise LookupError("a fault")

    rig.on_message = fail
    with pytest.raises(LookupError):
        rig.come(publish(b"a", b"3"), after_s=GATHER_S)
    assert [type(error) for error in rig.ends] == [ConnectionAbortedError]
    assert (rig.loop.reader, rig.loop.timers) == (None, [])


def test_messages_that_follow_closely_are_gathered_and_none_stays_behind() -> None:
    rig = Rig()
    for number in range(1000):
        rig.come(publish(b"a", b"%d" % number), after_s=0.001)
    assert len(rig.handed_on) > 990
    assert rig.loop.wake_ups < 1000 * 0.001 / GATHER_S * 1.5
    rig.loop.pass_time(GATHER_S, rig.sock)
    assert len(rig.handed_on) == 1000
    rig.loop.pass_time(GATHER_S, rig.sock)
    assert (rig.loop.reader is not None, rig.loop.timers) == (True, [])


def test_after_a_burst_the_next_message_is_read_when_it_comes() -> None:
    rig = Rig()
    for _ in range(20):
        rig.come(publish(b"a", b"burst"), after_s=0.001)
    rig.loop.pass_time(1.0, rig.sock)
    rig.loop.pass_time(1.0, rig.sock)
    rig.come(publish(b"a", b"single"), after_s=0.0)
    assert rig.handed_on[-1] == b"single"


def test_one_look_reads_no_more_than_its_share() -> None:
    rig = Rig()
    stream = b"".join(publish(b"a", b"%05d" % number) for number in range(READ_BYTES // 10))
    rig.come(stream)
    assert rig.loop.wake_ups == 1
    assert len(rig.handed_on) == READ_BYTES // len(publish(b"a", b"00000"))
    rig.loop.pass_time(GATHER_S, rig.sock)
    assert len(rig.handed_on) == READ_BYTES // 10


def test_all_records_of_tls_that_are_there_are_read_at_one_look() -> None:
    rig = Rig(sock=TlsSocket())
    rig.sock.incoming.extend(publish(b"a", b"%d" % number) for number in range(100))
    rig.loop.pass_time(1.0, rig.sock)
    assert rig.handed_on == [b"%d" % number for number in range(100)]
    assert (rig.loop.wake_ups, rig.loop.reader is not None) == (1, True)


def test_what_tls_has_read_and_the_socket_no_longer_shows_is_read_soon() -> None:
    sock = TlsSocket()
    rig = Rig(sock=sock)
    stream = b"".join(publish(b"a", b"%05d" % number) for number in range(READ_BYTES // 12 + 50))
    sock.incoming.append(stream)
    rig.loop.pass_time(1.0, sock)
    assert sock.pending() > 0
    rig.loop.pass_time(GATHER_S, sock)
    assert len(rig.handed_on) == READ_BYTES // 12 + 50


def test_a_message_that_was_cut_is_not_given_to_the_library_which_would_wait_for_the_rest() -> None:
    rig = Rig(v5=True)
    rig.come(publish(b"a", b"x" * 2000, properties=b"\x02\x0b\x01") + PINGRESP)
    assert (rig.handed_on, [type(end) for end in rig.ends]) == ([], [PacketError])


def test_nothing_is_handed_on_while_it_is_stopped_and_nothing_is_lost() -> None:
    rig = Rig()
    rig.on_message = rig.intake.stop
    rig.come(b"".join(publish(b"a", b"%d" % number) for number in range(4)))
    assert rig.handed_on == [b"0"]
    rig.come(publish(b"a", b"4"))
    assert (rig.handed_on, rig.loop.reader) == ([b"0"], None)
    rig.on_message = lambda: None
    rig.intake.look()
    assert rig.handed_on == [b"0"]
    rig.intake.start()
    rig.intake.start()
    rig.intake.look()
    assert rig.handed_on == [b"%d" % number for number in range(5)]


def test_what_was_left_is_not_written_over_where_handing_it_on_stops_the_reading_again() -> None:
    rig = Rig()
    rig.on_message = rig.intake.stop
    rig.come(b"".join(publish(b"a", b"%d" % number) for number in range(4)))
    rig.sock.incoming.append(publish(b"a", b"4"))
    for _ in range(5):
        rig.intake.start()
        rig.intake.look()
    assert rig.handed_on == [b"%d" % number for number in range(5)]


def test_a_stop_while_gathering_takes_the_timer_back() -> None:
    rig = Rig()
    rig.come(publish(b"a", b"0"))
    rig.come(publish(b"a", b"1"), after_s=0.001)
    assert (rig.loop.reader, len(rig.loop.timers)) == (None, 1)
    rig.intake.stop()
    rig.come(publish(b"a", b"2"))
    assert (rig.handed_on, rig.loop.wake_ups) == ([b"0", b"1"], 2)


def test_a_look_while_gathering_does_not_make_two_timers() -> None:
    rig = Rig()
    rig.come(publish(b"a", b"0"))
    rig.come(publish(b"a", b"1"), after_s=0.001)
    rig.sock.incoming.append(publish(b"a", b"2"))
    rig.intake.look()
    assert len([timer for timer in rig.loop.timers if not timer.is_cancelled]) == 1
    assert rig.handed_on == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", type(None)), (ConnectionResetError(), ConnectionResetError), (b"\x30\xff\xff\xff\xff\xff", PacketError)],
    ids=["closed", "reset", "no packet"],
)
def test_the_end_is_told_once_and_nothing_is_read_after_it(data: bytes | Exception, kind: type) -> None:
    rig = Rig()
    rig.come(publish(b"a", b"0"))
    rig.come(data)
    assert [type(end) for end in rig.ends] == [kind]
    rig.come(publish(b"a", b"1"))
    assert (rig.handed_on, rig.loop.reader, rig.loop.timers) == ([b"0"], None, [])


async def test_a_real_socket_on_a_real_loop_is_read() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    seen: list[bytes] = []

    def take(message: PlainMessage) -> None:
        seen.append(message.payload)
        if len(seen) == 500:
            done.set()

    with near, far:
        intake = Intake(
            near,
            loop,
            v5=False,
            max_packet_bytes=1000,
            on_message=take,
            on_other=lambda _packet: None,
            on_end=lambda _error: None,
        )
        intake.start()
        for number in range(500):
            await loop.sock_sendall(far, publish(b"a", b"%d" % number))
        async with asyncio.timeout(10):
            await done.wait()
        intake.stop()
    assert seen == [b"%d" % number for number in range(500)]
