"""SRTP for a whole picture at once: the one place that calls libsrtp directly, on one buffer used again and again.

Fills a gap of pylibsrtp, whose `Session.protect` copies a packet in and out and allocates for each; measured, that is
half of what SRTP costs. The session itself, and its keys, stay aiortc's. `tests/sdk/test_srtp.py` is the contract.
"""

from __future__ import annotations

from typing import Any

from pylibsrtp import Error
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found, unused-ignore]

from metered_realtime.media.rtp_image import HEADER_REST, SEND_TIME_OFFSET, PacketImage

_SEQUENCES = 0xFFFF
# Twice the largest image: every packet a full datagram.
_BUFFER_BYTES = 128 * 1024
_buffer = ffi.new("char[]", _BUFFER_BYTES)
_view = memoryview(ffi.buffer(_buffer))
_length = ffi.new("int *")
_protect = lib.srtp_protect
_write_rest = HEADER_REST.pack_into


def protect_image(
    session: Any, image: PacketImage, sequence: int, timestamp: int, ssrc: int, *, send_time: bytes | None = None
) -> memoryview:
    """Complete and encrypt every packet of the image for one receiver; `session` is its `pylibsrtp.Session`.

    `send_time`: abs-send-time to write over that of the image, whose packets must have it. The result is laid out as
    the image is, and good until the next call in this process: send it before that. Raises ConnectionError where
    libsrtp refuses (RFC 3711).
    """
    srtp = session._srtp[0]  # noqa: SLF001 - see the module
    _view[: len(image.data)] = image.data
    if send_time is not None:
        for offset, _ in image.places:
            _view[offset + SEND_TIME_OFFSET : offset + SEND_TIME_OFFSET + 3] = send_time
    for offset, length in image.places:
        _write_rest(_view, offset + 2, sequence & _SEQUENCES, timestamp, ssrc)
        _length[0] = length
        if _protect(srtp, _buffer + offset, _length):
            raise ConnectionError("libsrtp refuses to encrypt a packet")
        sequence += 1
    return _view[: len(image.data)]


def protect_packet(session: Any, packet: bytes) -> bytes:
    """Encrypt one packet. Raises ConnectionError as above."""
    try:
        return bytes(session.protect(packet))
    except Error as error:
        raise ConnectionError(str(error)) from None
