"""What can be asked of a running gateway, and the answer as bytes. Nothing can be changed here. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable

from edged.status.document import Document
from edged.status.metrics import exposition

MAX_REQUEST_BYTES = 64
"""A longer line is no request."""


def answer(request: bytes, document: Callable[[], Document]) -> bytes:
    """Return the answer to one line: JSON for `status`, Prometheus text for `metrics`, else `error: ...`."""
    match request.strip():
        case b"status":
            return status_json(document())
        case b"metrics":
            return exposition(document()).encode("utf-8", "replace")
        case _:
            return b"error: unknown request; ask for status or metrics\n"


def status_json(document: Document) -> bytes:
    """Return the document as one line of JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
