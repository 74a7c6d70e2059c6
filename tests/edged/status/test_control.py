"""The control socket on a real disk: its rights, its place, and who may have it."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edged.status.control import ControlSocket, ControlSocketError, socket_path

ROOT = Path(__file__).parents[3]


def ignore(_detail):
    """Nobody is told."""


@contextlib.asynccontextmanager
async def served(path, answer=lambda line: b"you said " + line):
    task = asyncio.create_task(ControlSocket(path, answer).serve(ignore))
    async with asyncio.timeout(10):
        while not path.exists() and not task.done():
            await asyncio.sleep(0)
    try:
        if task.done():
            task.result()
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def asked(path, words):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(words)
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_answers_and_takes_its_file_away(tmp_path):
    path = tmp_path / "control.sock"
    async with served(path):
        assert await asked(path, b"status\n") == b"you said status\n"
    assert not path.exists()


async def test_owner_and_group_may_ask_and_nobody_else(tmp_path):
    path = tmp_path / "control.sock"
    before = os.umask(0)
    try:
        async with served(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        os.umask(before)


async def test_what_a_crash_left_behind_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with served(path):
        async with asyncio.timeout(10):
            while not (said := await asked(path, b"x\n") if _listens(path) else b""):
                await asyncio.sleep(0)
        assert said == b"you said x\n"


def _listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


async def test_a_second_gateway_does_not_get_it(tmp_path):
    path = tmp_path / "control.sock"
    async with served(path):
        with pytest.raises(
            ControlSocketError, match=r"another gateway has the control socket .*control\.sock: stop it"
        ):
            await ControlSocket(path, bytes).serve(ignore)
        assert await asked(path, b"x\n") == b"you said x\n"
    async with served(path):
        assert await asked(path, b"x\n") == b"you said x\n"


async def test_after_kill_9_the_next_one_has_it(tmp_path):
    path = tmp_path / "control.sock"
    code = (
        "import asyncio, pathlib, sys\n"
        "from edged.status.control import ControlSocket\n"
        "asyncio.run(ControlSocket(pathlib.Path(sys.argv[1]), bytes).serve(print))\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], env=env) as child:
        async with asyncio.timeout(20):
            while not path.exists():
                await asyncio.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert path.exists()
    task = asyncio.create_task(ControlSocket(path, bytes).serve(ignore))
    async with asyncio.timeout(10):
        while not _listens(path):
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(ControlSocketError, match=r"cannot be made \(No such file or directory\): set status.socket"):
        await ControlSocket(tmp_path / "gone" / "control.sock", bytes).serve(ignore)


async def test_a_path_that_is_too_long_for_a_socket_is_one_sentence(tmp_path):
    with pytest.raises(ControlSocketError, match=r"too long .*: set status.socket to a shorter"):
        await ControlSocket(tmp_path / ("x" * 120), bytes).serve(ignore)


@pytest.mark.parametrize(
    ("configured", "environ", "path"),
    [
        ("/srv/x.sock", {"RUNTIME_DIRECTORY": "/run/edged"}, "/srv/x.sock"),
        ("", {"RUNTIME_DIRECTORY": "/run/edged:/run/other"}, "/run/edged/control.sock"),
        ("", {"RUNTIME_DIRECTORY": ""}, "/state/control.sock"),
        ("", {}, "/state/control.sock"),
    ],
)
def test_its_place_is_as_set_or_the_runtime_directory_or_beside_the_state(configured, environ, path):
    assert socket_path(configured, environ, Path("/state")) == Path(path)
