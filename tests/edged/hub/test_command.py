"""`edged hub` as people start it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOT = Path(__file__).parents[3]


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}",
    }


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "edged.hub", *words]


def refused(tmp_path: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        command(*words), env=environment(tmp_path), capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@contextlib.contextmanager
def started(tmp_path: Path, *words: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    process = subprocess.Popen(
        command(*words), env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()), process
        finally:
            process.kill()


def test_ready_line_then_clients_then_a_clean_end(tmp_path: Path):
    with started(tmp_path, "--listen", "127.0.0.1:0", "--key", "pk_live_anything") as (ready, process):
        port = ready["page"].rstrip("/").rpartition(":")[2]
        assert ready == {"event": "ready", "url": f"ws://127.0.0.1:{port}", "page": f"http://127.0.0.1:{port}/"}
        with urllib.request.urlopen(f"{ready['page']}healthz") as answer:
            assert json.load(answer)["status"] == "ok"
        with connect(f"{ready['url']}/v1?key=pk_live_anything") as client:
            assert json.loads(client.recv())["type"] == "welcome"
            # A hub for one key does not count messages.
            for number in range(400):
                client.send(json.dumps({"type": "publish", "channel": "x", "data": number, "requestId": str(number)}))
            assert [json.loads(client.recv())["requestId"] for _ in range(400)] == [str(n) for n in range(400)]
            process.send_signal(signal.SIGTERM)
            assert json.loads(client.recv())["type"] == "going_away"
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0
        assert out == ""
        assert "pk_live" not in err


def test_settings_file_with_an_option_on_top(tmp_path: Path):
    file = tmp_path / "hub.yaml"
    file.write_text("listen: 127.0.0.1:1\nkeys: [{key: pk_live_file}]\n")
    with started(tmp_path, "--config", str(file), "--listen", "127.0.0.1:0", "--key", "pk_live_more") as (ready, _):
        for key in ("pk_live_file", "pk_live_more"):
            with connect(f"{ready['url']}/v1?key={key}") as client:
                assert json.loads(client.recv())["type"] == "welcome"


def test_long_token_fits_into_the_address(tmp_path: Path):
    with (
        started(tmp_path, "--listen", "127.0.0.1:0", "--key", "pk_live_x") as (ready, _),
        connect(f"{ready['url']}/v1?token={'x' * 30_000}") as client,
        pytest.raises(ConnectionClosed) as closed,
    ):
        client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001


def test_tls_from_files(tmp_path: Path, tls_files: tuple[Path, Path]):
    certificate, key = map(str, tls_files)
    words = ("--listen", "127.0.0.1:0", "--key", "k", "--tls-cert", certificate, "--tls-key", key)
    with started(tmp_path, *words) as (ready, _):
        assert ready["url"].startswith("wss://127.0.0.1:")
        assert ready["page"].startswith("https://127.0.0.1:")


def test_all_addresses_are_announced_under_the_name_of_the_machine(tmp_path: Path):
    with started(tmp_path, "--listen", "0.0.0.0:0", "--key", "k", "--allow-insecure") as (ready, _):
        assert ready["url"].startswith(f"ws://{socket.gethostname()}:")


def test_browser_sdk_that_is_not_there_is_said(tmp_path: Path):
    code, said = refused(tmp_path, "--key", "k", "--browser-sdk", "/nowhere/sdk.mjs")
    assert (code, said) == (1, "edged hub: the browser SDK is not at /nowhere/sdk.mjs; check --browser-sdk\n")


def test_port_in_use_names_the_address_and_the_option(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = refused(tmp_path, "--key", "k", "--listen", address)
    assert code == 1
    assert f"{address} is in use by another program" in said
    assert "--listen HOST:PORT" in said


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "nobody could connect; give --key pk_live_..., or --config FILE with keys"),
        (["--key", "k", "--listen", ""], 2, "--listen : not an address to listen at; it looks like"),
        (["--key", "k", "--listen", "nonsense"], 2, "--listen nonsense: not an address to listen at; it looks like"),
        (["--key", "k", "--listen", "0.0.0.0:0"], 2, "0.0.0.0:0 is reachable from other machines"),
        (["--key", "k", "--listen", ":0"], 2, ":0 is reachable from other machines"),
        (["--key", "k", "--listen", "192.0.2.1:0", "--allow-insecure"], 1, "cannot listen at 192.0.2.1:0"),
        (["--key", "k", "--tls-cert", "c.pem"], 2, "TLS needs both --tls-cert and --tls-key"),
        (["--key", "k", "--tls-cert", "/no/c", "--tls-key", "/no/k"], 1, "cannot read /no/c and /no/k: No such file"),
    ],
)
def test_wrong_use_is_one_sentence_on_standard_error(tmp_path: Path, words: list[str], code: int, sentence: str):
    returned, said = refused(tmp_path, *words)

    assert returned == code
    assert said.count("\n") == 1
    assert said.startswith(f"edged hub: {sentence}")


def test_missing_settings_file_is_one_sentence(tmp_path: Path):
    code, said = refused(tmp_path, "--config", "/no/hub.yaml")
    assert (code, said) == (78, "/no/hub.yaml: there is no such file; write one, or name another\n")


def test_file_that_is_no_certificate_is_said(tmp_path: Path):
    file = tmp_path / "cert.pem"
    file.write_text("nonsense")
    code, said = refused(tmp_path, "--key", "k", "--tls-cert", str(file), "--tls-key", str(file))
    assert code == 1
    assert "are not a certificate and its key in PEM form" in said


def test_faults_of_the_settings_file_are_listed_with_their_lines(tmp_path: Path):
    file = tmp_path / "hub.yaml"
    file.write_text("listen: x\nkeys: [{}]\n")
    code, said = refused(tmp_path, "--config", str(file))
    assert code == 78
    first, second = said.splitlines()
    assert first.startswith(f"{file}:1:9: listen: not an address to listen at")
    assert second.startswith(f"{file}:2:8: keys[0].key: must not be empty")


def test_hub_loads_no_media_and_no_broker():
    code = "import sys; import edged.hub.server, edged.hub.command; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    loaded = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert not {"aiortc", "av", "paho", "cryptography", "yaml"} & set(loaded.split())
