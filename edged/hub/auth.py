"""Who is connecting: publishable keys and signed tokens (protocol section 1.2), from the query of the upgrade.

A refusal carries the close code of section 8; the upgrade itself always succeeds, or browsers could not see why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any, TypeGuard
from urllib.parse import parse_qsl

from edged.hub.access import ACTIONS, EVERY_CHANNEL, Access, Identity
from edged.hub.settings import HubSettings, IceServerSettings
from metered_realtime.wire import MAX_PEER_ID_CHARS, WsCloseCode, json_size, loads

MAX_TOKEN_CHARS = 60_000
MAX_WELCOME_METADATA_BYTES = 8192
MAX_PUBLIC_METADATA_BYTES = 4096
MAX_TOKEN_CHANNELS = 100
# A connection is closed this long before its token expires, as the hosted service does.
EXPIRY_MARGIN_S = 0.25
# Clocks of a back end and a hub differ by seconds; this much is forgiven for `nbf`, never for `exp`.
CLOCK_SKEW_S = 30.0

_PEER_ID = re.compile(rf"[\x20-\x7e]{{1,{MAX_PEER_ID_CHARS}}}\Z")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+\Z")
_MAX_EXP_S = 253402300799


class AuthError(Exception):
    """The credential is refused; `code` tells the client whether another try can help."""

    def __init__(self, code: WsCloseCode, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Authenticator:
    """Turns the query of a connection into an identity, or refuses it."""

    def __init__(self, settings: HubSettings, *, new_peer_id: Callable[[], str]) -> None:
        self._keys = tuple(
            (entry.key.reveal().encode(), Access(frozenset(entry.permissions), entry.channels), entry.suspended)
            for entry in settings.keys
        )
        self._secrets = {entry.id: entry.secret.reveal().encode() for entry in settings.token_secrets}
        self._ice_servers = [_ice_server(server) for server in settings.ice_servers]
        self._new_peer_id = new_peer_id

    def identify(self, query: str, now_s: float) -> Identity:
        """Return the identity behind `key=` or `token=`; `now_s` is Unix time. Raises AuthError."""
        try:
            fields = parse_qsl(query, keep_blank_values=True, max_num_fields=8)
        except ValueError:
            fields = []
        given = [(name, value) for name, value in fields if name in ("key", "token")]
        if len(given) != 1:
            raise AuthError(WsCloseCode.INVALID_TOKEN, "connect with either key or token in the address")
        name, value = given[0]
        return self._by_key(value) if name == "key" else self._by_token(value, now_s)

    def _by_key(self, key: str) -> Identity:
        found: tuple[Access, bool] | None = None
        # Every key is compared, so that the time tells nothing about which one was nearly right.
        for known, access, suspended in self._keys:
            if hmac.compare_digest(known, key.encode("utf-8", "replace")):
                found = access, suspended
        if found is None:
            raise AuthError(WsCloseCode.INVALID_TOKEN, "unknown key")
        if found[1]:
            raise AuthError(WsCloseCode.ACCOUNT_SUSPENDED, "this key is suspended")
        return Identity(self._new_peer_id(), found[0], welcome_metadata=self._welcome_metadata(None))

    def _by_token(self, token: str, now_s: float) -> Identity:
        claims = verify(token, self._secrets)
        expires_at_s = _expiry(claims, now_s)
        peer_id = claims.get("sub")
        if not isinstance(peer_id, str) or not _PEER_ID.match(peer_id):
            raise _invalid(f"sub must be a peer id of 1 to {MAX_PEER_ID_CHARS} printable ASCII characters")
        return Identity(
            peer_id,
            Access(_permissions(claims), _channels(claims)),
            _bag(claims, "peerMetadata", MAX_PUBLIC_METADATA_BYTES),
            self._welcome_metadata(_bag(claims, "metadata", MAX_WELCOME_METADATA_BYTES)),
            expires_at_s,
        )

    def _welcome_metadata(self, own: dict[str, Any] | None) -> dict[str, Any] | None:
        """A token's own iceServers win over the hub's."""
        if not self._ice_servers or (own is not None and "iceServers" in own):
            return own
        return {**(own or {}), "iceServers": self._ice_servers}


def verify(token: str, secrets: dict[str, bytes]) -> dict[str, Any]:
    """Return the claims of a JWT whose HS256 signature fits the secret its `kid` names. Raises AuthError."""
    parts = token.split(".") if len(token) <= MAX_TOKEN_CHARS else []
    if len(parts) != 3:
        raise _invalid("not a signed token")
    header = _json_part(parts[0])
    kid = header.get("kid")
    # The algorithm is ours to choose, never the token's: "none" and everything else is refused.
    if header.get("alg") != "HS256" or "crit" in header:
        raise _invalid("the token must be signed with HS256")
    secret = secrets.get(kid) if isinstance(kid, str) else None
    if secret is None:
        raise _invalid("the token's kid names no secret of this hub")
    expected = hmac.new(secret, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(expected, _decode(parts[2])):
        raise _invalid("the token's signature is wrong")
    return _json_part(parts[1])


def _expiry(claims: dict[str, Any], now_s: float) -> float:
    expires_at_s: Any = claims.get("exp")
    not_before_s: Any = claims.get("nbf")
    if not _is_time(expires_at_s):
        raise _invalid("the token has no valid exp")
    if now_s >= expires_at_s - EXPIRY_MARGIN_S:
        raise AuthError(WsCloseCode.TOKEN_EXPIRED, "the token has expired")
    if not_before_s is not None and (not _is_time(not_before_s) or not_before_s > now_s + CLOCK_SKEW_S):
        raise _invalid("the token is not valid yet")
    return float(expires_at_s)


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MAX_EXP_S


def _permissions(claims: dict[str, Any]) -> frozenset[str]:
    """A token without the claim grants every action: whoever signs tokens decides."""
    permissions = claims.get("permissions", list(ACTIONS))
    if not isinstance(permissions, list) or any(item not in ACTIONS for item in permissions):
        raise _invalid(f"permissions must be a list of {', '.join(ACTIONS)}")
    return frozenset(permissions)


def _channels(claims: dict[str, Any]) -> tuple[str, ...]:
    channels = claims.get("channels", list(EVERY_CHANNEL))
    if (
        not isinstance(channels, list)
        or len(channels) > MAX_TOKEN_CHANNELS
        or any(not isinstance(item, str) or not 1 <= len(item) <= 256 for item in channels)
    ):
        raise _invalid(f"channels must be a list of at most {MAX_TOKEN_CHANNELS} names or patterns")
    return tuple(channels)


def _bag(claims: dict[str, Any], name: str, max_bytes: int) -> dict[str, Any] | None:
    bag = claims.get(name)
    if bag is None:
        return None
    if not isinstance(bag, dict) or json_size(bag) > max_bytes:
        raise _invalid(f"{name} must be an object of at most {max_bytes} bytes of JSON")
    return bag


def _json_part(part: str) -> dict[str, Any]:
    try:
        value = loads(_decode(part).decode())
    except ValueError:
        raise _invalid("a part of the token is not JSON") from None
    if not isinstance(value, dict):
        raise _invalid("a part of the token is not a JSON object")
    return value


def _decode(part: str) -> bytes:
    if not _BASE64URL.match(part):
        raise _invalid("a part of the token is not base64url")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise _invalid("a part of the token is not base64url") from None


def _ice_server(server: IceServerSettings) -> dict[str, Any]:
    entry: dict[str, Any] = {"urls": list(server.urls)}
    if server.username:
        entry |= {"username": server.username, "credential": server.credential.reveal()}
    return entry


def _invalid(reason: str) -> AuthError:
    return AuthError(WsCloseCode.INVALID_TOKEN, reason)
