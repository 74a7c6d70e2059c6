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


@dataclass(frozen=True, slots=True)
class Sps:
    """What an SPS says (ITU-T H.264 section 7.3.2.1.1 and annex E).

    `max_reorder_frames` is None where the camera does not say; 0 means output order is decode order.
    """

    profile_idc: int
    constraints: int
    level_idc: int
    width: int
    height: int
    chroma_format: str
    max_reorder_frames: int | None

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
    chroma, separate_planes = _chroma(bits) if profile_idc in _HIGH_PROFILES else (1, False)
    bits.ue_v()  # log2_max_frame_num_minus4
    order_type = _picture_order(bits)
    bits.ue_v()  # max_num_ref_frames
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    width, height = _size(bits, chroma=0 if separate_planes else chroma)
    return Sps(
        profile_idc,
        constraints,
        level_idc,
        width,
        height,
        _CHROMA_NAMES[chroma],
        _reorder_frames(bits, profile_idc=profile_idc, constraints=constraints, order_type=order_type),
    )


def _chroma(bits: BitReader) -> tuple[int, bool]:
    chroma = bits.ue_v()
    if chroma > 3:
        raise H264Error(f"chroma_format_idc {chroma} is out of range")
    separate_planes = chroma == 3 and bits.flag()
    bits.ue_v()  # bit_depth_luma_minus8
    bits.ue_v()  # bit_depth_chroma_minus8
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(12 if chroma == 3 else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, separate_planes


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


def _reorder_frames(bits: BitReader, *, profile_idc: int, constraints: int, order_type: int) -> int | None:
    """What decides whether pictures are shown in another order than they come."""
    # Baseline has no B slices, order type 2 forbids reordering, and intra-only profiles set bit 3 (A.2, 8.2.1.3).
    never = profile_idc == 66 or order_type == 2 or (profile_idc in (100, 110, 122, 244) and constraints & 0x10)
    try:
        told = _vui_reorder_frames(bits) if bits.flag() else None
    except H264Error:
        # Some cameras cut the usability information short; the picture itself is described.
        told = None
    return 0 if never else told


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
