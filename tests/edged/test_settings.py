"""The settings values themselves: secrets hide, equality decides, cross faults name both sides."""

import dataclasses
import json

import pytest

from edged.settings import (
    CameraSettings,
    CommandRuleSettings,
    CommandSettings,
    HubLinkSettings,
    MqttSettings,
    RouteSettings,
    Secret,
    SenderSettings,
    Settings,
    SiteSettings,
    TelemetrySettings,
    secrets_in,
)
from edged.settings_commands import command_channels, pattern_fault, unwise
from edged.settings_file import SettingsError, load

ANYONE = SenderSettings(anyone=True)


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
        (SenderSettings(anyone=True, peers=("a",)), "anyone"),
        (SenderSettings(metadata={"role": {"is": "operator"}}), "metadata.role"),
        (CommandRuleSettings(topics=("a",)), "sender"),
        (
            CommandRuleSettings(topics=("a",), sender=ANYONE, schema={"type": "number"}, schema_file="/a.json"),
            "schema_file",
        ),
        (Settings(commands=CommandSettings(rules=(CommandRuleSettings(topics=("a",), sender=ANYONE),))), "hub.key"),
        (
            Settings(
                hub=HubLinkSettings(key=Secret("pk_live_1"), channel="x" * 250),
                commands=CommandSettings(rules=(CommandRuleSettings(topics=("a",), sender=ANYONE),)),
            ),
            "commands.channels",
        ),
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
        CommandRuleSettings(topics=("a",), sender=SenderSettings(metadata={"role": ["a", "b"]})),
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


@pytest.mark.parametrize("pattern", ["a/b", "a/+/b", "#", "farm/{sender.barn}/+/set", "{sender.x}/#"])
def test_a_topic_pattern_is_a_filter_with_places(pattern):
    assert pattern_fault(pattern) == ""


@pytest.mark.parametrize(
    "pattern", ["", "a/#/b", "a+", "$SYS/#", "$share/g/a", "a/{barn}", "a/{sender.}", "a/x{sender.barn}", "a/{sender.a"]
)
def test_what_no_topic_pattern_is_has_a_fault(pattern):
    assert pattern_fault(pattern)


@pytest.mark.parametrize(
    ("rule", "is_right"),
    [
        ("{topics: [a], sender: {anyone: true}}", True),
        ("{topics: [a], sender: {anyone: true}, reply_topic: '{parent}/{id}/{sender.barn}'}", True),
        ("{topics: [], sender: {anyone: true}}", False),
        ("{sender: {anyone: true}}", False),
        ("{topics: [a], sender: {metadata: {role: []}}}", False),
        ("{topics: [a], sender: {metadata: {role: }}}", False),
        ("{topics: [a], sender: {metadata: {role: [a, 1]}}}", True),
        ("{topics: [a], sender: {anyone: true}, reply_topic: 'a/+'}", False),
        ("{topics: [a], sender: {anyone: true}, reply_topic: '{payload}'}", False),
        ("{topics: [a], sender: {anyone: true}, schema_file: /nowhere.json}", False),
    ],
)
def test_a_rule_of_a_file_is_checked(tmp_path, rule, is_right):
    path = tmp_path / "edged.yaml"
    path.write_text(f"hub: {{key: pk_live_x}}\ncommands: {{rules: [{rule}]}}\n")
    if is_right:
        assert load(path, Settings).commands.rules
    else:
        with pytest.raises(SettingsError, match=r"commands\.rules\[0\]"):
            load(path, Settings)


@pytest.mark.parametrize("channels", [(""), ("a\nb"), ("_metered/x")])
def test_a_channel_for_commands_has_a_name(tmp_path, channels):
    path = tmp_path / "edged.yaml"
    path.write_text(json.dumps({"commands": {"channels": [channels]}}))
    with pytest.raises(SettingsError, match=r"commands\.channels"):
        load(path, Settings)


def test_commands_come_from_a_channel_of_their_own_unless_told_otherwise():
    assert command_channels(CommandSettings(), "farm") == ("farm/commands",)
    assert command_channels(CommandSettings(channels=("a", "b", "a")), "farm") == ("a", "b")


def test_a_rule_that_lets_everybody_do_everything_is_unwise():
    def sentences(*topics, sender=ANYONE):
        return list(unwise(CommandSettings(rules=(CommandRuleSettings(topics=topics, sender=sender),))))

    assert "commands.rules[0]" in sentences("a", "#")[0]
    assert sentences("+/set")
    assert sentences("#", sender=SenderSettings(peers=("a", "*")))
    assert not sentences("#", sender=SenderSettings(peers=("panel-*",)))
    assert not sentences("farm/#")
    assert not sentences("#", sender=SenderSettings(metadata={"role": "admin"}))


def _camera() -> CameraSettings:
    return CameraSettings(name="yard", source=Secret("test:"))


def test_home_assistant_is_not_told_of_what_is_never_published():
    faults = list(SiteSettings(state="never", homeassistant=True).cross_faults())
    assert [key for key, _ in faults] == ["homeassistant"]
    assert not list(SiteSettings(homeassistant=True).cross_faults())
