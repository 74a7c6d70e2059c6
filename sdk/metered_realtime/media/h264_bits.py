"""Reading H.264 syntax bit by bit, safe against any input."""

from __future__ import annotations

_MAX_EXP_GOLOMB_ZEROS = 31


class H264Error(ValueError):
    """The bytes are not what H.264 allows at this place."""


def without_emulation_prevention(data: bytes) -> bytes:
    """Return the payload with every emulation_prevention_three_byte removed (ITU-T H.264 section 7.4.1)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


class BitReader:
    """A cursor over bytes, most significant bit first; reading past the end raises H264Error."""

    __slots__ = ("_bits", "_left")

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data)
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """Read `count` bits as an unsigned number: u(n)."""
        if count > self._left:
            raise H264Error("the data ends too early")
        self._left -= count
        return (self._bits >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit: u(1)."""
        return self.u(1) == 1

    def skip(self, count: int) -> None:
        """Pass over `count` bits."""
        self.u(count)

    def ue_v(self) -> int:
        """Read an unsigned Exp-Golomb number (section 9.1)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > _MAX_EXP_GOLOMB_ZEROS:
                raise H264Error("an Exp-Golomb number has more than 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)

    def se_v(self) -> int:
        """Read a signed Exp-Golomb number (section 9.1.1)."""
        code = self.ue_v()
        return (code + 1) // 2 if code & 1 else -(code // 2)
