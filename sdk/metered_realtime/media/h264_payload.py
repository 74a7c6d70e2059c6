"""From RTP payloads to NAL units (RFC 6184 section 5.6 to 5.8), tolerant of what cameras get wrong."""

from __future__ import annotations

from metered_realtime.media import h264

_FU_START = 0x80
_FU_END = 0x40
_FU_EDGE = _FU_START | _FU_END
# A small packet or a piece of one must not become a heap of objects.
MAX_NALS = 1024
_MAX_FRAGMENTS = 16_384


class PayloadError(ValueError):
    """The payload is not what RFC 6184 allows; the picture it belongs to is lost."""


class RunawayError(PayloadError):
    """A unit grows without end."""


class Depacketizer:
    """Single NAL units, STAP-A and FU-A of one picture stream, packets in order, losses told by `drop()`.

    `repairs` counts fragments whose end bit was forgotten and NAL units that were whole Annex-B streams.
    """

    __slots__ = ("_fragment", "_fragment_bytes", "_max_bytes", "repairs")

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._fragment: list[bytes] = []
        self._fragment_bytes = 0
        self.repairs = 0

    def push(self, payload: bytes) -> list[bytes]:
        """Return the NAL units that are complete now. Raises PayloadError."""
        kind = h264.nal_type(payload)
        if kind == h264.NAL_FU_A:
            return self._take_fragment(payload)
        nals = self.flush()
        if kind == h264.NAL_STAP_A:
            for nal in split_aggregate(payload, header_bytes=1):
                nals += self._without_start_codes(nal)
        elif kind < h264.NAL_STAP_A:
            nals += self._without_start_codes(payload)
        else:
            raise PayloadError(f"RTP payload structure {kind} is for interleaved mode, which was not agreed on")
        return nals

    def go_on(self, packet: bytes, start: int) -> bool:
        """Take the fragment at `start` of a packet if it lies inside a unit; False where there is more to do."""
        if not self._fragment or packet[start] & 0x1F != h264.NAL_FU_A or packet[start + 1] & _FU_EDGE:
            return False
        self._add_piece(packet[start + 2 :])
        return True

    def flush(self) -> list[bytes]:
        """End a fragmented unit where it cannot go on: nothing was lost, the camera forgot the end bit."""
        if not self._fragment:
            return []
        self.repairs += 1
        return self._complete()

    def drop(self) -> None:
        """Something was lost: a unit in progress will never be whole."""
        self._fragment.clear()
        self._fragment_bytes = 0

    def _take_fragment(self, payload: bytes) -> list[bytes]:
        if len(payload) < 2:
            raise PayloadError("a fragment has no header")
        nals: list[bytes] = []
        header = payload[1]
        if header & _FU_START:
            nals = self.flush()
            self._fragment.append(bytes((payload[0] & 0xE0 | header & 0x1F,)))
        elif not self._fragment:
            return nals  # its beginning was lost, or dropped
        self._add_piece(payload[2:])
        if header & _FU_END:
            nals += self._complete()
        return nals

    def _add_piece(self, piece: bytes) -> None:
        self._fragment.append(piece)
        self._fragment_bytes += len(piece)
        if self._fragment_bytes > self._max_bytes or len(self._fragment) > _MAX_FRAGMENTS:
            raise RunawayError(f"a unit grows beyond {self._max_bytes} bytes or {_MAX_FRAGMENTS} pieces")

    def _complete(self) -> list[bytes]:
        nal = b"".join(self._fragment)
        self.drop()
        return self._without_start_codes(nal)

    def _without_start_codes(self, nal: bytes) -> list[bytes]:
        if not h264.has_start_code(nal):
            return [nal] if nal else []
        self.repairs += 1
        nals = h264.split_annex_b(nal, at_most=MAX_NALS)
        if len(nals) > MAX_NALS:
            raise RunawayError(f"a unit holds more than {MAX_NALS} others")
        return nals


def split_aggregate(payload: bytes, *, header_bytes: int) -> list[bytes]:
    """Return the units behind the header, each of which comes behind its size. Raises PayloadError."""
    nals: list[bytes] = []
    position = header_bytes
    while position + 2 <= len(payload):
        size = int.from_bytes(payload[position : position + 2])
        position += 2
        if size == 0 or position + size > len(payload):
            raise PayloadError("an aggregation packet is cut short")
        nals.append(payload[position : position + size])
        position += size
        if len(nals) > MAX_NALS:
            raise RunawayError(f"an aggregation packet holds more than {MAX_NALS} units")
    return nals
