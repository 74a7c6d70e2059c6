"""Reads the clocks of the machine: uptime, wall clock, and whether that one has been set."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edged.telemetry.moments import ClockSigns, Moment
from edged.telemetry.moments import is_trusted as is_clock_trusted

_LOOK_EVERY_MS = 1000
_STEP_MS = 2000
"""Nobody steps a clock by more than this but to set it; time services slew what is less."""
_TIME_ERROR = 5
_TIMEX_BYTES = 512
_MARK = "clock-is-set"
_ASK_EVERY_MS = 30_000
_QUESTION = ("timedatectl", "show", "--property=NTPSynchronized", "--value")


class _TimeService:
    """Asks systemd, where a sandbox forbids to ask the kernel. Nobody waits: the answer is there at a later look."""

    def __init__(self, question: tuple[str, ...]) -> None:
        self._question = question
        self._asked: subprocess.Popen[bytes] | None = None
        self._ask_at_ms = 0

    def says_set(self, uptime_ms: int) -> bool:
        """Return what is known by now."""
        if self._asked is not None and self._asked.poll() is not None:
            said, _ = self._asked.communicate()
            self._asked = None
            if said.strip() == b"yes":
                return True
        if self._asked is None and uptime_ms >= self._ask_at_ms:
            self._ask_at_ms = uptime_ms + _ASK_EVERY_MS
            with suppress(OSError):
                self._asked = subprocess.Popen(  # noqa: S603 - our own words
                    self._question, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
        return False


class Clock:
    """Tells the moment. Signs of a clock that has been set are looked for once a second, until there is one.

    `is_trusted`: somebody answers for the clock, and no sign is wanted.
    """

    def __init__(
        self,
        *,
        is_trusted: bool = False,
        root: Path = Path("/"),
        boot: str = "",
        runtime_dir: Path | None = None,
        uptime_ms: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        kernel_says_set: Callable[[], bool | None] | None = None,
        question: tuple[str, ...] = _QUESTION,
    ) -> None:
        self._root = root
        self._uptime_ms = uptime_ms
        self._wall_ms = wall_ms
        self._kernel_says_set = kernel_says_set or _kernel_says_set
        self._time_service = _TimeService(question)
        # Nothing but the service manager can tell a service that sees only its own processes in /proc.
        self._boot = _text(root / "proc/sys/kernel/random/boot_id") or boot or os.environ.get("EDGED_BOOT_ID", "")
        given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        runtime_dir = runtime_dir or (Path(given) if given else None)
        self._mark = runtime_dir / _MARK if runtime_dir else None
        self._is_board = (root / "sys/firmware/devicetree/base").exists()
        self._was_set = is_trusted or (self._mark is not None and self._mark.exists())
        self._offset_ms: int | None = None
        self._look_at_ms = 0
        self._is_set = False

    def now(self) -> Moment:
        """Return this moment."""
        uptime_ms = self._uptime_ms()
        wall_ms = self._wall_ms()
        if uptime_ms >= self._look_at_ms:
            self._look_at_ms = uptime_ms + _LOOK_EVERY_MS
            self._is_set = self._look(uptime_ms, wall_ms)
        return Moment(self._boot, uptime_ms, wall_ms, self._is_set)

    def _look(self, uptime_ms: int, wall_ms: int) -> bool:
        offset_ms = wall_ms - uptime_ms
        if self._offset_ms is not None and abs(offset_ms - self._offset_ms) >= _STEP_MS:
            self._remember()
        self._offset_ms = offset_ms
        # The kernel forgets after some hours without the time service; the clock is not wrong for that.
        if not self._was_set and self._is_synchronised(uptime_ms):
            self._remember()
        battery_ms = None if self._was_set else self._battery_ms()
        return is_clock_trusted(wall_ms, ClockSigns(self._was_set, battery_ms, self._is_board))

    def _is_synchronised(self, uptime_ms: int) -> bool:
        if (self._root / "run/systemd/timesync/synchronized").exists():
            return True
        by_kernel = self._kernel_says_set()
        return self._time_service.says_set(uptime_ms) if by_kernel is None else by_kernel

    def _remember(self) -> None:
        """Note it for our next life within this boot, once."""
        if not self._was_set and self._mark is not None:
            with suppress(OSError):
                self._mark.touch()
        self._was_set = True

    def _battery_ms(self) -> int | None:
        text = _text(self._root / "sys/class/rtc/rtc0/since_epoch")
        return int(text) * 1000 if text.isascii() and text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _kernel_says_set() -> bool | None:
    """Ask adjtimex, which only reads here; None where even that is forbidden."""
    state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return None if state < 0 else state < _TIME_ERROR
