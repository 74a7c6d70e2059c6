"""From one H.265 access unit to RTP payloads (RFC 7798), once for all viewers; fragments of equal size. Pure."""

from __future__ import annotations

from metered_realtime.media.h264 import split_annex_b
from metered_realtime.media.h264_packets import DEFAULT_MAX_PAYLOAD, MIN_PAYLOAD
from metered_realtime.media.h265 import HEADER_BYTES, NAL_AP, NAL_AUD, NAL_FU, nal_type

_FU_START = 0x80
_FU_END = 0x40
_FU_HEADER_BYTES = HEADER_BYTES + 1


def packetize_h265(data: bytes, max_payload: int = DEFAULT_MAX_PAYLOAD) -> list[bytes]:
    """Return the payloads of an Annex-B access unit, in order; the last one gets the marker bit.

    Small units travel together (AP, section 4.4.2), large ones in fragments (FU, 4.4.3) of equal size but for the
    last, which is never longer. No DONL fields: sprop-max-don-diff is 0. Access unit delimiters are left out. Raises
    ValueError for a bound too small.
    """
    if max_payload < MIN_PAYLOAD:
        raise ValueError(f"max_payload must be at least {MIN_PAYLOAD} bytes, not {max_payload}")
    payloads: list[bytes] = []
    small: list[bytes] = []
    for nal in split_annex_b(data):
        if len(nal) <= HEADER_BYTES or nal_type(nal) == NAL_AUD:
            continue
        if small and HEADER_BYTES + sum(2 + len(each) for each in (*small, nal)) > max_payload:
            payloads.append(_aggregate(small))
            small = []
        if len(nal) > max_payload:
            payloads += _fragments(nal, max_payload)
        else:
            small.append(nal)
    return [*payloads, _aggregate(small)] if small else payloads


def _aggregate(nals: list[bytes]) -> bytes:
    """One unit travels as it is; several behind a header with the lowest layer and temporal id of all."""
    if len(nals) == 1:
        return nals[0]
    forbidden = max(nal[0] & 0x80 for nal in nals)
    layer = min((nal[0] & 0x01) << 5 | nal[1] >> 3 for nal in nals)
    temporal = min(nal[1] & 0x07 for nal in nals)
    header = bytes((forbidden | NAL_AP << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal))
    return header + b"".join(len(nal).to_bytes(2) + nal for nal in nals)


def _fragments(nal: bytes, max_payload: int) -> list[bytes]:
    header = bytes((nal[0] & 0x81 | NAL_FU << 1, nal[1]))
    kind = nal_type(nal)
    body = memoryview(nal)[HEADER_BYTES:]
    count = -(-len(body) // (max_payload - _FU_HEADER_BYTES))
    step = -(-len(body) // count)
    flags = [0] * -(-len(body) // step)
    flags[0] |= _FU_START
    flags[-1] |= _FU_END
    return [
        b"".join((header, bytes((flag | kind,)), body[number * step : (number + 1) * step]))
        for number, flag in enumerate(flags)
    ]
