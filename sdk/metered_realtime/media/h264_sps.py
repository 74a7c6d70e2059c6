"""The sequence parameter set: what a camera's picture is like, before the first one is shown."""

from __future__ import annotations

from dataclasses import dataclass

from metered_realtime.media.h264_bits import BitReader, H264Error, without_emulation_prevention

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_PROFILE_NAMES = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4",
}
_CHROMA_NAMES = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
_EXTENDED_SAR = 255
_MAX_SPS_BYTES = 4096
_MAX_PIXELS = 16384
_MAX_BIT_DEPTH = 14
# A picture between two others takes both of them.
_REORDERING_TAKES = 2
# ITU-T H.264 table A-1, MaxDpbMbs by level_idc.
_MAX_DPB_MACROBLOCKS = {
    9: 396, 10: 396, 11: 900, 12: 2376, 13: 2376, 20: 2376, 21: 4752, 22: 8100, 30: 8100, 31: 18_000, 32: 20_480,
    40: 32_768, 41: 32_768, 42: 34_816, 50: 110_400, 51: 184_320, 52: 184_320, 60: 696_320, 61: 696_320, 62: 696_320,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sps:
    """What an SPS says (ITU-T H.264 section 7.3.2.1.1 and annex E).

    `max_reorder_frames` is None where neither the camera says it nor profile, number of reference pictures or level
    rule it out; 0 means output order is decode order.
    """

    profile_idc: int
    constraints: int
    level_idc: int
    width: int
    height: int
    chroma_format: str
    max_reorder_frames: int | None
    bit_depth: int = 8

    @property
    def profile(self) -> str:
        """Name of the profile, for example "Constrained Baseline"."""
        name = _PROFILE_NAMES.get(self.profile_idc, f"profile {self.profile_idc}")
        return f"Constrained {name}" if self.profile_idc == 66 and self.constraints & 0x40 else name

    @property
    def level(self) -> str:
        """Level as people write it, for example "3.1"."""
        return f"{self.level_idc // 10}.{self.level_idc % 10}"

    @property
    def profile_level_id(self) -> str:
        """Six hex digits as in SDP (RFC 6184 section 8.1)."""
        return f"{self.profile_idc:02x}{self.constraints:02x}{self.level_idc:02x}"

    @property
    def has_b_frames(self) -> bool | None:
        """True if pictures come in another order than they are shown; None where the SPS leaves it open."""
        return None if self.max_reorder_frames is None else self.max_reorder_frames > 0


def parse_sps(nal: bytes) -> Sps:
    """Read one SPS NAL unit (header byte included). Raises H264Error for anything else."""
    if not 4 <= len(nal) <= _MAX_SPS_BYTES or nal[0] & 0x1F != 7:
        raise H264Error("this is not a sequence parameter set")
    bits = BitReader(without_emulation_prevention(nal[1:]))
    profile_idc, constraints, level_idc = bits.u(8), bits.u(8), bits.u(8)
    bits.ue_v()  # seq_parameter_set_id
    chroma, separate_planes, bit_depth = _chroma(bits) if profile_idc in _HIGH_PROFILES else (1, False, 8)
    bits.ue_v()  # log2_max_frame_num_minus4
    order_type = _picture_order(bits)
    reference_frames = bits.ue_v()
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    width, height = _size(bits, chroma=0 if separate_planes else chroma)
    return Sps(
        profile_idc,
        constraints,
        level_idc,
        width,
        height,
        _CHROMA_NAMES[chroma],
        _reorder_frames(
            bits,
            never=_never_reorders(profile_idc, constraints, order_type),
            untold=0
            if min(reference_frames, _max_dpb_frames(level_idc, profile_idc, constraints, width, height))
            < _REORDERING_TAKES
            else None,
        ),
        bit_depth,
    )


def _chroma(bits: BitReader) -> tuple[int, bool, int]:
    chroma = bits.ue_v()
    if chroma > 3:
        raise H264Error(f"chroma_format_idc {chroma} is out of range")
    separate_planes = chroma == 3 and bits.flag()
    bit_depth = 8 + max(bits.ue_v(), bits.ue_v())
    if bit_depth > _MAX_BIT_DEPTH:
        raise H264Error(f"{bit_depth} bits a sample are out of range")
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(12 if chroma == 3 else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, separate_planes, bit_depth


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se_v()) % 256
        last = following or last


def _picture_order(bits: BitReader) -> int:
    order_type = bits.ue_v()
    if order_type == 0:
        bits.ue_v()  # log2_max_pic_order_cnt_lsb_minus4
    elif order_type == 1:
        bits.flag()
        bits.se_v()
        bits.se_v()
        count = bits.ue_v()
        if count > 255:
            raise H264Error("num_ref_frames_in_pic_order_cnt_cycle is out of range")
        for _ in range(count):
            bits.se_v()
    elif order_type > 2:
        raise H264Error(f"pic_order_cnt_type {order_type} is out of range")
    return order_type


def _size(bits: BitReader, *, chroma: int) -> tuple[int, int]:
    width = 16 * (bits.ue_v() + 1)
    map_units = bits.ue_v() + 1
    frames_only = bits.flag()
    height = 16 * map_units * (1 if frames_only else 2)
    if not frames_only:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    if bits.flag():
        unit_x = 2 if chroma in (1, 2) else 1
        unit_y = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
        width -= unit_x * (bits.ue_v() + bits.ue_v())
        height -= unit_y * (bits.ue_v() + bits.ue_v())
    if not (0 < width <= _MAX_PIXELS and 0 < height <= _MAX_PIXELS):
        raise H264Error(f"a picture of {width}x{height} is not possible")
    return width, height


def _reorder_frames(bits: BitReader, *, never: bool, untold: int | None) -> int | None:
    """What decides whether pictures are shown in another order than they come."""
    try:
        told = _vui_reorder_frames(bits) if bits.flag() else None
    except H264Error:
        # Some cameras cut the usability information short; the picture itself is described.
        told = None
    return 0 if never else untold if told is None else told


def _never_reorders(profile_idc: int, constraints: int, order_type: int) -> bool:
    """Baseline has no B slices, order type 2 forbids reordering, intra-only profiles set bit 3 (A.2, 8.2.1.3)."""
    intra_only = profile_idc in (100, 110, 122, 244) and bool(constraints & 0x10)
    return profile_idc == 66 or order_type == 2 or intra_only


def _max_dpb_frames(level_idc: int, profile_idc: int, constraints: int, width: int, height: int) -> int:
    """Return how many pictures a decoder keeps at this level and size (table A-1, A.3.1), which bounds reordering."""
    is_1b = level_idc == 11 and bool(constraints & 0x10) and profile_idc in (66, 77, 88)
    room = 396 if is_1b else _MAX_DPB_MACROBLOCKS.get(level_idc)
    if room is None:
        return 16
    return min(16, room // (-(-width // 16) * -(-height // 16)))


def _vui_reorder_frames(bits: BitReader) -> int | None:
    if bits.flag() and bits.u(8) == _EXTENDED_SAR:
        bits.skip(32)
    if bits.flag():  # overscan_info_present_flag
        bits.flag()
    if bits.flag():  # video_signal_type_present_flag
        bits.skip(4)
        if bits.flag():
            bits.skip(24)
    if bits.flag():  # chroma_loc_info_present_flag
        bits.ue_v()
        bits.ue_v()
    if bits.flag():  # timing_info_present_flag
        bits.skip(65)
    nal_hrd = bits.flag()
    if nal_hrd:
        _skip_hrd(bits)
    vcl_hrd = bits.flag()
    if vcl_hrd:
        _skip_hrd(bits)
    if nal_hrd or vcl_hrd:
        bits.flag()  # low_delay_hrd_flag
    bits.flag()  # pic_struct_present_flag
    if not bits.flag():  # bitstream_restriction_flag
        return None
    bits.flag()  # motion_vectors_over_pic_boundaries_flag
    for _ in range(4):  # max_bytes_per_pic_denom up to log2_max_mv_length_vertical
        bits.ue_v()
    reorder = bits.ue_v()
    return reorder if reorder <= 16 else None


def _skip_hrd(bits: BitReader) -> None:
    count = bits.ue_v() + 1
    if count > 32:
        raise H264Error("cpb_cnt_minus1 is out of range")
    bits.skip(8)
    for _ in range(count):
        bits.ue_v()
        bits.ue_v()
        bits.flag()
    bits.skip(20)
