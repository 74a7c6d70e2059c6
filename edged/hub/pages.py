"""What a browser gets over plain HTTP: the viewer page, the browser SDK and `/healthz`, from a table made at start.

No path of a request ever reaches the file system.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from websockets.datastructures import Headers
from websockets.http11 import Response

PAGE_DIR = Path(__file__).parent / "page"
SDK_NAME = "metered-realtime.mjs"
SDK_PATH = f"/vendor/{SDK_NAME}"

_FILES = (
    "index.html",
    "style.css",
    "icon.svg",
    "viewer.js",
    "cameras.js",
    "tile.js",
    "wishes.js",
    "readings.js",
    "dom.js",
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        # 'self' covers the WebSocket of the same host and port.
        "connect-src 'self'",
        "media-src 'self' blob: mediastream:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_SECURITY = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), display-capture=(), geolocation=()",
}


def find_browser_sdk(given: str = "") -> Path | None:
    """Return the file of the browser SDK: the one given, else the packaged, else the one `edged demo` fetched.

    Raises FileNotFoundError where a given file does not exist.
    """
    if given:
        if not Path(given).is_file():
            raise FileNotFoundError(given)
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    candidates = (PAGE_DIR / "vendor" / SDK_NAME, cache / "edged" / SDK_NAME)
    return next((path for path in candidates if path.is_file()), None)


class Pages:
    """The fixed table of files, each with its compressed twin."""

    def __init__(self, browser_sdk: Path | None) -> None:
        self._table: dict[str, tuple[str, bytes, bytes]] = {}
        for name in _FILES:
            self._add(f"/{name}", PAGE_DIR / name)
        self._table["/"] = self._table["/index.html"]
        if browser_sdk is not None:
            self._add(SDK_PATH, browser_sdk)

    @property
    def has_browser_sdk(self) -> bool:
        """Whether the viewer page can work."""
        return SDK_PATH in self._table

    def answer(self, path: str, accept_encoding: str, health: Mapping[str, object]) -> Response:
        """Return the response to GET `path`; `health` is what `/healthz` shows."""
        if path == "/healthz":
            return _response(HTTPStatus.OK, "application/json", json.dumps(health).encode())
        found = self._table.get(path)
        if found is None:
            return _response(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"There is nothing here.\n")
        content_type, plain, packed = found
        if "gzip" in accept_encoding.lower():
            return _response(HTTPStatus.OK, content_type, packed, {"Content-Encoding": "gzip"})
        return _response(HTTPStatus.OK, content_type, plain)

    def _add(self, path: str, file: Path) -> None:
        content = file.read_bytes()
        content_type = _TYPES.get(Path(path).suffix, _TYPES[".js"])
        self._table[path] = content_type, content, gzip.compress(content, mtime=0)


def _response(status: HTTPStatus, content_type: str, body: bytes, more: Mapping[str, str] | None = None) -> Response:
    headers = Headers(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            "Connection": "close",
            **_SECURITY,
            **(more or {}),
        }
    )
    return Response(status.value, status.phrase, headers, body)
