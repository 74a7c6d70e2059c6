"""Paths into JSON: what settings may say, and what they find in whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.json_paths import MISSING, optional_path_fault, parse, path_fault, pick

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
STEPS = st.lists(st.one_of(st.sampled_from(["a", "b", "x.y", "odd name"]), st.integers(-2, 2)), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("temp", ("temp",)),
        ("data.temp_c", ("data", "temp_c")),
        ("bat[0]", ("bat", 0)),
        ("a[0][-1].b", ("a", 0, -1, "b")),
        ("[2].x", (2, "x")),
        ('["a.b"].x', ("a.b", "x")),
        ('a["b c"]', ("a", "b c")),
        ("switch:0.output", ("switch:0", "output")),
        ("Weather (°C)", ("Weather (°C)",)),
    ],
)
def test_a_path_has_steps(path, steps):
    assert parse(path) == steps
    assert not path_fault(path)


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "a[", "a]", "a[x]", "a[0]b", '[""]', "a[1.5]", '"a"'])
def test_what_is_no_path_is_told(path):
    assert "no path into JSON; write for example" in path_fault(path)


def test_a_path_that_may_be_left_out():
    assert not optional_path_fault("")
    assert optional_path_fault("a..b")


def test_a_path_has_an_end():
    assert "at most 32 steps" in path_fault("a" + "[0]" * 32)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": [1, None]}),
        ("a.b[0]", 1),
        ("a.b[-1]", None),
        ("a.b[2]", MISSING),
        ("a.b[-3]", MISSING),
        ("a.b.c", MISSING),
        ("a[0]", MISSING),
        ("x", MISSING),
    ],
)
def test_something_or_nothing_stands_there(path, found):
    assert pick({"a": {"b": [1, None]}}, parse(path)) is found or pick({"a": {"b": [1, None]}}, parse(path)) == found


@pytest.mark.parametrize("value", [None, 5, "text", True, []])
def test_a_value_without_an_inside_has_nothing(value):
    assert pick(value, ("a",)) is MISSING
    assert pick(value, (0,)) is MISSING


def written(steps):
    return "".join(f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in steps)


@given(STEPS)
def test_every_step_can_be_written(steps):
    assert parse(written(steps)) == tuple(steps)


@given(JSON, STEPS)
def test_looking_never_fails(value, steps):
    pick(value, steps)
