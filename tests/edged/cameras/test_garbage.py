from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from edged.cameras.garbage import camera_closes, camera_opens

class Viewer:
    def __init__(self):
        self.circle = self

def told(*values):
    print(*values, flush=True)

before = Viewer()
gone = weakref.ref(before)
camera_opens("yard")
kept = gc.get_freeze_count()
camera_opens("barn")
camera_opens("yard")
told(kept > 1000, kept == gc.get_freeze_count(), gc.get_threshold()[2])
del before
gc.collect()
camera_closes("barn")
camera_closes("never opened")
told(gone() is None)
camera_closes("yard")
told(gone() is None, gc.get_freeze_count())
"""


def test_what_is_there_is_left_out_while_a_camera_is_open_and_the_rest_collected_sooner() -> None:
    # In a process of its own: others collect as they like.
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["True True 3", "False", "True 0"]
