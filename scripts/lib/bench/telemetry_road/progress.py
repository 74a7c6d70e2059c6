"""How many messages have come through, as one number in shared memory: nobody is woken to ask or to be told."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_NUMBER = struct.Struct("=Q")


class Progress:
    """The number. The listener writes it, the sensors and the bench read it."""

    def __init__(self, path: str | Path, *, new: bool = False) -> None:
        self.path = str(path)
        if new:
            Path(path).write_bytes(bytes(_NUMBER.size))
        with Path(path).open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBER.size)

    @property
    def count(self) -> int:
        return int(_NUMBER.unpack_from(self._memory)[0])

    @count.setter
    def count(self, value: int) -> None:
        _NUMBER.pack_into(self._memory, 0, value)
