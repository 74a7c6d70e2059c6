"""What a process costs at a moment: memory and CPU time, read from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path


def rss_mb(pid: int | str = "self") -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return kib / 1024


def cpu_s(pid: int) -> float:
    """Return the CPU time of all threads of a process, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def tree(pid: int) -> list[int]:
    """Return the process and all that it started and that runs."""
    found = [pid]
    for each in found:  # grows while it is walked
        with contextlib.suppress(OSError):  # it has ended
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def tree_rss_mb(pid: int) -> float:
    """Return the resident memory of a process and its children. Raises OSError when it has ended."""
    return rss_mb(pid) + _sum_of(rss_mb, tree(pid)[1:])


def tree_cpu_s(pid: int) -> float:
    """Return the CPU time of a process and its children. Raises OSError when it has ended."""
    return cpu_s(pid) + _sum_of(cpu_s, tree(pid)[1:])


def core_busy_s(core: int) -> float:
    """Return for how long a core was not idle since the start; what a hypervisor took from it counts (proc(5))."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _idle, _iowait, irq, softirq, steal = next(
        (int(word) for word in line.split()[1:9]) for line in lines if line.startswith(f"cpu{core} ")
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _sum_of(cost: Callable[[int], float], pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):  # it has ended
            total += cost(pid)
    return total
