"""H.265 made by hand, small and exact, and by an encoder."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h265 import NAL_CRA, NAL_IDR_W_RADL
from tests.sdk.media.h264_samples import BitWriter


def header(kind: int, *, layer: int = 0, temporal: int = 1) -> bytes:
    """Return the two bytes that every NAL unit begins with."""
    return bytes((kind << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal))


def vps(set_id: int = 0, fill: int = 0xA5) -> bytes:
    return header(32) + BitWriter().u(4, set_id).u(12, 0xFFF).rbsp() + bytes((fill, 0x80))


def sps(
    *,
    width: int = 1280,
    height: int = 720,
    profile: int = 1,
    compatibility: int = 0x60000000,
    tier: int = 0,
    level: int = 93,
    chroma: int = 1,
    bit_depth: int = 8,
    window: tuple[int, int, int, int] | None = None,
    reorder: tuple[int, ...] = (0,),
    ordering_for_all: bool = True,
    sub_layers: tuple[tuple[bool, bool], ...] = (),
    set_id: int = 0,
) -> bytes:
    """Return an SPS NAL unit; `sub_layers`: whether profile and level are there, for each but the highest."""
    bits = BitWriter().u(4, 0).u(3, len(sub_layers)).u(1, 1)
    bits.u(2, 0).u(1, tier).u(5, profile).u(32, compatibility).u(48, 0x900000000000).u(8, level)
    for has_profile, has_level in sub_layers:
        bits.u(1, has_profile).u(1, has_level)
    if sub_layers:
        bits.u(2 * (8 - len(sub_layers)), 0)
    for has_profile, has_level in sub_layers:
        bits.u(88 * has_profile, 0).u(8 * has_level, 0)
    bits.ue_v(set_id).ue_v(chroma)
    if chroma == 3:
        bits.u(1, 0)
    bits.ue_v(width).ue_v(height).u(1, window is not None)
    for value in window or ():
        bits.ue_v(value)
    bits.ue_v(bit_depth - 8).ue_v(bit_depth - 8).ue_v(4).u(1, ordering_for_all)
    for value in reorder:
        bits.ue_v(4).ue_v(value).ue_v(0)
    return header(33) + bits.u(8, 0x5A).rbsp()


def pps(set_id: int = 0, flavour: int = 0) -> bytes:
    return header(34) + BitWriter().ue_v(set_id).ue_v(0).u(2, 0).ue_v(flavour).rbsp()


def slice_nal(kind: int = 1, *, first: bool = True, size: int = 40, fill: int = 0xA5, layer: int = 0) -> bytes:
    """Return a slice segment of `size` bytes."""
    return header(kind, layer=layer) + bytes((0x80 if first else 0x2A,)) + bytes((fill,)) * (size - 3)


def idr(**options: Any) -> bytes:
    return slice_nal(NAL_IDR_W_RADL, **options)


def cra(**options: Any) -> bytes:
    return slice_nal(NAL_CRA, **options)


def aggregate(*nals: bytes) -> bytes:
    """Return an aggregation packet."""
    return header(48) + b"".join(len(nal).to_bytes(2) + nal for nal in nals)


def fragments(nal: bytes, pieces: int, *, with_end: bool = True) -> list[bytes]:
    """Return the fragmentation units of one NAL unit."""
    body, kind = nal[2:], nal[0] >> 1 & 0x3F
    size = -(-len(body) // pieces)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    flags = [0] * len(parts)
    flags[0] |= 0x80
    flags[-1] |= 0x40 if with_end else 0
    front = bytes((nal[0] & 0x81 | 49 << 1, nal[1]))
    return [front + bytes((flag | kind,)) + part for flag, part in zip(flags, parts, strict=True)]


def encoded(frames: list[Any], *, gop: int = 300, start: int = 0) -> list[AccessUnit]:
    """Return these frames as an H.265 camera would send them, the first a key frame."""
    codec: Any = av.CodecContext.create("libx265", "w")
    codec.width, codec.height, codec.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 90_000), Fraction(30)
    codec.options = {
        "preset": "ultrafast", "tune": "zerolatency",
        "x265-params": f"log-level=none:repeat-headers=1:bframes=0:pools=1:keyint={gop}:min-keyint={gop}",
    }  # fmt: skip
    packets = []
    for number, frame in enumerate(frames):
        picture = frame.reformat(format="yuv420p")
        picture.pts, picture.time_base = (start + number) * 3000, Fraction(1, 90_000)
        packets += codec.encode(picture)
    packets += codec.encode(None)
    return [AccessUnit.from_annex_b(bytes(packet), packet.pts, "video/H265") for packet in packets]
