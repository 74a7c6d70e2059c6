"""The one search of this process for an H.264 encoder in hardware: at the first need, once, and with an end. Blocks.

A candidate counts when a process of its own (`encoder_trial`) got a picture out of it that can be decoded.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from metered_realtime.media.encoder_search import DEVICE_PATTERNS, Candidate, EncoderSearch, Trial, candidates
from metered_realtime.media.v4l2_encoders import encoder_nodes

# A small board takes seconds to load FFmpeg; an encoder that needs longer than this is of no use to a live picture.
TRIAL_S = 10.0
SEARCH_S = 25.0
# An encoder that failed at work is left alone for so long: others of its kind may hold the device.
_REST_S = 600.0
_MAX_REASON = 200
# How often it is looked whether there still is a program to search for.
_LOOK_S = 0.5

_log = logging.getLogger(__name__)


class HardwareEncoders:
    """May be asked from any thread; the first one that asks searches, the others wait for it."""

    def __init__(
        self,
        *,
        look: Callable[[], tuple[tuple[Candidate, ...], tuple[str, ...]]] | None = None,
        try_out: Callable[[Candidate, float], Trial] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look if look is not None else look_for_devices
        self._try_out = try_out if try_out is not None else try_in_process
        self._clock = clock
        self._lock = threading.Lock()
        self._search: EncoderSearch | None = None
        self._named: dict[str, Trial] = {}
        # Not under the same lock: who has to do without an encoder does not wait for somebody's search.
        self._failures = threading.Lock()
        self._failed_s: dict[str, float] = {}

    def search(self) -> EncoderSearch:
        """Return what was found, by searching if nobody has yet: `SEARCH_S` at most."""
        with self._lock:
            if self._search is None:
                self._search = self._searched()
            return self._search

    def choice(self) -> Trial | None:
        """Return the encoder to use now; None where software has to do it."""
        return self._rested(self.search().found)

    def named(self, encoder: str) -> Trial | None:
        """Return an encoder that is asked for by name, tried once; None where it does not work, as the log says."""
        with self._lock:
            if encoder not in self._named:
                trial = self._named[encoder] = self._try_out(Candidate(encoder, ""), TRIAL_S)
                if not trial.pixel_format:
                    _log.warning("the encoder %s is not used: %s; software does it", encoder, trial.reason)
            trial = self._named[encoder]
        return self._rested(trial if trial.pixel_format else None)

    def failed(self, encoder: str) -> None:
        """It worked and then failed: do not choose it for some minutes."""
        with self._failures:
            self._failed_s[encoder] = self._clock()

    def _rested(self, found: Trial | None) -> Trial | None:
        if found is None:
            return None
        with self._failures:
            failed_s = self._failed_s.get(found.candidate.encoder)
        return None if failed_s is not None and self._clock() - failed_s < _REST_S else found

    def _searched(self) -> EncoderSearch:
        end_s = self._clock() + SEARCH_S
        found, passed_over = self._look()
        trials: list[Trial] = []
        for candidate in found:
            left_s = end_s - self._clock()
            if left_s <= 0 or not threading.main_thread().is_alive():
                trials.append(Trial(candidate, reason="there was no time left to try it"))
                continue
            trials.append(self._try_out(candidate, min(TRIAL_S, left_s)))
            if trials[-1].pixel_format:
                _log.info("pictures are encoded by %s on %s", candidate.encoder, candidate.device)
                break
            _log.info("%s on %s is not used: %s", candidate.encoder, candidate.device, trials[-1].reason)
        return EncoderSearch(tuple(trials), passed_over)


def look_for_devices() -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Return the candidates of this machine, and why some device was passed over."""
    nodes, passed_over = encoder_nodes()
    paths = [str(path) for pattern in DEVICE_PATTERNS for path in Path("/dev").glob(pattern)]
    return candidates([node.path for node in nodes], paths), (*passed_over, *_forbidden(paths))


def _forbidden(paths: Iterable[str]) -> list[str]:
    closed = (path for path in paths if not os.access(path, os.R_OK | os.W_OK))
    return [f'{path} may not be opened by this user: add the user to the group "render" or "video"' for path in closed]


def try_in_process(candidate: Candidate, within_s: float) -> Trial:
    """Try it in a process that is killed if it does not end in time."""
    known = os.pathsep.join(path for path in sys.path if path)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and a module of ours
            [sys.executable, "-m", "metered_realtime.media.encoder_trial", candidate.encoder],
            env=os.environ | {"PYTHONPATH": known},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        return Trial(candidate, reason=f"it cannot be tried: {error.strerror}")
    said = _heard(process, within_s)
    if said is None:
        return Trial(candidate, reason=f"it gave no picture within {within_s:.0f} s")
    words, complaint = said
    if process.returncode == 0 and words.strip():
        return Trial(candidate, pixel_format=words.split()[-1])
    if process.returncode < 0:
        return Trial(candidate, reason=f"it crashed (signal {-process.returncode})")
    lines = [line for line in complaint.splitlines() if line.strip()] or ["it failed"]
    return Trial(candidate, reason="".join(letter for letter in lines[-1] if letter.isprintable())[:_MAX_REASON])


def _heard(process: subprocess.Popen[str], within_s: float) -> tuple[str, str] | None:
    """Return what it wrote; None where it did not end in time, or our own program ended before, and it was killed."""
    end_s = time.monotonic() + within_s
    while (left_s := end_s - time.monotonic()) > 0 and threading.main_thread().is_alive():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=min(left_s, _LOOK_S))
    process.kill()
    # A process that its driver holds in the kernel does not even end by that; it is left behind.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=1.0)
    return None


HARDWARE = HardwareEncoders()
"""This process' own: what is found out about its machine is found out once."""
