"""What viewers leave behind, collected early and in small portions.

Each connection that ends is some hundred objects in circles, with 0.2 MB of TLS and SRTP contexts at them. Python looks
for those only when a quarter of all its objects are new, then at every module and function there is: measured, 20 MB
and half a second without pictures on a busy machine.
"""

from __future__ import annotations

import gc

# The first two are Python's own; the last is how many younger collections make a full one (10).
_THRESHOLDS = (700, 10, 3)
_open: set[object] = set()


def camera_opens(camera: object) -> None:
    """Leave what there is by now out of all collections, which makes full ones cheap, and have them more often.

    To be called when everything is loaded; takes no time, and counts once until `camera_closes`.
    """
    if not _open:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
    _open.add(camera)


def camera_closes(camera: object) -> None:
    """With the last camera that is open, collect what was left out, too: viewers were connected then, and are gone.

    Takes some 30 ms, at a time when nobody waits for a picture.
    """
    if camera in _open:
        _open.discard(camera)
        if not _open:
            gc.unfreeze()
            gc.collect()
