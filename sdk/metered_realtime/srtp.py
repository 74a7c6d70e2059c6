"""SRTP for a whole picture at once: the one place that calls libsrtp directly, on one buffer used again and again.

Fills a gap of pylibsrtp, whose `Session.protect` copies a packet in and out and allocates for each; measured, that is
half of what SRTP costs. The session itself, and its keys, stay aiortc's. `tests/sdk/test_srtp.py` is the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from struct import pack
from typing import Any

from pylibsrtp import Error
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found, unused-ignore]

from metered_realtime.media.rtp_image import HEADER_REST, MAX_PACKETS, SEND_TIME_OFFSET, PacketImage

_SEQUENCES = 0xFFFF
# Twice the largest image: every packet a full datagram.
_BUFFER_BYTES = 128 * 1024
_buffer = ffi.new("char[]", _BUFFER_BYTES)
_view = memoryview(ffi.buffer(_buffer))
# libsrtp reads the length of a packet there, and writes that of the encrypted one.
_lengths = ffi.new("int[]", MAX_PACKETS)
_lengths_view = memoryview(ffi.buffer(_lengths))
_length_of = [_lengths + number for number in range(MAX_PACKETS)]
_protect = lib.srtp_protect
_write_rest = HEADER_REST.pack_into


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the packets of one image lie in the buffer: worked out by the first viewer, used by all."""

    block: memoryview
    header_rests: Sequence[int]
    pointers: Sequence[Any]
    lengths: bytes


def protect_image(
    session: Any,
    image: PacketImage,
    sequence: int,
    timestamp: int,
    ssrc: int,
    *,
    send_time: bytes | None = None,
    transport_sequence: int | None = None,
) -> memoryview:
    """Complete and encrypt every packet of the image for one receiver; `session` is its `pylibsrtp.Session`.

    `send_time`: abs-send-time to write over that of the image, whose packets must have it; `transport_sequence`: the
    same for the transport-wide number of the first packet. The result is laid out as
    the image is, and good until the next call in this process: send it before that. Raises ConnectionError where
    libsrtp refuses (RFC 3711).
    """
    layout: _Layout | None = image.layout
    if layout is None:
        layout = image.layout = _lay_out(image)
    block = layout.block
    block[:] = image.data
    if send_time is not None:
        for offset, _ in image.places:
            block[offset + SEND_TIME_OFFSET : offset + SEND_TIME_OFFSET + 3] = send_time
    if transport_sequence is not None:
        for number, (offset, _) in enumerate(image.places, transport_sequence):
            at = offset + SEND_TIME_OFFSET
            block[at : at + 2] = (number & _SEQUENCES).to_bytes(2)
    for rest in layout.header_rests:
        _write_rest(block, rest, sequence & _SEQUENCES, timestamp, ssrc)
        sequence += 1
    _lengths_view[: len(layout.lengths)] = layout.lengths
    # One call for all packets: measured, a loop of statements costs a third more.
    if any(map(_protect, repeat(session._srtp[0]), layout.pointers, _length_of)):  # noqa: SLF001 - see the module
        raise ConnectionError("libsrtp refuses to encrypt a packet")
    return block


def _lay_out(image: PacketImage) -> _Layout:
    places = image.places
    return _Layout(
        block=_view[: len(image.data)],
        header_rests=[offset + 2 for offset, _ in places],
        pointers=[_buffer + offset for offset, _ in places],
        lengths=pack(f"={len(places)}i", *(length for _, length in places)),
    )


def protect_packet(session: Any, packet: bytes) -> bytes:
    """Encrypt one packet. Raises ConnectionError as above."""
    try:
        return bytes(session.protect(packet))
    except Error as error:
        raise ConnectionError(str(error)) from None


def unprotect_reports(session: Any, datagram: bytes) -> bytes:
    """Decrypt RTCP; nothing is left of what is not authentic, or came before."""
    try:
        return bytes(session.unprotect_rtcp(datagram))
    except Error:
        return b""
