"""The one arithmetic of waiting between attempts. Pure: an endless generator of delays."""

from __future__ import annotations

import random as _random
from collections.abc import Callable, Iterator


def jittered(delay_s: float, jitter_ratio: float, random: Callable[[], float] = _random.random) -> float:
    """Return `delay_s` moved by a uniform share of up to `jitter_ratio` either way."""
    return max(0.0, delay_s * (1.0 + jitter_ratio * (2.0 * random() - 1.0)))


def delays(
    *,
    initial_s: float = 0.5,
    multiplier: float = 2.0,
    max_s: float = 30.0,
    jitter_ratio: float = 0.2,
    random: Callable[[], float] = _random.random,
) -> Iterator[float]:
    """Yield for ever the seconds to wait before attempt 1, 2, 3 ... (protocol section 11)."""
    base_s = initial_s
    while True:
        yield jittered(base_s, jitter_ratio, random)
        base_s = min(base_s * multiplier, max_s)
