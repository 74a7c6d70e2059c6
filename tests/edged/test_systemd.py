"""Talking to the service manager, over a real datagram socket."""

import socket

import pytest

from edged.systemd import Notifier, status_text, watchdog_interval_s


@pytest.fixture
def manager(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield receiver


@pytest.fixture
def notifier(manager):
    made = Notifier()
    yield made
    made.close()


def test_the_life_of_a_service_is_told(manager, notifier):
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_status_is_utf8_in_one_line_and_told_once(manager, notifier):
    notifier.status("Käse\nREADY=1")
    notifier.status("Käse READY=1")
    notifier.stopping()
    assert manager.recv(100) == "STATUS=Käse READY=1".encode()
    assert manager.recv(100) == b"STOPPING=1"


def test_without_a_service_manager_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    notifier.status("x")
    notifier.close()


def test_a_service_manager_that_is_gone_disturbs_nobody(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notifier = Notifier()
    notifier.ready()
    notifier.close()
    notifier.ready()


def test_a_service_manager_that_does_not_read_blocks_nobody(manager, notifier):
    for number in range(5000):
        notifier.status(f"status {number} " + "x" * 300)
    assert manager.recv(500).startswith(b"STATUS=status 0")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_the_watchdog_is_fed_three_times_as_often_as_asked(environ, seconds):
    assert watchdog_interval_s(environ, 7) == seconds


def test_a_long_status_is_cut():
    assert len(status_text("x" * 1000)) == 400
    assert status_text("x" * 400) == "x" * 400
