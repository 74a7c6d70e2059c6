"""The process: the signals that end it, gently and at once."""

import os
import signal
import subprocess
import sys

import pytest

HANGS = """
import asyncio, sys
from edged.process import run_until_signal
async def main(stop):
    print("up", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    if "hang" in sys.argv:
        await asyncio.Event().wait()
    return 7
sys.exit(run_until_signal(main, on_abort=lambda: print("aborted", flush=True)))
"""


@pytest.fixture
def process():
    started = []

    def start(*words):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(
            [sys.executable, "-c", HANGS, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_the_exit_code_is_kept(process, number):
    child = process()
    assert child.stdout.readline() == "up\n"
    child.send_signal(number)
    out, _ = child.communicate(timeout=20)
    assert (out, child.returncode) == ("stopping\n", 7)


def test_a_second_interrupt_ends_the_process_at_once(process):
    child = process("hang")
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "stopping\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=20)
    assert out == "aborted\n"
    assert child.returncode == 130
