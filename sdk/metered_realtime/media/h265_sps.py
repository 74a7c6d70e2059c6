"""The sequence parameter set of H.265: what a camera's picture is like, before the first one is shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from metered_realtime.media.h264_bits import BitReader, H264Error, without_emulation_prevention
from metered_realtime.media.h265 import HEADER_BYTES, NAL_SPS, nal_type

_PROFILE_NAMES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}
_CHROMA_NAMES = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
# Luma samples per sample of colour, across and down, by chroma_format_idc (table 6-1).
_CHROMA_STEPS = ((1, 1), (2, 2), (2, 1), (1, 1))
_MAX_SPS_BYTES = 4096
_MAX_PIXELS = 16888
_MAX_BIT_DEPTH = 16
_MAX_SUB_LAYERS = 7
_MAX_DPB_PICTURES = 16


@dataclass(frozen=True, slots=True)
class H265Sps:
    """What an SPS says (ITU-T H.265 section 7.3.2.2).

    `tier`: 0 Main, 1 High. `max_reorder_pictures`: how many pictures may come before one that is shown earlier; 0:
    they are shown in the order they come.
    """

    profile_idc: int
    tier: int
    level_idc: int
    width: int
    height: int
    chroma_format: str
    bit_depth: int
    max_reorder_pictures: int

    @property
    def profile(self) -> str:
        """Name of the profile, for example "Main"."""
        return _PROFILE_NAMES.get(self.profile_idc, f"profile {self.profile_idc}")

    @property
    def level(self) -> str:
        """Level as people write it, for example "3.1" (general_level_idc is 30 times that)."""
        return f"{self.level_idc // 30}.{self.level_idc % 30 // 3}"

    @property
    def has_b_frames(self) -> bool:
        """True if pictures come in another order than they are shown."""
        return self.max_reorder_pictures > 0


def parse_sps(nal: bytes) -> H265Sps:
    """Read one SPS NAL unit (both header bytes included). Raises H264Error for anything else."""
    if not HEADER_BYTES < len(nal) <= _MAX_SPS_BYTES or nal_type(nal) != NAL_SPS:
        raise H264Error("this is not a sequence parameter set")
    bits = BitReader(without_emulation_prevention(nal[HEADER_BYTES:]))
    sub_layers, profile_idc, tier, level_idc = _head(bits)
    bits.ue_v()  # sps_seq_parameter_set_id
    chroma = bits.ue_v()
    if chroma > 3:
        raise H264Error(f"chroma_format_idc {chroma} is out of range")
    separate_planes = chroma == 3 and bits.flag()
    width, height = _size(bits, chroma=0 if separate_planes else chroma)
    bit_depth = 8 + max(bits.ue_v(), bits.ue_v())
    if bit_depth > _MAX_BIT_DEPTH:
        raise H264Error(f"{bit_depth} bits a sample are out of range")
    bits.ue_v()  # log2_max_pic_order_cnt_lsb_minus4
    reorder = _max_reorder_pictures(bits, sub_layers)
    return H265Sps(profile_idc, tier, level_idc, width, height, _CHROMA_NAMES[chroma], bit_depth, reorder)


def parameter_set_id(nal: bytes) -> int:
    """Return the id of a VPS, SPS or PPS (sections 7.3.2.1 to 7.3.2.3). Raises H264Error for anything else."""
    bits = BitReader(without_emulation_prevention(nal[HEADER_BYTES : HEADER_BYTES + 128]))
    kind = nal_type(nal)
    if kind == NAL_SPS:
        _head(bits)
    value = bits.u(4) if kind < NAL_SPS else bits.ue_v()
    if value > (15 if kind <= NAL_SPS else 63):
        raise H264Error(f"parameter set id {value} is out of range")
    return value


def _head(bits: BitReader) -> tuple[int, int, int, int]:
    """Read up to the id of the SPS; returns sub-layers but one, profile, tier and level (section 7.3.3)."""
    bits.skip(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)
    if sub_layers >= _MAX_SUB_LAYERS:
        raise H264Error("sps_max_sub_layers_minus1 is out of range")
    bits.flag()  # sps_temporal_id_nesting_flag
    bits.skip(2)  # general_profile_space
    tier, profile_idc = bits.u(1), bits.u(5)
    compatibility = bits.u(32)
    bits.skip(48)
    level_idc = bits.u(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.skip(88 * has_profile + 8 * has_level)
    return sub_layers, profile_idc or _first_compatible(compatibility), tier, level_idc


def _first_compatible(flags: int) -> int:
    """Some cameras name no profile but say which decoders can take the stream (general_profile_compatibility_flag)."""
    return next((number for number in range(1, 32) if flags >> (31 - number) & 1), 0)


def _size(bits: BitReader, *, chroma: int) -> tuple[int, int]:
    width, height = bits.ue_v(), bits.ue_v()
    if bits.flag():  # conformance_window_flag
        across, down = _CHROMA_STEPS[chroma]
        width -= across * (bits.ue_v() + bits.ue_v())
        height -= down * (bits.ue_v() + bits.ue_v())
    if not (0 < width <= _MAX_PIXELS and 0 < height <= _MAX_PIXELS):
        raise H264Error(f"a picture of {width}x{height} is not possible")
    return width, height


def _max_reorder_pictures(bits: BitReader, sub_layers: int) -> int:
    """Return sps_max_num_reorder_pics of the highest sub-layer, which holds for the whole stream."""
    reorder = 0
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        bits.ue_v()  # sps_max_dec_pic_buffering_minus1
        reorder = bits.ue_v()
        bits.ue_v()  # sps_max_latency_increase_plus1
    if reorder > _MAX_DPB_PICTURES:
        raise H264Error("sps_max_num_reorder_pics is out of range")
    return reorder
