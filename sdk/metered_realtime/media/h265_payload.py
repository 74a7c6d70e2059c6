"""From RTP payloads to H.265 NAL units (RFC 7798 section 4.4), one stream in decoding order: no DONL fields. Pure."""

from __future__ import annotations

from metered_realtime.media.h264_payload import Depacketizer, PayloadError, split_aggregate
from metered_realtime.media.h265 import HEADER_BYTES, NAL_AP, NAL_FU, nal_type

_FU_START = 0x80
_FU_END = 0x40
_FU_EDGE = _FU_START | _FU_END


class H265Depacketizer(Depacketizer):
    """Single NAL units, aggregation packets (AP) and fragmentation units (FU), packets in order.

    Losses are told by `drop()`, and repaired is what `Depacketizer` repairs.
    """

    __slots__ = ()

    def push(self, payload: bytes) -> list[bytes]:
        """Return the NAL units that are complete now. Raises PayloadError."""
        if len(payload) < HEADER_BYTES:
            raise PayloadError("a payload has no whole header")
        kind = nal_type(payload)
        if kind == NAL_FU:
            return self._take_fragment(payload)
        nals = self.flush()
        if kind == NAL_AP:
            for nal in split_aggregate(payload, header_bytes=HEADER_BYTES):
                nals += self._without_start_codes(nal)
        elif kind < NAL_AP:
            nals += self._without_start_codes(payload)
        else:
            raise PayloadError(f"RTP payload structure {kind} was not agreed on")
        return nals

    def go_on(self, packet: bytes, start: int) -> bool:
        """As `Depacketizer.go_on`."""
        if not self._fragment or packet[start] >> 1 & 0x3F != NAL_FU or packet[start + HEADER_BYTES] & _FU_EDGE:
            return False
        self._add_piece(packet[start + HEADER_BYTES + 1 :])
        return True

    def _take_fragment(self, payload: bytes) -> list[bytes]:
        if len(payload) <= HEADER_BYTES:
            raise PayloadError("a fragment has no header")
        nals: list[bytes] = []
        header = payload[HEADER_BYTES]
        if header & _FU_START:
            nals = self.flush()
            self._fragment.append(bytes((payload[0] & 0x81 | (header & 0x3F) << 1, payload[1])))
        elif not self._fragment:
            return nals  # its beginning was lost, or dropped
        self._add_piece(payload[HEADER_BYTES + 1 :])
        return nals + self._complete() if header & _FU_END else nals
