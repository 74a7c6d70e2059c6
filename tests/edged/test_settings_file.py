"""Real files: what cannot be read, secrets in files of their own, modes."""

import os
import subprocess
import sys

import pytest

from edged.hub.settings import HubSettings
from edged.settings import Settings
from edged.settings_file import SettingsError, load


def write(path, content, mode=0o600):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refusal(path, cls=Settings):
    with pytest.raises(SettingsError) as caught:
        load(path, cls)
    return str(caught.value)


def test_a_good_file_becomes_settings(tmp_path):
    path = write(tmp_path / "edged.yaml", "\ufeffhub:\n  key: pk_live_x\ncameras:\n  yard:\n    source: rtsp://cam/1\n")
    settings = load(path, Settings)
    assert settings.hub.key.reveal() == "pk_live_x"
    assert settings.cameras[0].name == "yard"


def test_faults_come_in_the_order_of_the_file(tmp_path):
    path = write(tmp_path / "edged.yaml", "hub:\n  url: x\n  bad: 1\ngateway: {name: 5}\n")
    assert [line.split(": ")[0] for line in refusal(path).splitlines()] == [
        f"{path}:2:8",
        f"{path}:3:3",
        f"{path}:4:17",
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [1", ":1:4: a '[' or '{' is not closed"),
        (b"ok: 1\nb: \xe9\n", ":2:4: is not UTF-8 here; save the file as UTF-8"),
        (b"x" * (1 << 20) + b"yz", " is larger than 1048576 bytes"),
        (b"a\x00: 1", ":1:2: the character U+0000"),
    ],
)
def test_a_file_that_is_no_settings_file_is_one_sentence(tmp_path, content, sentence):
    path = write(tmp_path / "edged.yaml", content)
    text = refusal(path)
    assert "\n" not in text
    assert text.startswith(str(path))
    assert sentence in text.replace(f"{path}: ", f"{path} ")


def test_a_missing_file_is_one_sentence(tmp_path):
    assert refusal(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: there is no such file; write one, or name another"


def test_a_directory_is_one_sentence(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: is a directory; name a file in it"


def test_a_path_through_a_file_is_one_sentence(tmp_path):
    path = write(tmp_path / "file", "")
    assert "cannot be read: Not a directory" in refusal(path / "edged.yaml")


def test_a_file_of_somebody_else_is_one_sentence(tmp_path):
    path = write(tmp_path / "edged.yaml", "", mode=0o000)
    # In a process of its own, for root may read everything and has to step down for good.
    code = f"""
import os
from edged.settings import Settings
from edged.settings_file import SettingsError, load
if os.geteuid() == 0:
    os.setuid(65534)
try:
    load({str(path)!r}, Settings)
except SettingsError as err:
    print(err)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == f"{path}: may not be read by this user; check its owner and mode\n"


def test_a_secret_is_read_from_a_file_beside_the_settings(tmp_path):
    write(tmp_path / "key", "pk_live_secret\n")
    settings = load(write(tmp_path / "edged.yaml", "hub: {key_file: key}"), Settings, warn=_no_warning)
    assert settings.hub.key.reveal() == "pk_live_secret"
    assert settings.hub.key_file == str(tmp_path / "key")


def test_a_secret_that_others_may_read_is_a_warning(tmp_path):
    write(tmp_path / "key", "pk_live_secret\n", mode=0o644)
    said = []
    load(write(tmp_path / "edged.yaml", "hub: {key_file: key}"), Settings, warn=said.append)
    assert said == [f"{tmp_path}/key may be read by every user of this machine (mode 0644); chmod 600 {tmp_path}/key"]


def test_the_warning_goes_to_the_log_where_nobody_asks(tmp_path, caplog):
    write(tmp_path / "key", "pk_live_secret\n", mode=0o644)
    load(write(tmp_path / "edged.yaml", "hub: {key_file: key}"), Settings)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        ("s3cret", 0o620, "may be written by others (mode 0620)"),
        ("s3cret", 0o602, "may be written by others (mode 0602)"),
        ("", 0o600, "is empty"),
        ("\n", 0o600, "is empty"),
        ("s3cret\nmore\n", 0o600, "more than one line"),
        (b"s3cret\xff", 0o600, "is not UTF-8"),
        ("s3cret" * 20000, 0o600, "is larger than 65536 bytes"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_fault_that_does_not_show_it(tmp_path, content, mode, sentence):
    write(tmp_path / "key", content, mode=mode)
    text = refusal(write(tmp_path / "edged.yaml", "hub: {key_file: key}"))
    assert sentence in text
    assert "s3cret" not in text
    assert text.startswith(f"{tmp_path}/edged.yaml:1:7: hub.key_file: {tmp_path}/key ")


def test_a_missing_secret_file_is_a_fault(tmp_path):
    text = refusal(write(tmp_path / "edged.yaml", "hub: {key_file: key}"))
    assert f"{tmp_path}/key: there is no such file; write one, or name another" in text


def test_a_missing_certificate_is_a_fault(tmp_path):
    text = refusal(write(tmp_path / "edged.yaml", "mqtt: {tls: true, ca_file: ca.pem}"))
    assert f"mqtt.ca_file: {tmp_path}/ca.pem: there is no such file; write one, or name another" in text


def test_the_settings_of_the_hub_are_read_the_same_way(tmp_path):
    settings = load(
        write(tmp_path / "hub.yaml", "keys:\n  - key: pk_live_x\n    permissions: [publish]\n"), HubSettings
    )
    assert settings.keys[0].permissions == ("publish",)
    assert "is no permission" in refusal(
        write(tmp_path / "hub.yaml", "keys: [{key: x, permissions: [fly]}]"), HubSettings
    )


def _no_warning(sentence):
    raise AssertionError(sentence)
