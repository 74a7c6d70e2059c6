"""H.265 for the connections of this package alone: aiortc's table of codecs is one for the whole process.

aiortc takes a codec from the module's globals wherever it offers or agrees on one, so those methods get a table of
ours. What is not asked for by name is as before: nothing here decodes H.265, so nobody is invited to send it. With
`aiortc_adapter` part of the door to aiortc's private names; `tests/sdk/test_aiortc_codecs.py` is the contract.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what this file is for
import copy
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NamedTuple, cast

from aiortc import RTCRtpTransceiver, rtcpeerconnection
from aiortc.codecs import CODECS, is_rtx
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecCapability, RTCRtpCodecParameters

from metered_realtime.errors import MeteredRealtimeError

H265 = "video/H265"
_CLOCK_RATE = 90_000
# RFC 7798 section 7.1. Level 5.1 is what decoders of 4096x2160 take; the other side's level may be another one.
_PARAMETERS = {"level-id": "153", "profile-id": "1", "tier-flag": "0", "tx-mode": "SRST"}
# What the absence of a parameter means (the same section).
_DEFAULTS = {"profile-id": "1", "tier-flag": "0", "tx-mode": "SRST"}


class UnsupportedCodecError(MeteredRealtimeError):
    """A track can only be sent as a codec that WebRTC in this process does not speak."""


class AgreedCodec(NamedTuple):
    """Under which payload types both sides know a codec, and what is sent again of it (None: nothing is)."""

    payload_type: int
    rtx_payload_type: int | None


def _h265(payload_type: int) -> list[RTCRtpCodecParameters]:
    feedback = [("nack", None), ("nack", "pli"), ("goog-remb", None)]
    return [
        RTCRtpCodecParameters(
            mimeType=H265,
            clockRate=_CLOCK_RATE,
            payloadType=payload_type,
            rtcpFeedback=[RTCRtcpFeedback(type=kind, parameter=parameter) for kind, parameter in feedback],
            parameters=dict(_PARAMETERS),
        ),
        RTCRtpCodecParameters(
            mimeType="video/rtx",
            clockRate=_CLOCK_RATE,
            payloadType=payload_type + 1,
            parameters={"apt": payload_type},
        ),
    ]


_FREE = 1 + max(codec.payloadType or 0 for codec in CODECS["video"])
_OURS = {**CODECS, "video": [*CODECS["video"], *_h265(_FREE)]}


def is_h265(codec: Any) -> bool:
    """Tell whether a codec or capability is H.265."""
    return bool(codec.mimeType.lower() == H265.lower())


def codec_preferences(kind: str, mime_type: str | None, also_as: Sequence[str] = ()) -> list[RTCRtpCodecCapability]:
    """Return the capabilities that restrict a section to `mime_type` and `also_as`, in this order, with their repair
    codec; empty: no restriction. Raises UnsupportedCodecError."""
    if mime_type is None:
        return []
    known = _capabilities(kind)
    preferences: list[RTCRtpCodecCapability] = []
    for name in (mime_type, *also_as):
        codecs = [codec for codec in known if codec.mimeType.lower() == name.lower()]
        if not codecs:
            raise UnsupportedCodecError(f"{name} cannot be sent over WebRTC by this package")
        preferences += codecs
    return preferences + [codec for codec in known if is_rtx(codec)]


def agreed_codecs(transceiver: RTCRtpTransceiver) -> dict[str, AgreedCodec]:
    """Return MIME type -> the numbers under which both sides know it; of several of one type the first."""
    repairs = {codec.parameters.get("apt"): codec.payloadType for codec in transceiver._codecs if is_rtx(codec)}
    agreed: dict[str, AgreedCodec] = {}
    for codec in transceiver._codecs:
        if not is_rtx(codec) and codec.payloadType is not None:
            agreed.setdefault(codec.mimeType, AgreedCodec(codec.payloadType, repairs.get(codec.payloadType)))
    return agreed


def _capabilities(kind: str) -> list[RTCRtpCodecCapability]:
    """Return what can be sent, one `rtx` among it, as `RTCRtpSender.getCapabilities` does."""
    return [
        RTCRtpCodecCapability(
            mimeType=codec.mimeType,
            clockRate=codec.clockRate,
            channels=codec.channels,
            parameters={} if is_rtx(codec) else codec.parameters,
        )
        for index, codec in enumerate(_OURS[kind])
        if not is_rtx(codec) or not any(map(is_rtx, _OURS[kind][:index]))
    ]


def with_our_codecs(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of RTCPeerConnection that reads our table in the place of aiortc's."""
    plain = cast("FunctionType", method)
    ours = {"CODECS": _OURS, "find_common_codecs": _find_common, "filter_preferred_codecs": _filter_preferred}
    changed = FunctionType(plain.__code__, {**plain.__globals__, **ours}, plain.__name__, plain.__defaults__)
    changed.__kwdefaults__ = plain.__kwdefaults__
    return changed


def _filter_preferred(
    codecs: list[RTCRtpCodecParameters], preferred: list[RTCRtpCodecCapability]
) -> list[RTCRtpCodecParameters]:
    if preferred:
        return rtcpeerconnection.filter_preferred_codecs(codecs, preferred)
    hidden = {codec.payloadType for codec in codecs if is_h265(codec)}
    return [codec for codec in codecs if codec.payloadType not in hidden and codec.parameters.get("apt") not in hidden]


def _find_common(
    local: list[RTCRtpCodecParameters], remote: list[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """Agree on H.265 under the number that the other side has for it, which browsers take from below 64, too."""
    theirs = next((codec for codec in remote if is_h265(codec) and _fits(codec)), None)
    common = rtcpeerconnection.find_common_codecs(
        [codec for codec in local if not is_h265(codec)], [codec for codec in remote if not is_h265(codec)]
    )
    ours = next((codec for codec in local if is_h265(codec)), None)
    if theirs is None or ours is None:
        return common
    agreed = copy.deepcopy(ours)
    agreed.payloadType = theirs.payloadType
    agreed.rtcpFeedback = [each for each in agreed.rtcpFeedback if each in theirs.rtcpFeedback]
    repair = [copy.deepcopy(codec) for codec in remote if codec.parameters.get("apt") == theirs.payloadType]
    return [*common, agreed, *repair[:1]]


def _fits(codec: RTCRtpCodecParameters) -> bool:
    """Profile, tier and mode must be ours; levels may differ (W3C WebRTC 1.0, candidate correction 52)."""
    theirs = {name.strip(): str(value).strip() for name, value in codec.parameters.items()}
    return all(theirs.get(name, default) == _PARAMETERS[name] for name, default in _DEFAULTS.items())
