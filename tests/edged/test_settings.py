"""The settings values themselves: secrets hide, equality decides, cross faults name both sides."""

import dataclasses
import json

import pytest

from edged.settings import (
    CameraSettings,
    HubLinkSettings,
    MqttSettings,
    RouteSettings,
    Secret,
    Settings,
    TelemetrySettings,
    secrets_in,
)


def test_a_secret_shows_itself_only_when_revealed():
    secret = Secret("hunter22")
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>10}",
        repr(HubLinkSettings(key=secret)),
    ]
    assert not any("hunter22" in text for text in shown)
    assert secret.reveal() == "hunter22"
    assert type(secret.reveal()) is str


def test_an_empty_secret_is_false_and_shows_as_empty():
    assert not Secret("")
    assert str(Secret("")) == ""
    assert repr(Secret("")) == "Secret('')"


def test_settings_are_frozen_and_equal_by_value():
    assert Settings() == Settings()
    assert Settings(cameras=(_camera(),)) != Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().gateway.name = "x"


def test_metadata_of_a_camera_becomes_json():
    assert json.dumps({"camera": "yard", **_camera().metadata}) == '{"camera": "yard"}'


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (CameraSettings(name="a", source=Secret("rtsp://u:p@h/1"), username="u"), "username"),
        (CameraSettings(name="a", source=Secret("rtsp://u@h/1"), password=Secret("p")), "password"),
        (CameraSettings(name="a", source=Secret("rtsp://h/1"), password=Secret("p")), "username"),
        (CameraSettings(name="a", source=Secret("file:/a.mp4"), username="u"), "username"),
        (CameraSettings(name="a", source=Secret("v4l2:/dev/video0"), password=Secret("p")), "password"),
        (CameraSettings(name="a", source=Secret("v4l2:/dev/video0"), controls={"gain": "high"}), "controls.gain"),
        (CameraSettings(name="a", source=Secret("rtsp://h/1"), controls={"gain": 1}), "controls"),
        (CameraSettings(name="a", source=Secret("libcamera:"), controls={"output": "x"}), "controls.output"),
        (CameraSettings(name="a", source=Secret("libcamera:"), onvif="auto"), "onvif"),
        (CameraSettings(name="a", source=Secret("rtsp://h/1"), sub=Secret("rtsp://h/1 ")), "sub"),
        (CameraSettings(name="a", source=Secret("rtsp://h/1"), sub=Secret("rtsp://u@h/2"), username="u"), "username"),
        (CameraSettings(name="a", source=Secret("file:/a.mp4"), sub=Secret("rtsp://h/2"), audio="opus"), "audio"),
        (MqttSettings(password=Secret("p")), "username"),
        (MqttSettings(ca_file="/ca.pem"), "ca_file"),
        (TelemetrySettings(routes=(RouteSettings(topic="a/#"), RouteSettings(topic="a/#"))), "routes[1].topic"),
        (Settings(telemetry=TelemetrySettings(routes=(RouteSettings(topic="a"),))), "hub.key"),
        (Settings(cameras=(CameraSettings(name="a", source=Secret("test:")),)), "hub.key"),
    ],
)
def test_values_that_contradict_each_other_are_a_fault_at_one_of_them(value, path):
    assert [at for at, _ in value.cross_faults()] == [path]


@pytest.mark.parametrize(
    "value",
    [
        CameraSettings(name="a", source=Secret("test:")),
        CameraSettings(name="a", source=Secret("rtsp://h/1"), username="u", password=Secret("p")),
        CameraSettings(name="a", source=Secret("v4l2:/dev/video0"), controls={"gain": 1, "horizontal_flip": True}),
        CameraSettings(name="a", source=Secret("rtsp://h/1"), sub=Secret("rtsp://h/2"), username="u"),
        CameraSettings(name="a", source=Secret("file:/a.mp4"), sub=Secret("rtsp://h/2"), username="u"),
        CameraSettings(name="a", source=Secret("test:"), sub=Secret("v4l2:/dev/video0"), controls={"gain": 1}),
        CameraSettings(name="a", source=Secret("libcamera:"), controls={"rotation": 180, "hflip": True}),
        CameraSettings(name="a", source=Secret("rtsp://h/1"), onvif="http://h:8080"),
        CameraSettings(name="a", source=Secret("test:"), sub=Secret("test:")),
        MqttSettings(username="u", password=Secret("p"), tls=True, ca_file="/ca.pem"),
        TelemetrySettings(routes=(RouteSettings(topic="a/#"), RouteSettings(topic="b/#"))),
        Settings(hub=HubLinkSettings(key=Secret("pk_live_1")), cameras=(CameraSettings(source=Secret("test:")),)),
        Settings(),
    ],
)
def test_values_that_agree_have_no_fault(value):
    assert not list(value.cross_faults())


def test_every_secret_of_a_tree_is_found():
    settings = Settings(
        hub=HubLinkSettings(key=Secret("k1")),
        mqtt=MqttSettings(password=Secret("k2")),
        cameras=(
            CameraSettings(name="a", source=Secret("rtsp://u:k3@h/"), password=Secret("k4"), sub=Secret("rtsp://h/k6")),
        ),
    )
    assert list(secrets_in(settings)) == ["k1", "k2", "rtsp://u:k3@h/", "rtsp://h/k6", "k4"]
    assert list(secrets_in({"a": [Secret("k5"), Secret("")]})) == ["k5"]


def _camera() -> CameraSettings:
    return CameraSettings(name="yard", source=Secret("test:"))
