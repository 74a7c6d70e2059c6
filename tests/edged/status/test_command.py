"""`edged status` as people and scripts run it: against a socket that answers, and against none."""

import argparse
import asyncio
import json
import threading

import pytest

from edged.status.answers import answer
from edged.status.board import PartStatus
from edged.status.command import add_arguments, run
from edged.status.control import ControlSocket
from edged.status.document import Identity, document

GOOD = [PartStatus("mqtt", "live", "connected", 0.0)]
BAD = [PartStatus("mqtt", "lost", "refused", 0.0)]


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """A gateway's control socket on a loop of its own; returns the settings file that names it."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    config = tmp_path / "edged.yaml"
    config.write_text(f"status: {{socket: '{tmp_path / 'c.sock'}'}}\n")
    ends = []

    def start(parts=GOOD, **more):
        found = document(Identity("farm-1", "1", 1, 0.0), parts, {}, now_s=1.0, now_ms=1000) | more
        loop = asyncio.new_event_loop()
        control = ControlSocket(tmp_path / "c.sock", lambda line: answer(line, lambda: found))
        task = loop.create_task(control.serve(lambda _detail: None))
        loop.run_until_complete(_until((tmp_path / "c.sock").exists))

        def live():
            loop.run_until_complete(asyncio.wait([task]))
            loop.close()

        thread = threading.Thread(target=live)
        thread.start()
        ends.append(lambda: (loop.call_soon_threadsafe(task.cancel), thread.join()))

    yield start, config
    for end in ends:
        end()


async def _until(ready):
    while not ready():
        await asyncio.sleep(0)


def ran(config, *words):
    parser = argparse.ArgumentParser()
    add_arguments(parser, str(config))
    return run(parser.parse_args(words))


def test_all_is_well(gateway, capsys):
    start, config = gateway
    start()
    assert ran(config) == 0
    out = capsys.readouterr().out
    assert "gateway farm-1" in out
    assert "\x1b" not in out


def test_something_is_not_as_it_should_be(gateway, capsys):
    start, config = gateway
    start(BAD)
    assert ran(config) == 4
    assert "trouble: mqtt lost" in capsys.readouterr().out


def test_json_is_everything(gateway, capsys):
    start, config = gateway
    start(BAD)
    assert ran(config, "--json") == 4
    found = json.loads(capsys.readouterr().out)
    assert found["parts"][0]["state"] == "lost"


def test_metrics_are_what_prometheus_reads(gateway, capsys):
    start, config = gateway
    start(BAD)
    assert ran(config, "--metrics") == 0
    assert capsys.readouterr().out.startswith("# HELP edged_info")


def test_nobody_to_ask_is_one_sentence(gateway, capsys):
    _, config = gateway
    assert ran(config) == 1
    err = capsys.readouterr().err
    assert err.startswith("edged status: no gateway is running: nobody listens on ")
    assert err.count("\n") == 1


def test_an_answer_of_another_version_is_said(gateway, capsys):
    start, config = gateway
    start(format=99)
    assert ran(config) == 1
    assert "is of another version than this command: restart it" in capsys.readouterr().err


def test_settings_that_cannot_be_read_do_not_keep_anybody_from_asking(gateway, tmp_path, capsys):
    start, _ = gateway
    start()
    assert ran(tmp_path / "none.yaml") == 1  # the usual places were asked
    assert str(tmp_path / "state" / "control.sock") in capsys.readouterr().err


def test_only_one_form_is_printed(gateway):
    _, config = gateway
    with pytest.raises(SystemExit):
        ran(config, "--json", "--metrics")
