"""H.265 as bytes: NAL units and what their first bytes say (ITU-T H.265 section 7). Annex-B is that of `h264`. Pure."""

from __future__ import annotations

from metered_realtime.media.h264 import split_annex_b

HEADER_BYTES = 2

NAL_RASL_R = 9
NAL_BLA_W_LP = 16
NAL_IDR_W_RADL = 19
NAL_IDR_N_LP = 20
NAL_CRA = 21
NAL_VPS = 32
NAL_SPS = 33
NAL_PPS = 34
NAL_AUD = 35
NAL_SEI_PREFIX = 39
NAL_SEI_SUFFIX = 40
NAL_AP = 48
NAL_FU = 49

PARAMETER_SETS = (NAL_VPS, NAL_SPS, NAL_PPS)


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type (table 7-1); 63, which nobody may use, for a unit without its two header bytes."""
    return nal[0] >> 1 & 0x3F if len(nal) >= HEADER_BYTES else 63


def is_slice(kind: int) -> bool:
    """True for a type that carries a part of a picture."""
    return kind <= NAL_RASL_R or NAL_BLA_W_LP <= kind <= NAL_CRA


def is_key_slice(kind: int) -> bool:
    """True for a picture that decoding may start with: BLA, IDR or CRA (intra random access point, section 3.68)."""
    return NAL_BLA_W_LP <= kind <= NAL_CRA


def begins_picture(nal: bytes) -> bool:
    """True for the first slice segment of a picture (first_slice_segment_in_pic_flag, section 7.3.6.1)."""
    return len(nal) > HEADER_BYTES and bool(nal[HEADER_BYTES] & 0x80)


def is_base_layer(nal: bytes) -> bool:
    """True for a unit of the one layer that decoders of the main profiles take (nuh_layer_id 0)."""
    return len(nal) >= HEADER_BYTES and not nal[0] & 0x01 and not nal[1] & 0xF8


def is_key_picture(data: bytes) -> bool:
    """True for an Annex-B picture that decoding may start with."""
    return any(is_key_slice(nal_type(nal)) for nal in split_annex_b(data))
