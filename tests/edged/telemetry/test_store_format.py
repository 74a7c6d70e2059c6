from __future__ import annotations

import pytest

from edged.telemetry.moments import NO_MOMENT, Moment
from edged.telemetry.reading import HIGH, Reading
from edged.telemetry.store_format import migration, reading_of, row_values

BOOTS = {3: "boot-3"}


def as_found(values):
    return tuple(value.encode() if isinstance(value, str) else value for value in values)


def test_a_reading_comes_back_as_it_was():
    taken = Moment("boot-3", 5_000, 1_700_000_000_000, is_set=True)
    body = '{"id":"g/b/1","value":"ä"}'
    reading = Reading("g/b/1", "farm", body, len(body.encode()), HIGH, 60.0, taken)
    values = row_values(7, reading, 3)
    assert values[1] == "", "the id stands in the body"
    assert reading_of(HIGH, as_found(values), BOOTS, {}) == reading


def test_an_id_that_does_not_begin_the_body_is_kept_beside_it():
    reading = Reading('say "x"', "farm", '{"value":1}', 11)
    assert reading_of(1, as_found(row_values(7, reading, None)), BOOTS, {}) == reading


def test_readings_taken_in_together_share_their_moment():
    reading = Reading("a", "farm", '{"value":1}', 11, taken=Moment("boot-3", 5, 6, is_set=False))
    moments = {}
    one, two = (reading_of(1, as_found(row_values(row, reading, 3)), BOOTS, moments) for row in (1, 2))
    assert one.taken is two.taken


@pytest.mark.parametrize(
    ("place", "value"),
    [(3, b'{"value":2}'), (2, b"yard"), (3, b"\xff"), (3, None), (1, 5), (9, 1)],
)
def test_a_row_that_was_changed_is_no_reading(place, value):
    found = list(as_found(row_values(1, Reading("x", "farm", '{"value":1}', 11), None)))
    found[place] = value
    assert reading_of(1, tuple(found), BOOTS, {}) is None


@pytest.mark.parametrize(
    ("body", "is_whole"), [(b'{"a":1}', True), (b"[]", False), (b"{", False), (b"[" * 99999, False)]
)
def test_a_row_of_format_1_is_whole_if_it_is_json(body, is_whole):
    found = reading_of(1, (1, b"g/b/1", b"farm", body, None, None, None, None, None, None), BOOTS, {})
    assert (found is not None) == is_whole
    assert found is None or (found.taken, found.keep_s) == (NO_MOMENT, 0.0)


def test_a_format_that_is_not_known_has_no_migration():
    assert migration(1)
    assert migration(3) is None
