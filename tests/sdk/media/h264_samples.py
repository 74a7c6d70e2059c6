"""H.264 and RTP made by hand, small and exact, for the tests of the camera road."""

from __future__ import annotations

import struct


class BitWriter:
    """Writes H.264 syntax elements, most significant bit first."""

    def __init__(self) -> None:
        self.bits = ""

    def u(self, count: int, value: int) -> BitWriter:
        self.bits += format(value, f"0{count}b") if count else ""
        return self

    def ue_v(self, value: int) -> BitWriter:
        code = format(value + 1, "b")
        self.bits += "0" * (len(code) - 1) + code
        return self

    def se_v(self, value: int) -> BitWriter:
        return self.ue_v(2 * value - 1 if value > 0 else -2 * value)

    def rbsp(self) -> bytes:
        """Return the bytes with the stop bit and emulation prevention."""
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        raw = int(bits, 2).to_bytes(len(bits) // 8)
        out = bytearray()
        zeros = 0
        for byte in raw:
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(out)


def sps(
    *,
    width_mbs: int = 80,
    height_mbs: int = 45,
    profile: int = 66,
    constraints: int = 0xC0,
    level: int = 31,
    set_id: int = 0,
    crop: tuple[int, int, int, int] | None = None,
    order_type: int = 0,
    reorder: int | None = None,
    interlaced: bool = False,
    references: int = 2,
    bit_depth: int = 8,
) -> bytes:
    """Return an SPS NAL unit."""
    bits = BitWriter().u(8, profile).u(8, constraints).u(8, level).ue_v(set_id)
    if profile in (100, 110, 122, 244):
        bits.ue_v({122: 2, 244: 3}.get(profile, 1))
        if profile == 244:
            bits.u(1, 0)
        bits.ue_v(bit_depth - 8).ue_v(bit_depth - 8).u(1, 0).u(1, 0)
    bits.ue_v(0).ue_v(order_type)
    if order_type == 0:
        bits.ue_v(2)
    elif order_type == 1:
        bits.u(1, 0).se_v(-1).se_v(2).ue_v(2).se_v(1).se_v(-1)
    bits.ue_v(references).u(1, 0).ue_v(width_mbs - 1).ue_v(height_mbs - 1).u(1, 0 if interlaced else 1)
    if interlaced:
        bits.u(1, 0)
    bits.u(1, 1)
    if crop is None:
        bits.u(1, 0)
    else:
        bits.u(1, 1)
        for value in crop:
            bits.ue_v(value)
    if reorder is None:
        bits.u(1, 0)
    else:
        bits.u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0)
        bits.u(1, 1).u(1, 1).ue_v(0).ue_v(0).ue_v(10).ue_v(10).ue_v(reorder).ue_v(max(reorder, 1))
    return b"\x67" + bits.rbsp()


def pps(set_id: int = 0, flavour: int = 0) -> bytes:
    """Return a PPS NAL unit; `flavour` makes it differ."""
    return b"\x68" + BitWriter().ue_v(set_id).ue_v(0).u(1, 0).u(1, 0).ue_v(0).ue_v(flavour).rbsp()


def slice_nal(kind: int = 1, *, first_mb: int = 0, slice_type: int = 5, size: int = 40, fill: int = 0xA5) -> bytes:
    """Return a coded slice of `size` bytes: kind 5 is an IDR slice, 1 any other."""
    head = bytes((0x60 | kind,)) + BitWriter().ue_v(first_mb).ue_v(slice_type).ue_v(0).u(4, 15).rbsp()
    return head + bytes((fill,)) * max(1, size - len(head))


def idr(**options: int) -> bytes:
    """Return an IDR slice."""
    return slice_nal(5, slice_type=7, **options)


def sei(payload_type: int = 5, payload: bytes = b"\xaa\xbb") -> bytes:
    """Return an SEI NAL unit with one message."""
    return b"\x06" + bytes((payload_type, len(payload))) + payload + b"\x80"


def annex_b(*nals: bytes) -> bytes:
    """Return the units behind four-byte start codes."""
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)


def rtp(
    sequence: int, timestamp: int, payload: bytes, *, marker: bool = False, payload_type: int = 96, ssrc: int = 7
) -> bytes:
    """Return one RTP packet."""
    second = payload_type | (0x80 if marker else 0)
    return struct.pack("!BBHII", 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def stap_a(*nals: bytes) -> bytes:
    """Return an aggregation payload."""
    return b"\x78" + b"".join(struct.pack("!H", len(nal)) + nal for nal in nals)


def fu_a(nal: bytes, pieces: int, *, with_end: bool = True) -> list[bytes]:
    """Return the fragments of one NAL unit."""
    body = nal[1:]
    size = -(-len(body) // pieces)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    out = []
    for index, part in enumerate(parts):
        header = nal[0] & 0x1F
        header |= 0x80 if index == 0 else 0
        header |= 0x40 if index == len(parts) - 1 and with_end else 0
        out.append(bytes((nal[0] & 0xE0 | 28, header)) + part)
    return out
