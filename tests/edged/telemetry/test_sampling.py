"""Filters per topic: what passes, in which order they decide, and that they remember a bounded number of topics."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.settings import RouteSettings
from edged.telemetry.sampling import Sampler, rules_of

START_MS = 10_000


def passed(route, *values, step_ms=1000, topic="t"):
    """Return why each of some values does not pass, one every `step_ms`."""
    sampler = Sampler(100)
    rules = rules_of(RouteSettings(topic="t", **route))
    return [sampler.why_not(topic, value, rules, START_MS + n * step_ms) for n, value in enumerate(values)]


def test_a_route_that_asks_for_nothing_has_no_rules():
    assert rules_of(RouteSettings(topic="t", watch="a", max_interval_s=5)) is None


def test_on_change_lets_a_value_pass_when_it_differs_from_the_last_that_passed():
    held = "on_change"
    assert passed({"on_change": True}, 1, 1, 1.0, 2, 2, 1) == ["", held, held, "", held, ""]
    assert passed({"on_change": True}, "on", "on", "off", None, None) == ["", held, "", "", held]


def test_on_change_knows_kinds_apart():
    assert passed({"on_change": True}, 1, True, "1", [1], [True], {"a": 1}, {"a": 1}, 0, False) == [
        "", "", "", "", "", "", "on_change", "", ""
    ]  # fmt: skip


def test_on_change_of_one_field():
    values = [{"s": "on", "n": 1}, {"s": "on", "n": 2}, {"n": 3}, {"n": 4}, {"s": "off"}]
    assert passed({"on_change": True, "watch": "s"}, *values) == ["", "on_change", "", "on_change", ""]


def test_dead_band_compares_with_the_last_that_passed_so_that_a_slow_drift_is_seen():
    band = "dead_band"
    assert passed({"dead_band": 0.5}, 20.0, 20.3, 20.5, 20.8, 20.1, 20.0) == ["", band, "", band, band, ""]


def test_dead_band_forgives_what_floats_cannot_say():
    assert 20.3 - 20.1 < 0.2
    assert passed({"dead_band": 0.2}, 20.1, 20.3) == ["", ""]


def test_dead_band_lets_words_between_numbers_pass_once():
    held = "on_change"
    assert passed({"dead_band": 5}, 20, "unavailable", "unavailable", 20, 22) == ["", "", held, "", "dead_band"]


def test_dead_band_of_one_field():
    values = [{"t": 20.0, "n": 1}, {"t": 20.1, "n": 2}, {"t": 21.0}]
    assert passed({"dead_band": 0.5, "watch": "t"}, *values) == ["", "dead_band", ""]


def test_min_interval_lets_the_first_pass_and_then_the_first_after_each_interval():
    held = "min_interval"
    assert passed({"min_interval_s": 3}, *range(8)) == ["", held, held, "", held, held, "", held]


def test_max_interval_lets_pass_what_has_not_changed_for_so_long():
    held = "on_change"
    assert passed({"on_change": True, "max_interval_s": 3}, *[1] * 7) == ["", held, held, "", held, held, ""]


def test_throttle_lets_so_many_pass_at_once_and_then_in_the_long_run():
    held = "throttle"
    assert passed({"throttle": "3/min"}, *range(5)) == ["", "", "", held, held]
    assert passed({"throttle": "3/min"}, *range(120)).count("") == 3 + 5
    assert passed({"throttle": "5/s"}, *range(20), step_ms=200).count(held) == 0
    assert passed({"throttle": "1/h"}, 1, 2, 3, step_ms=1_800_000) == ["", held, ""]


def test_what_is_unchanged_takes_nothing_from_interval_and_throttle():
    route = {"on_change": True, "throttle": "2/h"}
    assert passed(route, 1, 1, 1, 2, 2, 3) == ["", "on_change", "on_change", "", "on_change", "throttle"]


def test_a_change_within_the_interval_passes_after_it_for_it_still_differs():
    route = {"on_change": True, "min_interval_s": 3}
    assert passed(route, "open", "closed", "closed", "closed") == ["", "min_interval", "min_interval", ""]


def test_topics_do_not_know_each_other():
    sampler = Sampler(100)
    rules = rules_of(RouteSettings(topic="#", on_change=True))
    assert [sampler.why_not(topic, 1, rules, 0) for topic in "abcab"] == ["", "", "", "on_change", "on_change"]


def test_the_topic_that_was_silent_longest_is_forgotten_first():
    sampler = Sampler(2)
    rules = rules_of(RouteSettings(topic="#", on_change=True))
    assert [sampler.why_not(topic, 1, rules, 0) for topic in "abacab"] == ["", "", "on_change", "", "on_change", ""]
    assert sampler.topics == 2


def test_ten_thousand_topics_with_large_values_cost_little():
    sampler = Sampler(1000)
    rules = rules_of(RouteSettings(topic="#", on_change=True))
    for number in range(10_000):
        assert not sampler.why_not(f"t/{number}", "x" * 10_000, rules, number)
    assert sampler.topics == 1000
    assert sampler.why_not("t/9999", "x" * 10_000, rules, 0) == "on_change"


numbers = st.floats(-100, 100, allow_nan=False) | st.integers(-100, 100)


@given(st.lists(numbers, max_size=30), st.floats(0.01, 50))
def test_a_reader_is_never_further_off_than_the_dead_band(values, band):
    sent = math.nan
    for value, reason in zip(values, passed({"dead_band": band}, *values), strict=True):
        if not reason:
            sent = value
        assert abs(value - sent) <= band


@given(st.lists(st.integers(0, 5000), max_size=40), st.integers(1, 20))
def test_intervals_are_kept_whatever_comes_when(gaps_ms, interval_s):
    sampler = Sampler(10)
    rules = rules_of(RouteSettings(topic="t", min_interval_s=interval_s))
    now_ms, sent_at_ms = START_MS, []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if not sampler.why_not("t", 1, rules, now_ms):
            sent_at_ms.append(now_ms)
    assert all(after - before >= interval_s * 1000 for before, after in pairwise(sent_at_ms))


@pytest.mark.parametrize("count", [1, 7, 100])
@given(gaps_ms=st.lists(st.integers(0, 30_000), min_size=1, max_size=60))
def test_no_minute_has_more_than_twice_what_the_throttle_allows(count, gaps_ms):
    sampler = Sampler(10)
    rules = rules_of(RouteSettings(topic="t", throttle=f"{count}/min"))
    now_ms, sent_at_ms = START_MS, []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if not sampler.why_not("t", 1, rules, now_ms):
            sent_at_ms.append(now_ms)
    for at_ms in sent_at_ms:
        assert sum(at_ms <= other < at_ms + 60_000 for other in sent_at_ms) <= 2 * count


RULES = st.fixed_dictionaries(
    {},
    optional={
        "on_change": st.just(True),
        "dead_band": st.sampled_from([1, 2]),
        "min_interval_s": st.sampled_from([2, 5]),
        "max_interval_s": st.sampled_from([5, 8]),
    },
)


def by_the_book(route, history, value, now_s):
    """Say whether a value passes, from all that has passed before: (when, value)."""
    if not history:
        return True
    at_s, last = history[-1]
    is_due = 0 < route.max_interval_s <= now_s - at_s
    band = route.dead_band or (1 if route.on_change else 0)
    is_new = is_due or (
        abs(value - last) >= band if isinstance(value, int) and isinstance(last, int) else value != last
    )
    return (is_new or not band) and now_s - at_s >= route.min_interval_s


@given(RULES, st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, 3, "off"]), st.integers(0, 3))))
def test_every_decision_is_by_the_book(route, events):
    route = RouteSettings(topic="t", **route)
    rules = rules_of(route)
    if rules is None:
        return
    sampler = Sampler(2)
    histories, now_s = {"a": [], "b": []}, 0
    for topic, value, gap_s in events:
        now_s += gap_s
        passes = not sampler.why_not(topic, value, rules, now_s * 1000)
        assert passes is by_the_book(route, histories[topic], value, now_s)
        if passes:
            histories[topic].append((now_s, value))


@pytest.mark.parametrize(
    ("route", "value"),
    [({"min_interval_s": 10}, 2), ({"throttle": "2/min"}, 3), ({"on_change": True}, 2), ({"dead_band": 5}, 3)],
)
def test_what_passed_in_an_earlier_life_is_the_last_reading_for_what_comes_then(route, value):
    rules = rules_of(RouteSettings(topic="t", **route))
    known, fresh = Sampler(100), Sampler(100)
    for step, earlier in enumerate((1, 2)):
        known.passed("t", earlier, rules, START_MS + step)
        fresh.why_not("t", earlier, rules, START_MS + step * 20_000)
    assert known.why_not("t", value, rules, START_MS + 2)
    assert known.why_not("t", value, rules, START_MS + 2) == fresh.why_not("t", value, rules, START_MS + 20_001)
    assert known.topics == 1


def test_more_than_a_throttle_allows_may_have_passed_in_an_earlier_life():
    rules = rules_of(RouteSettings(topic="t", throttle="2/min"))
    sampler = Sampler(100)
    for value in range(5):
        sampler.passed("t", value, rules, START_MS)
    assert [sampler.why_not("t", 5, rules, START_MS + ms) for ms in (0, 29_000, 30_000)] == ["throttle", "throttle", ""]


def test_topics_of_an_earlier_life_are_bounded_too():
    rules = rules_of(RouteSettings(topic="t", min_interval_s=1))
    sampler = Sampler(2)
    for topic in "abab" + "cb":
        sampler.passed(topic, 1, rules, START_MS)
    assert sampler.topics == 2
    assert sampler.why_not("b", 1, rules, START_MS)
    assert not sampler.why_not("a", 1, rules, START_MS)
