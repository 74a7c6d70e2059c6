"""Settings written out: secrets masked, readable again, and the file of defaults complete."""

import dataclasses
import re
import typing

import pytest
import yaml

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
    TelemetrySettings,
)
from edged.settings_dump import commented, effective, scalar
from edged.settings_file import load

FULL = Settings(
    hub=HubLinkSettings(url="ws://127.0.0.1:7880", key=Secret("pk_live_hidden"), channel="no"),
    mqtt=MqttSettings(username="u", password=Secret("hidden")),
    cameras=(
        CameraSettings(name="yard", source=Secret("rtsp://u:hidden@cam/1"), metadata={"role": "yard", "n": [1, None]}),
        CameraSettings(name="on", source=Secret("test:")),
    ),
    telemetry=TelemetrySettings(routes=(RouteSettings(topic="a/#"), RouteSettings(topic="+/b", channel="0777"))),
    commands=CommandSettings(
        rules=(CommandRuleSettings(topics=("a/+", "b"), sender=SenderSettings(metadata={"role": ["x", 1]})),)
    ),
)


def test_the_effective_settings_hide_every_secret():
    text = effective(FULL)
    assert "hidden" not in text
    assert text.count('"***"') == 4


def test_the_effective_settings_are_yaml_that_our_reader_takes_for_the_same(tmp_path):
    path = tmp_path / "edged.yaml"
    source = effective(FULL).replace('source: "***"', 'source: "test:"').replace('"***"', '"known"')
    path.write_text(source)
    expected = dataclasses.replace(
        FULL,
        hub=dataclasses.replace(FULL.hub, key=Secret("known")),
        mqtt=dataclasses.replace(FULL.mqtt, password=Secret("known")),
        cameras=tuple(dataclasses.replace(camera, source=Secret("test:")) for camera in FULL.cameras),
    )
    assert load(path, Settings) == expected


def test_the_default_settings_are_written_with_every_key(tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text(effective(Settings()))
    assert load(path, Settings) == Settings()
    assert set(yaml.safe_load(effective(Settings()))) == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("farm", "farm"),
        ("no", '"no"'),
        ("Off", '"Off"'),
        ("0777", '"0777"'),
        ("a: b", '"a: b"'),
        ("grün", '"grün"'),
        ("", '""'),
        (True, "true"),
        (5, "5"),
        (2.5, "2.5"),
        (None, "null"),
        (Secret("x"), '"***"'),
        (Secret(""), '""'),
        ({}, "{}"),
        (("a", "b"), '["a", "b"]'),
    ],
)
def test_a_value_is_written_so_that_no_reader_guesses(value, text):
    assert scalar(value) == text
    if not isinstance(value, Secret | tuple):
        assert yaml.safe_load(f"k: {text}") == {"k": value}


def test_the_file_of_defaults_shows_every_key_of_every_class():
    shown = set(re.findall(r"^[ #-]*([a-z_0-9]+):", commented(), re.MULTILINE))
    assert _keys(Settings) <= shown


def test_the_file_of_defaults_means_the_defaults(tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text(commented())
    assert load(path, Settings) == Settings()


def test_every_line_of_the_file_of_defaults_can_be_used_by_removing_its_mark(tmp_path):
    lines = [
        re.sub(r"# (?=( *|- )[a-z_0-9]+:( |$))", "", line, count=1)
        for line in commented().splitlines()
        if not re.match(r" *# +#", line)
    ]
    path = tmp_path / "edged.yaml"
    path.write_text("\n".join(lines).replace('key: ""', "key: pk_live_x"))
    settings = load(path, Settings)
    assert settings.cameras == (CameraSettings(name="yard", source=Secret("rtsp://192.168.1.20/stream1")),)
    assert settings.telemetry.routes == (RouteSettings(topic="greenhouse/#"),)
    (rule,) = settings.commands.rules
    assert (rule.topics, rule.sender) == (("farm/+/set",), SenderSettings(metadata={"role": "operator"}))
    assert (
        dataclasses.replace(
            settings,
            cameras=(),
            telemetry=TelemetrySettings(),
            commands=CommandSettings(),
            hub=dataclasses.replace(settings.hub, key=Secret("")),
        )
        == Settings()
    )


def _keys(cls: type) -> set[str]:
    found = set()
    for name, kind in typing.get_type_hints(cls).items():
        found.add(name)
        for inner in (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(inner):
                found |= _keys(inner)
    return found
