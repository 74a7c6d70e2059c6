"""The command: what it takes for a target, what it prints, and its exit codes."""

import json

import pytest

from edged.cli import main
from tests.edged.cameras.clips import film, sound


def test_the_built_in_picture_is_shown_as_it_is(capsys):
    assert main(["probe", "test:", "--seconds", "0.5"]) == 0
    told = capsys.readouterr().out
    assert "640x360" in told
    assert "browsers  get it as the camera sends it" in told


def test_json_is_for_programs(capsys):
    assert main(["probe", "test:", "--seconds", "0.3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["browsers"] == "as it is"


def test_a_camera_of_the_settings_is_found_by_its_name(tmp_path, capsys):
    path = tmp_path / "edged.yaml"
    path.write_text("hub: {key: pk_live_x}\ncameras: {yard: {source: 'file:/no/film.mp4'}}\n")
    assert main(["probe", "yard", "--config", str(path)]) == 1
    assert "the file /no/film.mp4 does not exist" in capsys.readouterr().out
    assert main(["probe", "gate", "--config", str(path)]) == 78
    assert capsys.readouterr().err == f"{path} has no camera 'gate'; it has: yard\n"
    assert main(["probe", "gate", "--config", str(tmp_path / "none.yaml")]) == 78
    assert "'gate' is no address and no file that is here, and there is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://u:hidden@cam/", "the address is not a camera source"),
        ("exec:", "the address: names no command"),
        ("exec:touch hidden", "a command is taken from the settings file only"),
        ("libcamera:x", "the address: names no camera of libcamera"),
    ],
)
def test_an_address_of_no_use_is_told_without_its_login(capsys, target, says):
    assert main(["probe", target]) == 78
    told = capsys.readouterr()
    assert says in told.err
    assert "hidden" not in told.out + told.err


@pytest.mark.parametrize(
    ("target", "says"), [("/dev/no-video9", "v4l2:/dev/no-video9"), ("/no/film.mp4", "file:/no/film.mp4")]
)
def test_a_path_is_a_device_or_a_film(capsys, target, says):
    assert main(["probe", target]) == 1
    assert capsys.readouterr().out.startswith(f"{says}\n")


def test_the_password_comes_from_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("EDGED_PROBE_PASSWORD", "hidden")
    assert main(["probe", "rtsp://127.0.0.1:1/x", "--username", "admin"]) == 1
    told = capsys.readouterr().out
    assert "refuses connections" in told
    assert "hidden" not in told


def test_a_login_is_given_once(capsys):
    assert main(["probe", "rtsp://u:hidden@127.0.0.1:1/x", "--username", "admin"]) == 78
    told = capsys.readouterr().err
    assert told == "--username: the camera user is already part of source; keep one of the two\n"


def test_a_directory_is_no_camera(tmp_path, capsys):
    assert main(["probe", str(tmp_path)]) == 78
    assert capsys.readouterr().err == f"{tmp_path} is a directory: name one file in it\n"


def test_a_device_that_is_no_camera_is_told_once_and_nothing_is_searched_for_it(capsys):
    assert main(["probe", "/dev/null"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "v4l2:/dev/null",
        "  browsers  get nothing: the camera cannot be read",
        "  why       the camera /dev/null is no camera that can be read: Inappropriate ioctl for device",
    ]


def test_a_film_without_pictures_is_told_once(tmp_path, capsys):
    sound(tmp_path / "song.mp4")
    assert main(["probe", str(tmp_path / "song.mp4")]) == 1
    assert capsys.readouterr().out.count("holds no pictures") == 1


def test_a_film_beside_us_is_found_by_its_name(tmp_path, monkeypatch, capsys):
    film(tmp_path / "yard.mp4")
    monkeypatch.chdir(tmp_path)
    for target in ("yard.mp4", "file:yard.mp4"):
        assert main(["probe", target, "--seconds", "1"]) == 0
        assert capsys.readouterr().out.startswith(f"file:{tmp_path}/yard.mp4\n")


def test_a_command_of_the_settings_and_a_second_picture_are_looked_at_by_name(tmp_path, capsys):
    film(tmp_path / "film.h264", preset="ultrafast", tune="zerolatency")
    path = tmp_path / "edged.yaml"
    source = f"source: 'exec:cat {tmp_path}/film.h264', sub: 'test:'"
    path.write_text(f"hub: {{key: pk_live_x}}\ncameras: {{yard: {{{source}}}, gate: {{source: 'test:'}}}}\n")
    words = ["--config", str(path), "--seconds", "0.5"]
    assert main(["probe", "yard", *words]) in {0, 1}
    assert capsys.readouterr().out.startswith("exec:cat ...\n")
    assert main(["probe", "yard", "--sub", *words]) == 0
    assert "640x360" in capsys.readouterr().out
    assert main(["probe", "gate", "--sub", *words]) == 78
    assert "has no second picture" in capsys.readouterr().err
    assert main(["probe", "test:", "--sub", *words]) == 78


def test_a_wrong_address_of_onvif_is_told(capsys):
    assert main(["probe", "rtsp://cam/1", "--onvif", "cam"]) == 78
    assert "--onvif is not the address of an ONVIF service" in capsys.readouterr().err
