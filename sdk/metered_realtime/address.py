"""Where the signalling service is: check the origin an application gives, build the address to connect to. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from metered_realtime.scrub import scrub

PATH = "/v1"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def check_origin(url: str, *, allow_insecure: bool = False) -> str:
    """Return `scheme://host[:port]` of a service (protocol section 1.1). Raises ValueError with what would be right."""
    shown = scrub(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"url {shown!r} cannot be read: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in ("ws", "wss") or not host:
        raise ValueError(f"url {shown!r} must have the form wss://host or wss://host:port")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"url {shown!r} must be an origin only (wss://host:port); {PATH} is added by the client")
    if scheme == "ws" and host not in LOOPBACK_HOSTS and not allow_insecure:
        raise ValueError(f"url {shown!r}: the key travels in the URL, so ws:// is for this machine only; use wss://")
    shown_host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown_host}" + ("" if port is None else f":{port}")


def connect_url(origin: str, *, api_key: str | None = None, token: str | None = None) -> str:
    """Return the address of the WebSocket; it holds the credential, so it must never be shown."""
    name, value = ("key", api_key) if token is None else ("token", token)
    return f"{origin}{PATH}?{name}={quote(value or '', safe='')}"
