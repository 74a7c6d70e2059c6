"""What is shipped as settings cannot drift from the code, and holds none of YAML's guesses."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest
import yaml

from edged.hub.settings import HubSettings
from edged.settings import Settings
from edged.settings_dump import commented
from edged.settings_file import load

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.relative_to(ROOT) for path in (ROOT / "config").rglob("*.yaml"))
EXAMPLES = sorted(path.relative_to(ROOT) for path in (ROOT / "config" / "examples").glob("*.yaml"))
GUESSED = {"yes", "no", "on", "off", "y", "n"}


def test_the_file_of_defaults_is_what_the_settings_say():
    # To write it anew: python -c "from edged.settings_dump import commented; print(commented(), end='')"
    assert (ROOT / "config" / "edged.yaml").read_text() == commented()


def test_the_file_of_defaults_equals_the_defaults():
    assert load(ROOT / "config" / "edged.yaml", Settings) == Settings()


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_an_example_has_no_fault(path):
    load(ROOT / path, HubSettings if path.stem.startswith("hub") else Settings)


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_a_shipped_file_leaves_yaml_nothing_to_guess(path):
    # Also what is commented out: people remove the mark and use it.
    text = re.sub(r"^( *)# ?", r"\1", (ROOT / path).read_text(), flags=re.MULTILINE)
    plain = [match[1].strip() for match in re.finditer(r"^[ -]*[\w.]+:([^#\n]*)", text, re.MULTILINE)]
    assert not [value for value in plain if value.lower() in GUESSED]


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_a_shipped_file_is_yaml_for_every_reader(path):
    assert isinstance(yaml.safe_load((ROOT / path).read_text()), dict)


def settings_classes(cls):
    yield cls
    for kind in typing.get_type_hints(cls).values():
        for inner in (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(inner):
                yield from settings_classes(inner)


@pytest.mark.parametrize("cls", list(dict.fromkeys((*settings_classes(Settings), *settings_classes(HubSettings)))))
def test_every_setting_says_what_it_is(cls):
    assert cls.__doc__
    assert cls.__dataclass_params__.frozen
    for field in dataclasses.fields(cls):
        doc = field.metadata.get("doc", "")
        assert len(doc) >= 7, f"{cls.__name__}.{field.name} has no description"
        assert doc.endswith("."), f"{cls.__name__}.{field.name}: {doc}"
