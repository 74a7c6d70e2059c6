"""Topic filters with named levels, and the templates that use the names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.topic_filters import matches
from edged.topic_patterns import Pattern, fill, parse, pattern_fault, template_fault

LEVELS = st.sampled_from(["a", "b", "", "{one}", "{two}", "+"])


@pytest.mark.parametrize(
    ("text", "plain", "names"),
    [
        ("farm/{barn}/temp", "farm/+/temp", ("barn",)),
        ("{site}/+/{sensor_2}/state", "+/+/+/state", ("site", "sensor_2")),
        ("farm/{path...}", "farm/#", ("path",)),
        ("{all...}", "#", ("all",)),
        ("farm/+/temp", "farm/+/temp", ()),
        ("farm/#", "farm/#", ()),
    ],
)
def test_the_broker_gets_a_plain_filter(text, plain, names):
    assert not pattern_fault(text)
    assert parse(text).filter == plain
    assert parse(text).names == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("farm/{Barn}/temp", "'{Barn}' names no level"),
        ("farm/barn-{n}", "'barn-{n}' names no level"),
        ("farm/{}", "'{}' names no level"),
        ("farm/{a", "'{a' names no level"),
        ("farm/{a..}", "'{a..}' names no level"),
        ("{a}/{a}", "'a' names two levels"),
        ("{a}/{a...}", "'a' names two levels"),
        ("{path...}/temp", "stands last"),
    ],
)
def test_what_names_no_level_is_told(text, problem):
    assert problem in pattern_fault(text)


def test_names_stand_for_the_levels_of_a_topic():
    assert parse("{site}/+/{sensor}/#").captured("north/x/t1/raw") == {"site": "north", "sensor": "t1"}
    assert parse("farm/{barn}/{rest...}").captured("farm/b1/a/b//c") == {"barn": "b1", "rest": "a/b//c"}
    assert parse("farm/{rest...}").captured("farm") == {"rest": ""}
    assert parse("farm/{barn}").captured("farm/") == {"barn": ""}


@given(
    st.lists(LEVELS, min_size=1, max_size=4), st.booleans(), st.lists(st.sampled_from(["a", "b", "", "c"]), min_size=1)
)
def test_a_name_is_found_in_every_topic_that_the_filter_selects(levels, has_rest, topic_levels):
    text = "/".join([*levels, *(["{rest...}"] if has_rest else [])])
    topic = "/".join(topic_levels)
    if pattern_fault(text) or not matches(parse(text).filter, topic):
        return
    found = parse(text).captured(topic)
    assert set(found) == set(parse(text).names)
    rebuilt = [found[level[1:-1]] if level.startswith("{") else topic_levels[at] for at, level in enumerate(levels)]
    assert rebuilt == topic_levels[: len(levels)]
    if has_rest:
        assert found["rest"] == "/".join(topic_levels[len(levels) :])


def test_a_template_is_filled():
    assert fill("farm-{barn}/{sensor}", {"barn": "b1", "sensor": "t"}) == "farm-b1/t"
    assert fill("{a}", {"a": "{b}"}) == "{b}"
    assert fill("plain", {}) == "plain"


@pytest.mark.parametrize(
    ("template", "names", "problem"),
    [
        ("farm-{barn}", ("barn",), ""),
        ("plain", (), ""),
        ("farm-{bran}", ("barn", "site"), "{bran} is no name in the route's topic; topic names barn, site"),
        ("farm-{barn}", (), "topic names none; write for example farm/{barn}/#"),
        ("farm-{}", ("barn",), "{} is no name"),
        ("farm-{barn", ("barn",), "a brace is not closed"),
        ("farm-barn}", ("barn",), "a brace is not closed"),
        ("{{barn}}", ("barn",), "a brace is not closed"),
    ],
)
def test_a_template_may_use_names_of_the_topic_only(template, names, problem):
    fault = template_fault(template, names)
    assert problem in fault
    assert bool(problem) is bool(fault)


def test_a_plain_filter_is_a_pattern_without_names():
    assert parse("a/+/#") == Pattern("a/+/#")
