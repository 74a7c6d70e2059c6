"""H.264 as bytes: NAL units, Annex-B, and what the first bits of a slice or a parameter set say."""

from __future__ import annotations

from metered_realtime.media.h264_bits import BitReader, H264Error, without_emulation_prevention

START_CODE = b"\x00\x00\x00\x01"
_SHORT_START_CODE = b"\x00\x00\x01"

NAL_SLICE = 1
NAL_PARTITION_A = 2
NAL_PARTITION_C = 4
NAL_IDR = 5
NAL_SEI = 6
NAL_SPS = 7
NAL_PPS = 8
NAL_AUD = 9
NAL_STAP_A = 24
NAL_FU_A = 28

_B_SLICE_TYPES = (1, 6)
_SEI_RECOVERY_POINT = 6
# The two numbers at the head of a slice fit here: at most 2 x 63 bits, plus emulation prevention.
_HEAD_BYTES = 32


def _first_slice_type(byte: int) -> int | None:
    """Return slice_type where the byte behind the NAL header says all: first_mb_in_slice 0, and a short ue(v)."""
    zeros = 7 - (byte & 0x7F).bit_length()
    if not byte & 0x80 or zeros > 3:
        return None
    return ((byte & 0x7F) >> (6 - 2 * zeros)) - 1


# So begins nearly every picture.
_FIRST_SLICE_TYPES = tuple(map(_first_slice_type, range(256)))


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type (ITU-T H.264 table 7-1); 0 for an empty unit."""
    return nal[0] & 0x1F if nal else 0


def has_start_code(data: bytes) -> bool:
    """True if `data` holds an Annex-B start code, which no single NAL unit can."""
    return _SHORT_START_CODE in data


def split_annex_b(data: bytes, *, at_most: int = -1) -> list[bytes]:
    """Return the NAL units of an Annex-B stream; bytes before the first start code count as a unit.

    `at_most`: so many are split off, and what is left stays one piece.
    """
    pieces = data.split(_SHORT_START_CODE, at_most)
    # A zero before a start code belongs to the code; a NAL unit itself never ends in one (7.4.1).
    units = [piece.rstrip(b"\x00") for piece in pieces[:-1]]
    units.append(pieces[-1])
    return [unit for unit in units if unit]


def join_annex_b(nals: list[bytes]) -> bytes:
    """Return the units as one Annex-B access unit."""
    return START_CODE + START_CODE.join(nals)


def parameter_set_id(nal: bytes) -> int:
    """Return seq_parameter_set_id of an SPS, or pic_parameter_set_id of a PPS (7.3.2.1, 7.3.2.2)."""
    head = without_emulation_prevention(nal[1 : 1 + _HEAD_BYTES])
    bits = BitReader(head)
    if nal_type(nal) == NAL_SPS:
        bits.skip(24)
    value = bits.ue_v()
    if value > (31 if nal_type(nal) == NAL_SPS else 255):
        raise H264Error(f"parameter set id {value} is out of range")
    return value


def slice_head(nal: bytes) -> tuple[int, int]:
    """Return (first_mb_in_slice, slice_type) of a coded slice (7.3.3)."""
    if len(nal) > 1 and (slice_type := _FIRST_SLICE_TYPES[nal[1]]) is not None:
        return 0, slice_type
    bits = BitReader(without_emulation_prevention(nal[1 : 1 + _HEAD_BYTES]))
    return bits.ue_v(), bits.ue_v()


def is_b_slice(slice_type: int) -> bool:
    """True for a slice that may predict from later pictures (table 7-6)."""
    return slice_type in _B_SLICE_TYPES


def is_exact_recovery_point(nal: bytes) -> bool:
    """True for an SEI unit that says: decoding may start here, with a right picture at once (D.1.8)."""
    data = without_emulation_prevention(nal[1 : 1 + _HEAD_BYTES])
    if len(data) < 3 or data[0] != _SEI_RECOVERY_POINT:
        return False
    try:
        return BitReader(data[2:]).ue_v() == 0
    except H264Error:
        return False
