"""One HTTP request and its answer as bytes, for a camera that is asked something now and then (RFC 9112). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 256 * 1024
# Answers below it are promises of another one.
_CONTINUE, _FINAL = 100, 200
_MAX_HEADS = 4
# More pieces are made to be slow to read.
_MAX_CHUNKS = 4096


class HttpError(ValueError):
    """What came is no HTTP, or more than any answer."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`headers`: names in lower case, every value of each."""

    status: int
    headers: Mapping[str, tuple[str, ...]]
    body: bytes


def post(host: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request whose answer ends with the connection. Values must hold no line breaks."""
    all_headers = {"Host": host, "Connection": "close", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise HttpError("a header holds a line break")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body


def read_answer(data: bytes, *, is_end: bool) -> HttpAnswer | None:
    """Return the answer in `data`, None while more has to come; `is_end`: nothing will. Raises HttpError."""
    rest, status = data, _CONTINUE
    for _ in range(_MAX_HEADS):
        head, found, rest = rest.partition(b"\r\n\r\n")
        if not found:
            if is_end or len(head) > MAX_HEAD_BYTES:
                raise HttpError("it closed the connection" if is_end else "its head does not end")
            return None
        status, headers = _read_head(head)
        if status >= _FINAL:
            break
    else:
        raise HttpError("it goes on promising an answer")
    body = _read_body(rest, headers, is_end=is_end)
    if len(rest if body is None else body) > MAX_BODY_BYTES:
        raise HttpError(f"its answer is larger than {MAX_BODY_BYTES} bytes")
    if body is None and is_end:
        raise HttpError("its answer is cut short")
    return None if body is None else HttpAnswer(status, headers, body)


def _read_head(head: bytes) -> tuple[int, dict[str, tuple[str, ...]]]:
    if len(head) > MAX_HEAD_BYTES:
        raise HttpError("its head is larger than any")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not (words[1].isascii() and words[1].isdecimal()):
        raise HttpError("it does not speak HTTP")
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = (*headers.get(key, ()), value.strip())
    return int(words[1][:3]), headers


def _read_body(rest: bytes, headers: Mapping[str, tuple[str, ...]], *, is_end: bool) -> bytes | None:
    if "chunked" in ",".join(headers.get("transfer-encoding", ())).lower():
        return _read_chunks(rest)
    length = headers.get("content-length", ("",))[0]
    if not length:
        return rest if is_end else None
    if not (length.isascii() and length.isdecimal() and len(length) <= 9):
        raise HttpError("its length is no number")
    if int(length) > MAX_BODY_BYTES:
        raise HttpError(f"its answer is larger than {MAX_BODY_BYTES} bytes")
    return rest[: int(length)] if len(rest) >= int(length) else None


def _read_chunks(rest: bytes) -> bytes | None:
    body, at = bytearray(), 0
    for _ in range(_MAX_CHUNKS):
        end = rest.find(b"\r\n", at)
        if end < 0:
            return None
        try:
            size = int(rest[at:end].partition(b";")[0].strip() or b"?", 16)
        except ValueError:
            raise HttpError("a chunk of it has no size") from None
        if not 0 <= size <= MAX_BODY_BYTES:
            raise HttpError("a chunk of it is larger than any")
        if size == 0:
            return bytes(body)
        begin, at = end + 2, end + 2 + size + 2
        if len(rest) < at:
            return None
        body += rest[begin : begin + size]
    raise HttpError("it comes in more chunks than any answer")
