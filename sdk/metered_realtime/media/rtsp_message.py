"""RTSP 1.0 as bytes (RFC 2326): answers, requests from the camera, and the interleaved frames between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_MAX_HEAD_BYTES = 16 * 1024
_MAX_BODY_BYTES = 256 * 1024
_MAX_HEADERS = 100
_FRAME_MARK = 0x24
_FRAME_HEADER_BYTES = 4
_new = tuple.__new__  # what calling the class does, without a call in between: this is done for each packet
_HEAD_END = b"\r\n\r\n"


class RtspFormatError(ValueError):
    """The bytes are not RTSP; the connection cannot be used further."""


class Interleaved(NamedTuple):
    """One binary frame (section 10.12): an RTP or RTCP packet on an agreed channel."""

    channel: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class RtspHeaders:
    """Header fields in the order they came; names are compared without case."""

    fields: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of that name."""
        return next((value for key, value in self.fields if key == name.lower()), default)

    def all(self, name: str) -> list[str]:
        """Return every value of that name."""
        return [value for key, value in self.fields if key == name.lower()]


@dataclass(frozen=True, slots=True)
class RtspResponse:
    """An answer; `cseq` is None where the camera left it out."""

    status: int
    reason: str
    headers: RtspHeaders
    body: bytes
    cseq: int | None


@dataclass(frozen=True, slots=True)
class RtspRequest:
    """A request that the camera makes of us."""

    method: str
    uri: str
    headers: RtspHeaders
    body: bytes
    cseq: int | None


RtspItem = Interleaved | RtspResponse | RtspRequest


class RtspParser:
    """Bytes in, items out. Holds at most one unfinished item, of at most 64 KiB or the bounds above.

    An item that comes in many small pieces is looked at again when it can be whole, so that each byte costs the same.
    """

    __slots__ = ("_held_bytes", "_needed_bytes", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held_bytes = self._needed_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What waits for the rest of its item."""
        return self._held_bytes if self._pieces else 0

    def receive_data(self, data: bytes) -> list[RtspItem]:
        """Take the next bytes of the connection. Raises RtspFormatError."""
        if self._pieces:
            self._pieces.append(data)
            self._held_bytes += len(data)
            if self._held_bytes < self._needed_bytes:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
        items: list[RtspItem] = []
        position = 0
        item: RtspItem | None
        while position < len(data):
            if data[position] == _FRAME_MARK:
                item, end = _read_frame(data, position)
            elif data[position] in b"\r\n":
                position += 1  # some cameras end a message with one line break too many
                continue
            else:
                item, end = _read_message(data, position)
            if item is None:
                rest = data[position:]
                self._pieces, self._held_bytes, self._needed_bytes = [rest], len(rest), end - position
                break
            items.append(item)
            position = end
        return items


def encode_request(method: str, uri: str, cseq: int, headers: Mapping[str, str]) -> bytes:
    """Return a request without a body. Raises ValueError if a value would break out of its line."""
    return _encode(f"{method} {uri} RTSP/1.0", cseq, headers)


def encode_response(status: int, reason: str, cseq: int | None, headers: Mapping[str, str]) -> bytes:
    """Return an answer without a body to a request of the camera."""
    return _encode(f"RTSP/1.0 {status} {reason}", cseq, headers)


def parse_session(value: str) -> tuple[str, float]:
    """Read a Session header: (id, timeout in seconds; 60 where it is not said, section 12.37)."""
    identifier, *parameters = (part.strip() for part in value.split(";"))
    timeout_s = 60.0
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "timeout" and (number := _small_number(text.strip())):
            timeout_s = float(number)
    return identifier, timeout_s


def parse_interleaved(value: str) -> tuple[int, int] | None:
    """Read the channel pair of a Transport header (section 12.39); None if it names another transport."""
    for choice in value.split(","):
        parts = [part.strip().lower() for part in choice.split(";")]
        if not parts[0].endswith("/tcp"):
            continue
        for part in parts[1:]:
            name, _, text = part.partition("=")
            first, _, second = text.partition("-")
            rtp = _small_number(first)
            if name != "interleaved" or rtp is None or rtp > 255:
                continue
            rtcp = _small_number(second)
            return rtp, rtp + 1 if rtcp is None else rtcp
    return None


@dataclass(frozen=True, slots=True)
class UdpPath:
    """Where a camera sends RTP from: its two ports and its address, each None where it does not say."""

    server_ports: tuple[int, int] | None
    source: str | None


def parse_udp(value: str) -> UdpPath | None:
    """Read a Transport header (section 12.39) that agrees on unicast UDP; None if it names another transport."""
    parts = [part.strip() for part in value.partition(",")[0].split(";")]
    if parts[0].upper() not in ("RTP/AVP", "RTP/AVP/UDP") or "multicast" in map(str.lower, parts):
        return None
    named = {name.strip().lower(): text.strip() for name, _, text in (part.partition("=") for part in parts[1:])}
    first, _, second = named.get("server_port", "").partition("-")
    rtp, rtcp = _small_number(first), _small_number(second)
    ports = None
    if rtp is not None and 0 < rtp < 65535:
        ports = rtp, rtcp if rtcp is not None and 0 < rtcp <= 65535 else rtp + 1
    source = named.get("source", "")
    return UdpPath(ports, source if source and len(source) <= 64 and source.isprintable() else None)


def _encode(start_line: str, cseq: int | None, headers: Mapping[str, str]) -> bytes:
    lines = [start_line] if cseq is None else [start_line, f"CSeq: {cseq}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("an RTSP header must not hold a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _read_frame(data: bytes, start: int) -> tuple[Interleaved | None, int]:
    """Return the frame and where it ends; None and where it can end at the earliest while it is not whole."""
    payload = start + _FRAME_HEADER_BYTES
    if payload > len(data):
        return None, payload
    end = payload + int.from_bytes(data[start + 2 : payload])
    if end > len(data):
        return None, end
    return _new(Interleaved, (data[start + 1], data[payload:end])), end


def _read_message(data: bytes, start: int) -> tuple[RtspResponse | RtspRequest | None, int]:
    """Return the message and where it ends; None and where it can end at the earliest while it is not whole."""
    head_end = data.find(_HEAD_END, start, start + _MAX_HEAD_BYTES)
    if head_end < 0:
        if len(data) - start >= _MAX_HEAD_BYTES:
            raise RtspFormatError(f"a message head is longer than {_MAX_HEAD_BYTES} bytes")
        _check_beginning(data[start : start + 24])
        return None, len(data) + 1
    start_line, *lines = data[start:head_end].decode("utf-8", "replace").split("\r\n")
    headers = RtspHeaders(tuple(_read_headers(lines)))
    body_start = head_end + len(_HEAD_END)
    length = _content_length(headers)
    if body_start + length > len(data):
        return None, body_start + length
    body = data[body_start : body_start + length]
    return _read_start_line(start_line, headers, body), body_start + length


def _check_beginning(begin: bytes) -> None:
    if not all(0x20 <= byte < 0x7F for byte in begin.partition(b"\r")[0]):
        raise RtspFormatError("the data is neither an RTSP message nor an interleaved frame")


def _read_start_line(line: str, headers: RtspHeaders, body: bytes) -> RtspResponse | RtspRequest:
    cseq = _small_number(headers.get("cseq"))
    first, _, rest = line.partition(" ")
    if first.startswith("RTSP/1."):
        code, _, reason = rest.strip().partition(" ")
        status = _small_number(code)
        if status is None or not 100 <= status <= 999:
            raise RtspFormatError("an answer has no status code")
        return RtspResponse(status, reason.strip(), headers, body, cseq)
    if first.startswith("HTTP/"):
        raise RtspFormatError("it speaks HTTP, not RTSP")
    uri, _, version = rest.partition(" ")
    if not version.strip().startswith("RTSP/"):
        raise RtspFormatError("the data is neither an RTSP message nor an interleaved frame")
    return RtspRequest(first, uri, headers, body, cseq)


def _read_headers(lines: Sequence[str]) -> list[tuple[str, str]]:
    if len(lines) > _MAX_HEADERS:
        raise RtspFormatError(f"a message has more than {_MAX_HEADERS} lines of header fields")
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {line.strip()}")
            continue
        name, separator, value = line.partition(":")
        if separator:
            fields.append((name.strip().lower(), value.strip()))
    return fields


def _content_length(headers: RtspHeaders) -> int:
    text = headers.get("content-length", "0")
    length = _small_number(text)
    if length is None or length > _MAX_BODY_BYTES:
        raise RtspFormatError(f"a message announces a body of {text[:20]!r} bytes; {_MAX_BODY_BYTES} is the most taken")
    return length


def _small_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
