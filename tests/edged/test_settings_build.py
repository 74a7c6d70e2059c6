"""From nodes to settings: every fault at once, none twice, none missed."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.settings import Secret, Settings, section, setting
from edged.settings_build import Builder, SecretFileError
from edged.settings_yaml import compose


class FakeFiles:
    """A disk of a few names."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets

    def resolve(self, name):
        return Path("/etc") / name

    def missing(self, path):
        return "" if path.name in self.secrets else f"{path} cannot be read"

    def secret(self, path):
        if path.name not in self.secrets:
            raise SecretFileError(f"{path} cannot be read")
        return self.secrets[path.name]


def build(text, cls=Settings, files=None):
    builder = Builder("f", files or FakeFiles())
    made = builder.build(cls, compose(text))
    return made, builder.faults


def faults(text, cls=Settings, files=None):
    return [f"{fault.line}:{fault.column}: {fault.path}: {fault.problem}" for fault in build(text, cls, files)[1]]


def test_no_file_content_is_all_defaults():
    assert build("") == (Settings(), [])
    assert build("hub:\ncameras:\ntelemetry: {routes: }\n") == (Settings(), [])


def test_a_whole_file_is_read():
    settings, found = build(
        """
gateway: {name: farm-1}
hub: {url: "ws://127.0.0.1:7880", key: pk_live_x, channel: farm}
cameras:
  yard:
    source: rtsp://cam/1
    linger_s: 3
    keep_warm: true
    metadata: {role: yard, floor: 2, tags: [a, b], more: {x: ~}}
  gate: {source: "test:"}
telemetry:
  routes:
    - topic: greenhouse/#
      qos: 0
    - {topic: barn/+/temp, channel: barn, payload: number}
  outbox: {spill_after_s: 0.5}
"""
    )
    assert found == []
    assert settings.gateway.name == "farm-1"
    assert [camera.name for camera in settings.cameras] == ["yard", "gate"]
    assert settings.cameras[0].linger_s == 3.0
    assert isinstance(settings.cameras[0].linger_s, float)
    assert settings.cameras[0].metadata == {"role": "yard", "floor": 2, "tags": ["a", "b"], "more": {"x": None}}
    assert isinstance(settings.cameras[0].source, Secret)
    assert [route.topic for route in settings.telemetry.routes] == ["greenhouse/#", "barn/+/temp"]
    assert settings.telemetry.outbox.max_age_s == 7 * 86400


def test_every_fault_is_found_in_one_pass():
    found = faults(
        """
hub:
  ulr: x
  channel: no
mqtt:
  port: 99999
  tls: yes
cameras:
  yard: {source: ftp://x}
  gate:
telemetry:
  routes:
    - {topic: a/#/b, qos: 3}
  outbox: 7
"""
    )
    assert [line.split(": ")[1] for line in found] == [
        "hub.ulr",
        "hub.channel",
        "mqtt.port",
        "mqtt.tls",
        "cameras.yard.source",
        "cameras.gate.source",
        "telemetry.routes[0].topic",
        "telemetry.routes[0].qos",
        "telemetry.outbox",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub: {ulr: x}", "1:7: hub.ulr: unknown key; did you mean 'url'?"),
        (
            "zzz: 1",
            "1:1: zzz: unknown key; known here: gateway, hub, mqtt, cameras, telemetry, commands, site, status, log",
        ),
        ("log: {level: inof}", "did you mean 'info'?"),
        ("log: {level: zzz}", "'zzz' is not one of debug, info, warning, error"),
        ("mqtt: {port: 0}", "1:14: mqtt.port: 0 is too small; give 1 to 65535"),
        ("mqtt: {port: 70000}", "70000 is too large; give 1 to 65535"),
        ("telemetry: {outbox: {memory_bytes: 1}}", "1 is too small; give at least 4096"),
        ("hub: {channel: a, channel: b}", "1:19: hub.channel: given twice; it is already in line 1"),
        ("hub: x", "1:6: hub: expected a group of keys, got a single value; write url: VALUE, with a space"),
        ("hub: []", "1:6: hub: expected a group of keys, got a list"),
        ("HUB: {}", "1:1: HUB: unknown key; did you mean 'hub'?"),
        ("log: {level: WARN}", "did you mean 'warning'?"),
        ("[]", "1:1: : expected a group of keys, got a list"),
        ("telemetry: {routes: {topic: a}}", "expected a list, got a group of keys; begin each entry with '- '"),
        ("cameras: [a]", "1:10: cameras: expected names with a group of keys under each, got a list"),
        ("cameras: {a b: {source: 'test:'}}", "1:11: cameras.a b: a name holds letters"),
        ("cameras: {on: {source: 'test:'}}", "1:11: cameras: a key is a text; 'on' is true or false"),
        ("cameras: {a: {source: 'test:', name: b}}", "cameras.a.name: unknown key"),
        ("cameras: {a: {source: 'test:', metadata: 5}}", "cameras.a.metadata: expected a group of keys, got a single"),
        (
            "cameras: {a: {source: 'test:', metadata: {t: off}}}",
            "expected true or false, got 'off'; if a text is meant, put it in quotes: \"off\"",
        ),
        ("? [a]\n: b", "1:3: : a key must be a single word"),
        ("<<: {a: 1}", "1:1: : merge keys (<<) are not supported; repeat the keys"),
    ],
)
def test_a_fault_says_where_what_and_what_would_be_right(text, expected):
    assert any(expected in line for line in faults(text)), faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "cameras: {yard: 'rtsp://admin:hunter2@cam/1'}",
        "cameras: 'rtsp://admin:hunter2@cam/1'",
        "cameras: ['rtsp://admin:hunter2@cam/1']",
        "cameras: {yard: {source: 'test:', password: !hunter2 }}",
        "cameras: {yard: {source: 'test:', metadata: hunter2}}",
        "hub:\n  key:hunter2",
        "mqtt: hunter2",
        "telemetry: {routes: hunter2}",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(text):
    found = faults(text)
    assert found
    assert "hunter2" not in " ".join(found)


def test_a_fault_hides_the_rule_that_it_broke_along_the_way():
    # hub.key is wrong, so that it is also missing is no news.
    found = faults("hub: {key: 5}\ncameras: {a: {source: 'test:'}}")
    assert [line.split(": ")[1] for line in found] == ["hub.key"]


def test_a_rule_between_values_stands_at_the_nearest_key():
    assert faults("cameras: {a: {source: 'test:'}}") == [
        "1:1: hub.key: is needed to reach the hub; give a publishable key (pk_live_...), or key_file"
    ]
    assert faults("hub:\n  channel: x\ncameras: {a: {source: 'test:'}}")[0].startswith("1:1: hub.key")


def test_a_secret_comes_from_its_file():
    settings, found = build("hub: {key_file: key.txt}", files=FakeFiles(**{"key.txt": "pk_live_1"}))
    assert found == []
    assert settings.hub.key.reveal() == "pk_live_1"
    assert settings.hub.key_file == "/etc/key.txt"


def test_a_secret_file_that_fails_is_one_fault():
    found = faults("hub: {key_file: key.txt}\ncameras: {a: {source: 'test:'}}")
    assert found == ["1:7: hub.key_file: /etc/key.txt cannot be read"]


def test_a_secret_given_twice_is_a_fault():
    found = faults("hub: {key: a, key_file: key.txt}", files=FakeFiles(**{"key.txt": "b"}))
    assert found == ["1:15: hub.key_file: given together with key; keep one of the two"]


def test_a_file_name_is_read_relative_to_the_settings_and_must_be_there():
    settings, found = build("mqtt: {tls: true, ca_file: ca.pem}", files=FakeFiles(**{"ca.pem": ""}))
    assert found == []
    assert settings.mqtt.ca_file == "/etc/ca.pem"
    assert faults("mqtt: {tls: true, ca_file: no.pem}") == ["1:28: mqtt.ca_file: /etc/no.pem cannot be read"]


def test_aliases_are_repeated_values_and_cannot_grow_without_bound():
    settings, found = build("hub: {key: x}\ncameras: {a: &a {source: 'test:'}, b: *a}")
    assert found == []
    assert [camera.name for camera in settings.cameras] == ["a", "b"]
    bomb = "cameras:\n  a:\n    source: 'test:'\n    metadata:\n      a0: &a0 [1,2,3,4,5,6,7,8,9]\n"
    bomb += "".join(f"      a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 8))
    assert "more than 20000 values" in faults(bomb)[-1]


def test_free_values_have_a_bounded_depth():
    assert (
        "more than 8 levels deep"
        in faults("cameras: {a: {source: 'test:', metadata: " + "{a: " * 20 + "1" + "}" * 22)[0]
    )


def test_a_very_wrong_file_has_a_bounded_number_of_faults():
    assert len(faults("\n".join(f"k{number}: 1" for number in range(5000)))) == 100


@dataclass(frozen=True, kw_only=True)
class Inner:
    words: tuple[str, ...] = setting((), "Words.", check=lambda words: "too many words" if len(words) > 2 else "")


@dataclass(frozen=True, kw_only=True)
class Outer:
    limit_s: float | None = setting(None, "Limit.", minimum=1)
    inner: Inner = section(Inner, "Inner.")  # noqa: RUF009


def test_any_settings_class_is_served():
    assert build("limit_s: 2\ninner: {words: [a, b]}", Outer) == (Outer(limit_s=2.0, inner=Inner(words=("a", "b"))), [])
    assert build("limit_s: ~\ninner:", Outer) == (Outer(), [])
    assert faults("limit_s: 0", Outer) == ["1:10: limit_s: 0.0 is too small; give at least 1"]
    assert faults("inner: {words: [a, 5]}", Outer)[0].startswith("1:20: inner.words[1]: '5' is a number")
    assert faults("inner: {words: [a, b, c]}", Outer) == ["1:16: inner.words: too many words"]
