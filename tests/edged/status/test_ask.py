"""Asking a gateway from another process: the answer, or one sentence why there is none."""

import socket
import threading
from pathlib import Path

import pytest

from edged.status.ask import NotAskedError, ask, places


@pytest.fixture
def gateway(tmp_path):
    """A socket that gives one answer to one question."""
    path = tmp_path / "control.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    questions = []

    def serve(answer):
        def talk():
            client, _ = listener.accept()
            with client:
                questions.append(client.makefile().readline())
                client.sendall(answer)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        return path

    yield serve, questions, path
    listener.close()


def test_the_answer_comes_whole(gateway):
    serve, questions, _ = gateway
    path = serve(b"x" * 1_000_000 + b"\n")
    assert ask([path], "status") == b"x" * 1_000_000 + b"\n"
    assert questions == ["status\n"]


def test_places_where_nobody_is_are_passed_over(gateway, tmp_path):
    serve, _, _ = gateway
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    assert ask([tmp_path / "none.sock", stale, serve(b"here\n")], "status") == b"here\n"


def test_nobody_anywhere_is_said_with_the_places(tmp_path):
    with pytest.raises(NotAskedError, match=r"no gateway is running: nobody listens on .*/a or .*/b"):
        ask([tmp_path / "a", tmp_path / "b"], "status")


def test_half_an_answer_is_none(gateway):
    serve, _, _ = gateway
    with pytest.raises(NotAskedError, match="broke off its answer"):
        ask([serve(b'{"half":')], "status")


def test_a_socket_of_others_is_said(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(NotAskedError, match="may not be used by this user: use sudo, or join the group edged"):
        ask([tmp_path / "control.sock"], "status")


def test_a_gateway_that_hangs_is_said(gateway, monkeypatch):
    monkeypatch.setattr("edged.status.ask._TIMEOUT_S", 0.05)
    _, _, path = gateway
    with pytest.raises(NotAskedError, match="does not answer"):
        ask([path], "status")


def test_the_likeliest_place_is_asked_first():
    state = Path("/home/x/.local/state/edged")
    assert places("/srv/x.sock", {"RUNTIME_DIRECTORY": "/run/y"}, state) == (Path("/srv/x.sock"),)
    assert places("", {}, state) == (state / "control.sock", Path("/run/edged/control.sock"))
    assert places("", {"RUNTIME_DIRECTORY": "/run/edged"}, state) == (
        Path("/run/edged/control.sock"),
        state / "control.sock",
    )
