"""What is written to the disk: by one process, as the kernel accounts for it, and by the block device below.

Where root runs the bench, the servers' state is on a file system of its own: ext4 in a file on the real disk, through a
loop device, whose counter shows all that one server causes, the journal's blocks included, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGE_BYTES = 2 * 1024**3
SECTOR_BYTES = 512
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_SECTORS_WRITTEN = 6
_PRIVATE = "EDGED_BENCH_PRIVATE"
# Nothing that mkfs puts off until the file system is used.
_MKFS = ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0")


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder on a disk; `is_own`: its block device is written to by what is in the folder only."""

    folder: Path
    is_own: bool
    kind: str

    async def device_bytes(self) -> int | None:
        """Return what has been written to the device, all of it: nothing is left in memory. None: others write, too."""
        if not self.is_own:
            return None
        sync = await asyncio.create_subprocess_exec("sync", "-f", self.folder)
        await sync.wait()
        number = self.folder.stat().st_dev
        counters = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat").read_text().split()
        return int(counters[_SECTORS_WRITTEN]) * SECTOR_BYTES


def process_bytes(pid: int) -> int:
    """Return what a process has written or made the kernel write, less what was deleted before that happened."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    figures = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return figures["write_bytes"] - figures["cancelled_write_bytes"]


def kind_of(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    answer = subprocess.run(["stat", "-f", "-c", "%T", folder], check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def enter_private_mounts(argv: Sequence[str]) -> None:
    """Start the bench again where its mounts are its own and end with it, however it ends. Needs root."""
    if os.geteuid() != 0 or _PRIVATE in os.environ:
        return
    again = ["unshare", "--mount", sys.executable, *argv]
    if subprocess.run([*again[:2], "true"], check=False, capture_output=True).returncode == 0:
        os.execvpe(again[0], again, {**os.environ, _PRIVATE: "1"})


@contextlib.contextmanager
def real_disk(base: Path) -> Iterator[Disk]:
    """Make a folder on a real disk. Raises SystemExit where `base` is in memory."""
    kind = kind_of(base)
    if kind in _IN_MEMORY:
        raise SystemExit(f"{base} is in memory ({kind}), where writing costs nothing: give a --folder on a disk")
    with tempfile.TemporaryDirectory(prefix="edged-bench-", dir=base) as made:
        folder = Path(made)
        with contextlib.ExitStack() as stack:
            mounted = _mount(folder) if _PRIVATE in os.environ else None
            if mounted is None:
                yield Disk(folder, False, f"{kind}, below {base}, where others write, too: no device_b_per_msg")
            else:
                stack.callback(_unmount, mounted)
                yield Disk(mounted, True, f"ext4 of its own, by a loop device on {kind}, below {base}")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=False)


def _mount(folder: Path) -> Path | None:
    """Make a file system of its own in a folder; None where this machine does not let us, as many containers."""
    image, mounted = folder / "image", folder / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        subprocess.run([*_MKFS, image], check=True, env={**os.environ, "PATH": path})
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench telemetry: no file system of its own: {error}", file=sys.stderr)
        return None
    return mounted
