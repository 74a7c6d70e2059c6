"""What a fresh interpreter loads. Start-up time and memory on a small board are decided here."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"aiortc", "aioice", "av", "cryptography", "dns", "OpenSSL", "numpy", "pylibsrtp"}


def loaded_by(code, *, until=(), **environ):
    """Run the code in a fresh interpreter and return the names of the modules it has loaded at the end.

    With `until`, the process gets SIGTERM when each of these words has stood in a line of its log.
    """
    report = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}", **environ}
    with subprocess.Popen(
        [sys.executable, "-c", code + report], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        said, awaited = "", set(until)
        while awaited and (line := child.stderr.readline()):
            said += line
            awaited -= {word for word in awaited if word in line}
        if until:
            child.terminate()
        out, rest = child.communicate(timeout=50)
    assert child.returncode == 0, said + rest
    return set(json.loads(out.splitlines()[-1]))


def third_parties(modules):
    tops = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names)
    # Shims that the test environment or packaging tools put into every interpreter.
    return {
        name
        for name in tops
        if not name.startswith(("_", "sitecustomize", "usercustomize", "distutils", "cython_runtime"))
    }


@contextlib.contextmanager
def listening_hub(folder):
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}", "STATE_DIRECTORY": str(folder)}
    command = [sys.executable, "-m", "edged", "hub", "--listen", "127.0.0.1:0", "--key", "pk_live_x"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as hub:
        try:
            yield json.loads(hub.stdout.readline())["url"]
        finally:
            hub.terminate()


def test_importing_the_sdk_loads_the_sdk_only():
    assert third_parties(loaded_by("import metered_realtime")) == {"metered_realtime"}


def test_the_signalling_client_is_not_even_websockets_before_it_connects():
    modules = loaded_by("from metered_realtime import SignallingClient, ReconnectOptions, Connected, Message")
    assert third_parties(modules) == {"metered_realtime"}


@pytest.mark.parametrize("words", [["check", "config/edged.yaml"], ["config", "--config", "config/edged.yaml"]])
def test_looking_at_settings_loads_no_part_of_the_gateway(words):
    modules = loaded_by(f"import os\nos.chdir({str(ROOT)!r})\nfrom edged.cli import main\nassert main({words!r}) == 0")
    assert third_parties(modules) == {"edged", "metered_realtime", "yaml"}
    assert "asyncio" not in modules


def test_a_gateway_of_sensors_never_loads_webrtc(tmp_path):
    config = tmp_path / "edged.yaml"
    # Nothing listens at port 9; the gateway starts all the same.
    config.write_text(
        "hub: {url: 'ws://127.0.0.1:9', key: pk_live_x}\nmqtt: {port: 9}\ntelemetry: {routes: [{topic: a/#}]}\n"
    )
    code = f'from edged.cli import main\nassert main(["run", "--config", {str(config)!r}]) == 0'
    # Both have tried and failed once, so all that they need is loaded.
    modules = loaded_by(code, until=("mqtt: ", "telemetry: "), STATE_DIRECTORY=str(tmp_path))
    assert not third_parties(modules) & HEAVY
    assert {"paho", "websockets", "yaml"} <= third_parties(modules)
    assert "edged.telemetry.telemetry" in modules
    # Of our libraries' and argparse's imports, those that weigh and serve nobody here.
    assert {"email", "http.client", "shutil", "bz2", "lzma"}.isdisjoint(modules)
    assert "fastjsonschema" not in modules
    assert not {
        name for name in modules if name.startswith(("edged.commands", "edged.cameras", "edged.hub.", "edged.demo"))
    }


def test_a_gateway_of_commands_loads_no_database_and_no_schema_library(tmp_path):
    config = tmp_path / "edged.yaml"
    config.write_text(
        "hub: {url: 'ws://127.0.0.1:9', key: pk_live_x}\nmqtt: {port: 9}\nsite: {state: never}\n"
        "commands: {rules: [{topics: [a/+], sender: {anyone: true}}]}\n"
    )
    code = f'from edged.cli import main\nassert main(["run", "--config", {str(config)!r}]) == 0'
    modules = loaded_by(code, until=("mqtt: ", "commands: "), STATE_DIRECTORY=str(tmp_path))
    assert not third_parties(modules) & HEAVY
    assert {"fastjsonschema", "sqlite3", "edged.telemetry.telemetry"}.isdisjoint(modules)
    assert "edged.commands.commands" in modules


def test_a_camera_that_nobody_watches_loads_no_webrtc(tmp_path):
    with listening_hub(tmp_path) as url:
        config = tmp_path / "edged.yaml"
        config.write_text(
            f"hub: {{url: '{url}', key: pk_live_x}}\n"
            "cameras: {yard: {source: 'rtsp://127.0.0.1:9/1'}, test: {source: 'test:'}}\n"
        )
        code = f'from edged.cli import main\nassert main(["run", "--config", {str(config)!r}]) == 0'
        modules = loaded_by(code, until=("joined channel",), STATE_DIRECTORY=str(tmp_path))
    assert not third_parties(modules) & HEAVY
    assert {"edged.cameras.camera", "metered_realtime.peer"} <= modules
    assert "paho" not in third_parties(modules)
    assert not {name for name in modules if name.startswith(("edged.telemetry", "edged.mqtt", "edged.status.http"))}


def test_asking_how_a_gateway_is_loads_neither_a_loop_nor_a_part_of_it(tmp_path):
    code = 'from edged.cli import main\nassert main(["status", "--config", "/nonexistent"]) == 1'
    modules = loaded_by(code, STATE_DIRECTORY=str(tmp_path), RUNTIME_DIRECTORY=str(tmp_path))
    assert third_parties(modules) == {"edged", "metered_realtime", "yaml"}
    assert "asyncio" not in modules
