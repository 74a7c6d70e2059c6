"""Sound of a camera out of RTP: which encodings can be used, and where their frames begin and end. Pure."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from metered_realtime.media.rtp import SequenceWatch, parse_rtp

_WRAP = 1 << 32
_MAX_UNITS = 64
_MAX_FRAGMENTS = 64
_MAX_CHANNELS = 8
_MAX_RATE = 192_000
# Of AAC the lowest there is. At a few samples a second one packet would be hours of sound.
_MIN_RATE = 7_350
# Cameras send some hundred bytes. Of G.711 more than this is seconds, which would all be handled in one go.
_MAX_PAYLOAD_BYTES = 16 * 1024
# RFC 3551 section 6: what static payload types mean without an rtpmap.
_STATIC_PARAMETERS = {"PCMU": "8000", "PCMA": "8000", "G722": "8000", "L16": "44100"}
# Name in the SDP -> FFmpeg's decoder. G.722 counts 8000 a second in RTP by an old mistake (RFC 3551 section 4.5.2).
_DECODERS = {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw", "L16": "pcm_s16be", "G722": "g722", "OPUS": "opus"}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How one track of sound is packed. `decoder` is FFmpeg's name; `config` its AAC AudioSpecificConfig, or empty.

    `size_bits` and `index_bits` are the AU header of RFC 3640 section 3.2.1, both 0 where a packet is one frame.
    """

    codec: str
    decoder: str
    clock_rate: int
    sample_rate: int
    channels: int
    config: bytes = b""
    size_bits: int = 0
    index_bits: int = 0


@dataclass(frozen=True, slots=True)
class AudioUnit:
    """Encoded sound; `pts` in ticks of the format's clock rate, unwrapped, None where it follows the one before.

    `taken_s`: when it was taken, on the clock of `time.monotonic()`, where that is known.
    """

    data: bytes
    pts: int | None
    taken_s: float | None = None


def audio_format(codec: str, parameters: str, formats: Mapping[str, str]) -> AudioFormat | None:
    """Read the rest of an `rtpmap` ("8000/1") and the `fmtp` of a track; None if it cannot be used here."""
    rate_text, _, channels_text = (parameters or _STATIC_PARAMETERS.get(codec, "")).partition("/")
    clock_rate, channels = _number(rate_text, _MAX_RATE), _number(channels_text or "1", _MAX_CHANNELS)
    if clock_rate < _MIN_RATE or not channels:
        return None
    if codec in _DECODERS:
        sample_rate = {"G722": 16_000, "OPUS": 48_000}.get(codec, clock_rate)
        return AudioFormat(codec, _DECODERS[codec], clock_rate, sample_rate, channels)
    if codec == "MPEG4-GENERIC" and formats.get("mode", "").upper() in ("AAC-HBR", "AAC-LBR"):
        return _aac(clock_rate, channels, formats)
    return None


class AudioDepacketizer:
    """Feed it the RTP packets of one track in order; it gives the frames in them."""

    def __init__(self, audio: AudioFormat, *, payload_type: int) -> None:
        self._format = audio
        self._payload_type = payload_type
        self._sequence = SequenceWatch()
        self._ssrc: int | None = None
        self._last: int | None = None
        self._unwrapped = 0
        self._fragments: list[bytes] = []
        self.bad_packets = 0

    @property
    def lost_packets(self) -> int:
        """Packets that never came."""
        return self._sequence.lost_packets

    @property
    def newest(self) -> tuple[int, int] | None:
        """RTP timestamp and unwrapped `pts` of the last packet that was used."""
        return None if self._last is None else (self._last, self._unwrapped)

    def push(self, data: bytes) -> list[AudioUnit]:
        """Take one packet; return what it holds, nothing for one that is damaged, late or not ours."""
        packet = parse_rtp(data)
        if packet is None or len(packet.payload) > _MAX_PAYLOAD_BYTES:
            self.bad_packets += 1
            return []
        if packet.payload_type != self._payload_type:
            return []
        if packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
            self._sequence.reset()
            self._fragments.clear()
        use, gap = self._sequence.accept(packet.sequence)
        if gap:
            self._fragments.clear()
        if not use or not packet.payload:
            return []
        pts = self._unwrap(packet.timestamp)
        if not self._format.size_bits:
            return [AudioUnit(packet.payload, pts)]
        return self._access_units(packet.payload, pts, ends=packet.marker)

    def _unwrap(self, timestamp: int) -> int:
        if self._last is not None:
            self._unwrapped += (timestamp - self._last + _WRAP // 2) % _WRAP - _WRAP // 2
        self._last = timestamp
        return self._unwrapped

    def _access_units(self, payload: bytes, pts: int, *, ends: bool) -> list[AudioUnit]:
        sizes, data = self._headers(payload)
        if len(sizes) == 1 and sizes[0] > len(data):
            return self._fragment(data, sizes[0], pts, ends=ends)
        self._fragments.clear()
        units: list[AudioUnit] = []
        start = 0
        for size in sizes:
            if not size or start + size > len(data):
                self.bad_packets += 1
                break
            units.append(AudioUnit(data[start : start + size], None if units else pts))
            start += size
        return units

    def _fragment(self, data: bytes, size: int, pts: int, *, ends: bool) -> list[AudioUnit]:
        """One large frame over several packets (RFC 3640 section 3.2.3), not more of them than a frame has."""
        self._fragments.append(data)
        if len(self._fragments) > _MAX_FRAGMENTS:
            self.bad_packets += 1
            self._fragments.clear()
            return []
        whole = sum(len(piece) for piece in self._fragments)
        if not ends and whole < size:
            return []
        frame = b"".join(self._fragments)
        self._fragments.clear()
        if len(frame) != size:
            self.bad_packets += 1
            return []
        return [AudioUnit(frame, pts)]

    def _headers(self, payload: bytes) -> tuple[list[int], bytes]:
        """Return the sizes an AU header section tells, and what follows it."""
        header_bits = int.from_bytes(payload[:2])
        header_bytes = (header_bits + 7) // 8
        each = self._format.size_bits + self._format.index_bits
        count = header_bits // each
        if count > _MAX_UNITS or len(payload) < 2 + header_bytes:
            self.bad_packets += 1
            return [], b""
        bits = int.from_bytes(payload[2 : 2 + header_bytes])
        total = header_bytes * 8
        mask = (1 << self._format.size_bits) - 1
        sizes = [(bits >> (total - each * number - self._format.size_bits)) & mask for number in range(count)]
        return sizes, payload[2 + header_bytes :]


def _aac(clock_rate: int, channels: int, formats: Mapping[str, str]) -> AudioFormat | None:
    try:
        config = binascii.unhexlify(formats.get("config", ""))
    except (binascii.Error, ValueError):
        return None
    size_bits, index_bits = _number(formats.get("sizelength", ""), 16), _number(formats.get("indexlength", ""), 16)
    others = ("ctsdeltalength", "dtsdeltalength", "randomaccessindication", "auxiliarydatasizelength")
    if not config or len(config) > 64 or not size_bits or any(_number(formats.get(name, ""), 64) for name in others):
        return None
    return AudioFormat("AAC", "aac", clock_rate, clock_rate, channels, config, size_bits, index_bits)


def _number(text: str, largest: int) -> int:
    """Return a number of 1 to `largest`, 0 for anything else."""
    bare = text.strip()
    value = int(bare) if bare.isascii() and bare.isdecimal() and len(bare) < 10 else 0
    return value if value <= largest else 0
