"""What viewers leave behind, collected early and in small portions.

Each connection that ends is some hundred objects in circles, with 0.2 MB of TLS and SRTP contexts at them. Python looks
for those only when a quarter of all its objects are new, then at every module and function there is: measured, 20 MB
and half a second without pictures on a busy machine.
"""

from __future__ import annotations

import gc
from functools import cache

# The first two are Python's own; the last is how many younger collections make a full one (10).
_THRESHOLDS = (700, 10, 3)


@cache
def collect_early() -> None:
    """Leave what is loaded by now out of all collections, which makes full ones cheap, and have them more often.

    To be called when everything is loaded; takes no time, and does it once.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
