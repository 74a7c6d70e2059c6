"""The command line: exit codes, one sentence per fault, nothing secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edged import __version__
from edged.cli import main

GOOD = "hub: {key: pk_live_hidden}\ncameras: {yard: {source: 'rtsp://u:hidden@cam/1'}}\n"
BAD = "hub:\n  ulr: x\n  key: 5\nmqtt: {port: many}\n"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "edged.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_good_file_is_said_to_be_good(file, capsys):
    path = file(GOOD)
    assert main(["check", path]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{path}: good; 1 camera, 0 telemetry routes\n"
    assert captured.err == ""


def test_a_schema_that_is_none_is_a_fault(file, capsys):
    path = file(
        "hub: {key: pk_live_x}\ncommands:\n  rules:\n"
        "    - {topics: [a], sender: {anyone: true}, schema: {type: number}}\n"
        "    - {topics: [b], sender: {anyone: true}, schema: {type: colour}}\n"
    )
    assert main(["check", path]) == 78
    said = f"{path}: commands.rules[1].schema: not a JSON schema (draft 7): Unknown type"
    assert said in capsys.readouterr().err


def test_every_fault_of_a_bad_file_is_listed(file, capsys):
    path = file(BAD)
    assert main(["check", path]) == 78
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:2:3: hub.ulr: unknown key; did you mean 'url'?",
        f"{path}:3:8: hub.key: this value is a number to YAML, a text is meant; put it in quotes",
        f"{path}:4:14: mqtt.port: expected a whole number, got 'many'",
    ]


@pytest.mark.parametrize("command", [["check", "FILE"], ["config", "--config", "FILE"], ["run", "--config", "FILE"]])
def test_every_command_refuses_bad_settings_with_the_same_exit_code(file, capsys, command):
    path = file(BAD)
    assert main([path if word == "FILE" else word for word in command]) == 78
    assert f"{path}:2:3: hub.ulr" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["check", "FILE"], ["config", "--config", "FILE"], ["run", "--config", "FILE"]])
def test_a_missing_file_is_one_sentence(tmp_path, capsys, command):
    path = str(tmp_path / "none.yaml")
    assert main([path if word == "FILE" else word for word in command]) == 78
    assert capsys.readouterr().err == f"{path}: there is no such file; write one, or name another\n"


@pytest.mark.parametrize("command", [["check", "FILE"], ["config", "--config", "FILE"], ["run", "--config", "FILE"]])
def test_a_login_that_stands_where_a_name_should_is_masked(file, capsys, command):
    path = file("cameras:\n  rtsp://admin:hidden@cam/1:\n    linger_s: 5\n")
    assert main([path if word == "FILE" else word for word in command]) == 78
    err = capsys.readouterr().err
    assert f"{path}:2:3: cameras.rtsp://***@cam/1: a name holds" in err
    assert "hidden" not in err


def test_an_interrupt_while_the_arguments_are_read_is_no_traceback(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    # That loads the modules of the command, which is most of its start.
    monkeypatch.setattr("argparse.ArgumentParser.parse_args", interrupted)
    assert main(["hub"]) == 130


def test_the_effective_settings_are_shown_without_secrets(file, capsys):
    assert main(["config", "--config", file(GOOD)]) == 0
    out = capsys.readouterr().out
    assert "hidden" not in out
    assert '    source: "***"' in out
    assert "  keepalive_s: 30" in out


@pytest.mark.parametrize("command", [["check", "FILE"], ["config", "--config", "FILE"]])
def test_a_secret_file_that_others_may_read_is_a_warning(file, tmp_path, capsys, command):
    (tmp_path / "key").write_text("pk_live_hidden")
    (tmp_path / "key").chmod(0o644)
    path = file("hub: {key_file: key}")
    assert main([path if word == "FILE" else word for word in command]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: {tmp_path}/key may be read by every user")
    assert "hidden" not in captured.err + captured.out


def test_the_version_is_printed(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"edged {__version__}\n"


@pytest.mark.parametrize("words", [[], ["bogus"], ["check", "a", "b"], ["run", "--nonsense"], ["hub", "--nonsense"]])
def test_wrong_usage_is_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: edged" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "check", "config", "hub", "demo", "version"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: edged {command}" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_traceback(file):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    path = file("cameras:\n" + "".join(f"  cam{n}: {{source: 'rtsp://cam/{n}'}}\n" for n in range(2000)) + GOOD[:27])
    child = subprocess.Popen(
        [sys.executable, "-m", "edged", "config", "--config", path],
        env=env,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait() == 1
    child.stderr.close()
