"""Which readings of a topic are worth sending. What does not pass is counted, and is no loss: it was asked for. Pure.

The order is: on_change and dead_band (unless max_interval_s is over), then min_interval_s, then throttle. All compare
with the last reading of the topic that passed. State is kept for a bounded number of topics; one that falls out is new.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from edged.json_paths import MISSING, Steps, parse, pick
from edged.settings import RouteSettings
from edged.settings_routes import rate


@dataclass(frozen=True, slots=True)
class Rules:
    """What a route asks for."""

    min_interval_ms: int
    max_interval_ms: int
    on_change: bool
    dead_band: float
    watch: Steps
    throttle: tuple[int, float] | None

    @property
    def needs_value(self) -> bool:
        """Whether the rules look at the value."""
        return self.on_change or self.dead_band > 0


def rules_of(route: RouteSettings) -> Rules | None:
    """Return the rules of a route, or None where everything passes."""
    rules = Rules(
        round(route.min_interval_s * 1000),
        round(route.max_interval_s * 1000),
        route.on_change,
        route.dead_band,
        parse(route.watch),
        rate(route.throttle) if route.throttle else None,
    )
    return rules if rules.needs_value or rules.min_interval_ms or rules.throttle else None


@dataclass(slots=True)
class _Last:
    """The last reading of a topic that passed."""

    at_ms: int
    value: Any
    tokens: float
    tokens_at_ms: int


class Sampler:
    """Remembers what passed, per topic."""

    def __init__(self, max_topics: int) -> None:
        self._max_topics = max_topics
        # By fingerprint: a stranger's topics may be long.
        self._last: OrderedDict[int, _Last] = OrderedDict()

    @property
    def topics(self) -> int:
        """How many topics are remembered."""
        return len(self._last)

    def why_not(self, topic: str, value: Any, rules: Rules, now_ms: int) -> str:
        """Return which rule holds a reading back, or an empty string where it passes. `now_ms` is uptime."""
        watched = _watched(value, rules)
        key = hash(topic)
        last = self._last.get(key)
        if last is None:
            self._remember(key, watched, rules, now_ms)
            return ""
        self._last.move_to_end(key)
        passed_ms = now_ms - last.at_ms
        is_due = 0 < rules.max_interval_ms <= passed_ms
        if rules.needs_value and not is_due and (reason := _unchanged(watched, last.value, rules)):
            return reason
        if passed_ms < rules.min_interval_ms:
            return "min_interval"
        if rules.throttle is not None and not _take(last, *rules.throttle, now_ms):
            return "throttle"
        last.at_ms = now_ms
        last.value = watched
        return ""

    def passed(self, topic: str, value: Any, rules: Rules, now_ms: int) -> None:
        """Take note of a reading that passed in an earlier life: when it came then is not known, so it counts as now.

        Many may come at once; of a throttle they take what is there.
        """
        watched = _watched(value, rules)
        key = hash(topic)
        last = self._last.get(key)
        if last is None:
            self._remember(key, watched, rules, now_ms)
            return
        self._last.move_to_end(key)
        if rules.throttle is not None and not _take(last, *rules.throttle, now_ms):
            last.tokens = 0.0
        last.at_ms = now_ms
        last.value = watched

    def _remember(self, key: int, watched: Any, rules: Rules, now_ms: int) -> None:
        tokens = rules.throttle[0] - 1.0 if rules.throttle else 0.0
        self._last[key] = _Last(now_ms, watched, tokens, now_ms)
        if len(self._last) > self._max_topics:
            self._last.popitem(last=False)


def _watched(value: Any, rules: Rules) -> Any:
    """Return what the rules compare: a small value itself, of a large one its fingerprint only."""
    if not rules.needs_value:
        return None
    if rules.watch:
        value = pick(value, rules.watch)
    if value is MISSING or isinstance(value, bool | int | float) or value is None:
        return value
    # The text, not the value, is hashed: 1, 1.0 and true are different values inside an object.
    return hash(value if isinstance(value, str) else repr(value)), type(value)


def _unchanged(value: Any, last: Any, rules: Rules) -> str:
    if _is_number(value) and _is_number(last):
        if rules.dead_band > 0:
            # A billionth is forgiven: 20.3 - 20.1 is a little less than 0.2.
            return "dead_band" if abs(value - last) < rules.dead_band * (1 - 1e-9) else ""
        return "on_change" if value == last else ""
    return "on_change" if type(value) is type(last) and value == last else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _take(last: _Last, count: int, period_s: float, now_ms: int) -> bool:
    gained = (now_ms - last.tokens_at_ms) * count / (period_s * 1000)
    last.tokens = min(float(count), last.tokens + gained)
    last.tokens_at_ms = now_ms
    # Many small gains add up to a little less than one.
    if last.tokens < 1 - 1e-9:
        return False
    last.tokens -= 1
    return True
