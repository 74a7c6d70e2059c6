"""JSON from the network: depth, size and numbers are bounded, and reading stays linear."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime import json_text
from metered_realtime.json_text import MAX_DEPTH, JsonError, JsonText, dumps, loads


def nested(depth):
    return "[" * depth + "]" * depth


def test_depth_is_bounded_exactly():
    assert loads(nested(MAX_DEPTH))
    with pytest.raises(JsonError, match="deeper"):
        loads(nested(MAX_DEPTH + 1))


def test_brackets_inside_strings_do_not_count():
    assert loads(json.dumps(["[" * 10_000, '\\"[{' * 100]))


@pytest.mark.parametrize("text", ['[]{"a":[{}]}' * 50, '"\\\\"[', '"[\\"[" [{', "]}[", "x[y{z", '"open [[[ \\'])
def test_depth_is_that_of_a_plain_count(text):
    depth = deepest = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string, escaped = escaped or char != '"', char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    assert max(0, json_text._depth(text)) == deepest


def test_wide_is_not_deep():
    assert len(loads("[" + ",".join(["{}"] * 5_000) + "]")) == 5_000


@pytest.mark.parametrize("text", ['"' + '\\"' * 300_000, "[" * 500_000, '{"a":' * 100_000, '"[' * 300_000])
def test_hostile_text_is_read_in_linear_time(text):
    started = time.process_time()
    with pytest.raises(JsonError):
        loads(text)
    assert time.process_time() - started < 5  # quadratic would take minutes


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5_000])
def test_numbers_a_browser_could_not_read_are_refused(text):
    with pytest.raises(JsonError):
        loads(text)


@given(st.text(st.characters()))
def test_any_string_survives_and_is_utf8(text):
    written = dumps(text)
    written.encode()
    assert json.loads(written) == text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**60), 2**60)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_text_is_written_as_the_value_it_was_made_from(value):
    text = JsonText(dumps(value))
    assert dumps(text) == dumps(value)
    assert json_text.json_size(text) == json_text.json_size(value)


@pytest.mark.parametrize("text", ["", "{", "1,2", '{"a":NaN}', nested(MAX_DEPTH + 1), '"x","requestId":"y"'])
def test_json_text_is_checked_once(text):
    with pytest.raises(ValueError, match="JSON"):
        JsonText(text)
    assert JsonText.unchecked(text).text == text


def test_half_a_surrogate_pair_in_json_text_is_escaped():
    assert dumps(JsonText('"\ud800"')) == '"\\ud800"'
