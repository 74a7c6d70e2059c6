"""From one access unit to RTP payloads (RFC 6184), once for all viewers; fragments of equal size, as one send of many
packets needs them. Pure."""

from __future__ import annotations

from metered_realtime.media.h264 import NAL_AUD, NAL_FU_A, NAL_STAP_A, nal_type, split_annex_b

_FU_START = 0x80
_FU_END = 0x40
MIN_PAYLOAD = 64
# Together with headers, SRTP and a TURN channel this stays below 1280 bytes, the smallest MTU of IPv6 (RFC 8200).
DEFAULT_MAX_PAYLOAD = 1180


def packetize(data: bytes, max_payload: int = DEFAULT_MAX_PAYLOAD) -> list[bytes]:
    """Return the payloads of an Annex-B access unit, in order; the last one gets the marker bit.

    Small units travel together (STAP-A), large ones in fragments (FU-A) of equal size but for the last, which is never
    longer. Access unit delimiters are left out: the marker bit says the same. Raises ValueError for a bound too small.
    """
    if max_payload < MIN_PAYLOAD:
        raise ValueError(f"max_payload must be at least {MIN_PAYLOAD} bytes, not {max_payload}")
    payloads: list[bytes] = []
    small: list[bytes] = []
    small_bytes = 1
    for nal in split_annex_b(data):
        if nal_type(nal) == NAL_AUD:
            continue
        if small and small_bytes + 2 + len(nal) > max_payload:
            payloads.append(_aggregate(small))
            small, small_bytes = [], 1
        if len(nal) > max_payload:
            payloads += _fragments(nal, max_payload)
        else:
            small.append(nal)
            small_bytes += 2 + len(nal)
    if small:
        payloads.append(_aggregate(small))
    return payloads


def _aggregate(nals: list[bytes]) -> bytes:
    """One unit travels as it is; several behind a STAP-A header that has the highest importance of all (5.7.1)."""
    if len(nals) == 1:
        return nals[0]
    forbidden = 0x80 if any(nal[0] & 0x80 for nal in nals) else 0
    importance = max(nal[0] & 0x60 for nal in nals)
    parts = [bytes((forbidden | importance | NAL_STAP_A,))]
    for nal in nals:
        parts += (len(nal).to_bytes(2), nal)
    return b"".join(parts)


def _fragments(nal: bytes, max_payload: int) -> list[bytes]:
    indicator = nal[0] & 0xE0 | NAL_FU_A
    kind = nal[0] & 0x1F
    body = memoryview(nal)[1:]
    count = -(-len(body) // (max_payload - 2))
    step = -(-len(body) // count)
    middle = bytes((indicator, kind))
    fragments = [middle + body[start : start + step] for start in range(0, len(body), step)]
    fragments[0] = bytes((indicator, kind | _FU_START)) + body[:step]
    last = (len(body) - 1) // step * step
    fragments[-1] = bytes((indicator, kind | _FU_END)) + body[last:]
    return fragments
