"""STUN and TURN addresses (RFC 7064, RFC 7065) and which of them are asked for candidates. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from metered_realtime.ice_servers import IceServerConfig

# Each URL asked costs a socket (TURN) or a request per local address (STUN); services announce two to six.
MAX_SERVERS_ASKED = 8
MAX_URLS_ASKED = 16

_URL = re.compile(
    r"(?P<scheme>stun|turns?):(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[^\s:/?#@\[\]]{1,253})(:(?P<port>[0-9]{1,5}))?(\?(?P<query>\S*))?",
    re.IGNORECASE,
)
_TRANSPORT = re.compile(r"(?:^|&)transport=(udp|tcp)(?:&|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IceUrl:
    """One address to ask: what it is, where, and over what."""

    kind: Literal["stun", "turn"]
    host: str
    port: int
    transport: Literal["udp", "tcp", "tls"]

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.port} over {self.transport}"


@dataclass(frozen=True, slots=True)
class Ask:
    """An address with the credential to use there."""

    url: IceUrl
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


def parse_ice_url(text: str) -> IceUrl | None:
    """Return the address, or None for one that is malformed or that no candidate can come from.

    The latter are `stuns:` (a reflexive address of a TLS connection is no use for media) and TURN over DTLS.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else 5349 if scheme == "turns" else 3478
    if not 0 < port < 65536:
        return None
    host = match["host"].strip("[]")
    if scheme == "stun":
        return IceUrl("stun", host, port, "udp")
    asked = _TRANSPORT.search(match["query"] or "")
    transport = asked[1].lower() if asked is not None else "tcp" if scheme == "turns" else "udp"
    if scheme == "turns":
        return IceUrl("turn", host, port, "tls") if transport == "tcp" else None
    return IceUrl("turn", host, port, "tcp" if transport == "tcp" else "udp")


def list_asks(servers: Iterable[IceServerConfig], *, relay_only: bool = False) -> list[Ask]:
    """Return every usable address of these servers once, in their order, within the limits above.

    A TURN server without a credential is left out: allocations need one (RFC 8656 section 5).
    """
    asks: dict[IceUrl, Ask] = {}
    for server in list(servers)[:MAX_SERVERS_ASKED]:
        for text in [server.urls] if isinstance(server.urls, str) else server.urls:
            url = parse_ice_url(text)
            if url is None or url in asks:
                continue
            if url.kind == "stun" and not relay_only:
                asks[url] = Ask(url)
            elif url.kind == "turn" and server.username is not None and server.credential is not None:
                asks[url] = Ask(url, server.username, server.credential)
    return list(asks.values())[:MAX_URLS_ASKED]
