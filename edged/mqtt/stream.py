"""MQTT packets in a stream of bytes, and the PUBLISH packets that need no library to be read. Pure.

For each message a library reads a packet in three pieces and makes an object with every property there may be: half of
what a message costs us. Here a plain PUBLISH becomes a few slices; whatever is not plain is left to the library.
"""

from __future__ import annotations

from dataclasses import dataclass

_PUBLISH = 0x30
_DUP, _QOS, _RETAIN = 0x08, 0x06, 0x01
_MAX_LENGTH_BYTES = 4
_SMALLEST_BYTES = 2


class PacketError(ValueError):
    """What came is no MQTT packet, or none that we can take."""


@dataclass(slots=True, eq=False)
class PlainMessage:
    """A message without properties; named as paho names its own."""

    topic_bytes: bytes
    payload: bytes
    mid: int
    qos: int
    retain: bool
    dup: bool
    properties: None = None

    @property
    def topic(self) -> str:
        """The topic; raises UnicodeDecodeError where it is not UTF-8."""
        return self.topic_bytes.decode()


class PacketStream:
    """Cuts what comes into packets, and keeps what is not whole yet.

    Of a message larger than `max_bytes`, which no reading could hold, only the beginning is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.data = b""
        self._at = 0
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._wanted_bytes = _SMALLEST_BYTES
        self._excess_bytes = 0
        self._is_cut = False

    def add(self, data: bytes) -> None:
        """Take bytes in. All whole packets must have been fetched before."""
        if self._excess_bytes:
            dropped = min(self._excess_bytes, len(data))
            self._excess_bytes -= dropped
            if self._excess_bytes:
                return
            data = data[dropped:]
        elif not self._rest:
            self.data, self._at = data, 0
            return
        self._rest += data
        self.data, self._at = b"", 0
        if len(self._rest) >= self._wanted_bytes:
            self.data, self._at = bytes(self._rest), 0
            self._rest = bytearray()

    def next(self) -> tuple[int, int, int] | None:
        """Return where in `data` the next packet begins, its content begins, and it ends; None: it is not whole."""
        data, begin = self.data, self._at
        if begin == len(data):
            return None
        length = shift = 0
        for at in range(begin + 1, min(begin + 1 + _MAX_LENGTH_BYTES, len(data))):
            digit = data[at]
            length |= (digit & 0x7F) << shift
            if digit < 0x80:
                end = at + 1 + length
                if end - begin > self._max_bytes:
                    return self._cut(at + 1, end)
                if end > len(data):
                    self._keep(end - begin)
                    return None
                self._at = end
                return begin, at + 1, end
            shift += 7
        if len(data) > begin + _MAX_LENGTH_BYTES:
            raise PacketError("the length of a packet has no end")
        self._keep(_SMALLEST_BYTES)
        return None

    def _keep(self, wanted_bytes: int) -> None:
        self._rest = bytearray(self.data[self._at :])
        self._wanted_bytes = max(wanted_bytes, len(self._rest) + 1)
        self.data, self._at = b"", 0

    def _cut(self, content: int, end: int) -> tuple[int, int, int] | None:
        """Take a packet that is too large: its beginning, once all the rest of it has come by."""
        begin, data = self._at, self.data
        kept_end = begin + self._max_bytes
        if self._is_cut:
            self._is_cut = False
            self._at = kept_end
            return begin, content, kept_end
        if data[begin] & 0xF0 != _PUBLISH:
            raise PacketError(f"a packet of {end - begin} bytes that is no message")
        if len(data) < kept_end:
            self._keep(self._max_bytes)
            return None
        self._is_cut = True
        self._excess_bytes = max(0, end - len(data))
        kept = data[begin:kept_end] + data[end:]
        if not self._excess_bytes:
            self.data, self._at = kept, 0
            return self.next()
        self._rest, self._wanted_bytes = bytearray(kept), len(kept)
        self.data, self._at = b"", 0
        return None


def is_whole(data: bytes, begin: int, content: int, end: int) -> bool:
    """Say whether nothing was cut off a packet."""
    length = 0
    for at in range(content - 1, begin, -1):
        length = length << 7 | data[at] & 0x7F
    return content + length == end


def plain_message(data: bytes, begin: int, content: int, end: int, *, v5: bool) -> PlainMessage | None:
    """Return the message of a PUBLISH packet, or None where it is none, or has something the library must look at."""
    head = data[begin]
    qos = (head & _QOS) >> 1
    if head & 0xF0 != _PUBLISH or qos > 1 or end - content < 2:
        return None
    topic_end = content + 2 + (data[content] << 8 | data[content + 1])
    at = topic_end + 2 * qos
    if topic_end == content + 2 or at + v5 > end or (v5 and data[at]):
        return None
    packet_id = data[topic_end] << 8 | data[topic_end + 1] if qos else 0
    topic = data[content + 2 : topic_end]
    return PlainMessage(topic, data[at + v5 : end], packet_id, qos, bool(head & _RETAIN), bool(head & _DUP))
