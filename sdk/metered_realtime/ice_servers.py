"""STUN and TURN servers as the service announces them in `welcome.metadata.iceServers` (protocol section 10). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_SERVERS = 16
MAX_URL_CHARS = 512
MAX_SECRET_CHARS = 1024

_ICE_URL = re.compile(r"(stuns?|turns?):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IceServerConfig:
    """One server: one or several URLs of it, and the credential of a TURN server."""

    urls: str | list[str]
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        return f"IceServerConfig(urls={self.urls!r}, username={self.username!r}, credential=***)"


def parse_ice_servers(metadata: dict[str, Any] | None) -> tuple[IceServerConfig, ...] | None:
    """Return the servers of a welcome's metadata; None where there are none or any entry breaks the rules."""
    entries = (metadata or {}).get("iceServers")
    if not isinstance(entries, list) or len(entries) > MAX_SERVERS:
        return None
    servers = [_server(entry) for entry in entries]
    return None if None in servers else tuple(server for server in servers if server is not None)


def check_ice_servers(servers: Iterable[IceServerConfig] | None) -> tuple[IceServerConfig, ...]:
    """Return the servers an application gave. Raises TypeError and ValueError for what cannot be one."""
    checked = tuple(servers) if servers is not None else ()
    for server in checked:
        if not isinstance(server, IceServerConfig):
            raise TypeError(f"ice_servers takes IceServerConfig values, not {type(server).__name__}")
        urls = [server.urls] if isinstance(server.urls, str) else server.urls
        if not urls or not all(_is_ice_url(url) for url in urls):
            raise ValueError("the urls of an ICE server must begin with stun:, stuns:, turn: or turns:")
    if len(checked) > MAX_SERVERS:
        raise ValueError(f"at most {MAX_SERVERS} ICE servers can be used")
    return checked


def _server(entry: Any) -> IceServerConfig | None:
    if not isinstance(entry, dict):
        return None
    urls = entry.get("urls")
    listed = [urls] if isinstance(urls, str) else urls
    if not isinstance(listed, list) or not listed or not all(_is_ice_url(url) for url in listed):
        return None
    secrets = [value if isinstance(value := entry.get(key), str) else None for key in ("username", "credential")]
    if any(len(secret or "") > MAX_SECRET_CHARS for secret in secrets):
        return None
    return IceServerConfig(urls if isinstance(urls, str) else list(listed), *secrets)


def _is_ice_url(url: Any) -> bool:
    return isinstance(url, str) and len(url) <= MAX_URL_CHARS and _ICE_URL.match(url) is not None
