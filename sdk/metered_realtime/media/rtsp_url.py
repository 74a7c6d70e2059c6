"""RTSP addresses: the login taken out, the rest kept as the camera's owner wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from metered_realtime.media.rtsp_errors import RtspUrlError

_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322}
_MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class RtspUrl:
    """One address. `path` begins with a slash or is empty, and carries the query."""

    scheme: str
    host: str
    port: int
    path: str
    username: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"RtspUrl({self.request_uri!r})"

    @property
    def address(self) -> str:
        """Host and port as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def request_uri(self) -> str:
        """The address as it goes on the wire: without a login (RFC 7826 section 4.2)."""
        return f"{self.scheme}://{self.address}{self.path}"


def parse_rtsp_url(text: str) -> RtspUrl:
    """Read `rtsp://[user[:password]@]host[:port][/path]`. Raises RtspUrlError, which never shows a login."""
    scheme, found, rest = text.strip().partition("://")
    scheme = scheme.lower()
    if not found or scheme not in _DEFAULT_PORTS:
        raise RtspUrlError("a camera address begins with rtsp:// or rtsps://")
    if len(rest) > _MAX_LENGTH or not rest.isprintable() or " " in rest:
        raise RtspUrlError("the camera address holds a space or another character that no address can have")
    authority, path = _split_path(rest)
    userinfo, has_login, location = authority.rpartition("@")
    host, port_text = _split_port(location)
    if not host:
        raise RtspUrlError(f"the camera address names no host: write {scheme}://HOST/PATH")
    if not _can_be_looked_up(host):
        raise RtspUrlError("the host in the camera address is no host name: a part of it is empty or too long")
    username, has_password, password = userinfo.partition(":")
    return RtspUrl(
        scheme,
        host,
        _read_port(port_text, _DEFAULT_PORTS[scheme]),
        path,
        unquote(username) if has_login else None,
        unquote(password) if has_password else None,
    )


def _can_be_looked_up(host: str) -> bool:
    """What the resolver would refuse with an error of its own kind."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _split_path(rest: str) -> tuple[str, str]:
    ends = [position for mark in "/?" if (position := rest.find(mark)) >= 0]
    end = min(ends, default=len(rest))
    return rest[:end], rest[end:]


def _split_port(location: str) -> tuple[str, str]:
    if location.startswith("["):
        host, closed, rest = location[1:].partition("]")
        if not closed or (rest and rest[0] != ":"):
            raise RtspUrlError("the IPv6 address in the camera address is written like rtsp://[fe80::1]:554/path")
        return host, rest[1:]
    host, _, port = location.partition(":")
    return host, port


def _read_port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise RtspUrlError("the port in the camera address is not a number from 1 to 65535")
    return int(text)
