from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from edged.cameras.garbage import collect_early
collect_early()
kept = gc.get_freeze_count()
collect_early()
print(kept > 1000, kept == gc.get_freeze_count(), gc.get_threshold()[2])
"""


def test_what_is_loaded_is_left_out_once_and_the_rest_collected_sooner() -> None:
    # In a process of its own: it is for good.
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True", "True", "3"]
