"""A picture's RTP packets as blocks of bytes that every viewer's sender copies, completes, encrypts and sends. Pure.

A viewer writes its own sequence numbers, timestamp and SSRC over the zeros of the headers, protects each packet in
place (the room for the SRTP tag is there) and hands the kernel whole runs of packets of one size (UDP segmentation
offload).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple

HEADER_BYTES = 12
_EXTENSION_BYTES = 8
_EXTENSION_PROFILE = 0xBEDE  # RFC 8285 section 4.2
_MARKER = 0x80
# Within what Linux takes in one send (64 segments in older kernels, 64 KiB), and little enough to pace by.
MAX_PACKETS = 32

SEND_TIME_OFFSET = 17
"""Where abs-send-time is in a packet that has it, or the transport-wide sequence number."""

_SEGMENT = Struct("=H")
HEADER_REST = Struct(">HII")
"""Sequence number, timestamp, SSRC: written at offset 2 of each packet (RFC 3550 section 5.1)."""


class PacketFormat(NamedTuple):
    """What viewers must have in common to share an image.

    `send_time_id`: id of the abs-send-time extension they agreed on, or None. `tag_bytes`: what SRTP appends (16 with
    AES-GCM, 10 with AES-CM and SHA1_80; RFC 7714, RFC 5764). `transport_id`: id of the transport-wide sequence number,
    which then is in the place of abs-send-time.
    """

    payload_type: int
    send_time_id: int | None
    tag_bytes: int
    transport_id: int | None = None

    @property
    def header_bytes(self) -> int:
        """Bytes before the payload."""
        has_extension = self.send_time_id is not None or self.transport_id is not None
        return HEADER_BYTES + (_EXTENSION_BYTES if has_extension else 0)


class Run(NamedTuple):
    """Packets that one send takes: equal sizes, but for a last one that may be shorter. Offsets into the image.

    `segment`: their size as the kernel wants it (a native 16-bit number).
    """

    start: int
    end: int
    packet_bytes: int
    packets: int
    segment: bytes


@dataclass(slots=True, eq=False)
class PacketImage:
    """Consecutive packets of one picture, up to MAX_PACKETS.

    `places`: offset and length without tag of each packet. `payload_bytes`: RTP payload of all of them. `layout`: kept
    here for all viewers by what encrypts (`srtp`).
    """

    data: bytes
    places: tuple[tuple[int, int], ...]
    runs: tuple[Run, ...]
    payload_bytes: int
    layout: Any = field(default=None, repr=False)


def build_images(payloads: Sequence[bytes], fmt: PacketFormat, send_time_24: int = 0) -> list[PacketImage]:
    """Return one picture's images; `send_time_24` is abs-send-time (6.18 fixed point seconds), the same in all."""
    plain = _header(fmt, send_time_24, marker=0)
    tag = bytes(fmt.tag_bytes)
    parts = [part for payload in payloads for part in (plain, payload, tag)]
    if parts:
        parts[-3] = _header(fmt, send_time_24, marker=_MARKER)
    return [_image(parts[start : start + 3 * MAX_PACKETS]) for start in range(0, len(parts), 3 * MAX_PACKETS)]


def _image(parts: Sequence[bytes]) -> PacketImage:
    tag_bytes = len(parts[2])
    around_bytes = len(parts[0]) + tag_bytes
    sizes = [len(payload) + around_bytes for payload in parts[1::3]]
    places, end = [], 0
    for size in sizes:
        places.append((end, size - tag_bytes))
        end += size
    return PacketImage(b"".join(parts), tuple(places), tuple(_runs(sizes, end)), end - around_bytes * len(sizes))


def _header(fmt: PacketFormat, send_time_24: int, *, marker: int) -> bytes:
    if fmt.transport_id is not None:
        extension = _EXTENSION_PROFILE.to_bytes(2) + b"\x00\x01" + bytes((fmt.transport_id << 4 | 1, 0, 0, 0))
        return bytes((0x90, marker | fmt.payload_type)) + bytes(HEADER_BYTES - 2) + extension
    if fmt.send_time_id is None:
        return bytes((0x80, marker | fmt.payload_type)) + bytes(HEADER_BYTES - 2)
    extension = _EXTENSION_PROFILE.to_bytes(2) + b"\x00\x01" + bytes((fmt.send_time_id << 4 | 2,))
    return bytes((0x90, marker | fmt.payload_type)) + bytes(HEADER_BYTES - 2) + extension + send_time_24.to_bytes(3)


def _runs(sizes: Sequence[int], total: int) -> Iterator[Run]:
    if sizes[:-1].count(sizes[0]) == len(sizes) - 1 and sizes[-1] <= sizes[0]:
        yield _run(0, total, sizes[0], len(sizes))  # the fragments of one unit
        return
    start = end = first = 0
    for index, size in enumerate(sizes):
        if index > first and (size > sizes[first] or sizes[index - 1] < sizes[first]):
            yield _run(start, end, sizes[first], index - first)
            start, first = end, index
        end += size
    yield _run(start, end, sizes[first], len(sizes) - first)


def _run(start: int, end: int, packet_bytes: int, packets: int) -> Run:
    return Run(start, end, packet_bytes, packets, _SEGMENT.pack(packet_bytes))
