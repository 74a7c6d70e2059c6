# ruff: noqa: RUF009 - `setting` only declares a field, as dataclasses.field does.
"""Every setting of `edged hub`: its type, its default, its one-line description. Pure frozen values, read by
`edged.settings_file` from the file given with --config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from edged.hub.access import ACTIONS, EVERY_CHANNEL
from edged.settings import Secret, required, section, setting

DEFAULT_LISTEN = "127.0.0.1:7880"

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/@]*):(\d{1,5})\Z")
_ICE_URL = re.compile(r"(stun|stuns|turn|turns):\S{1,500}\Z", re.IGNORECASE)


def split_listen(listen: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT; the host of an IPv6 address comes without its brackets."""
    found = _LISTEN.match(listen)
    if found is None or int(found[2]) > 65535:
        raise ValueError("not an address to listen at; it looks like 127.0.0.1:7880, [::1]:7880 or 0.0.0.0:7880")
    return found[1].strip("[]"), int(found[2])


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen at is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _listen_fault(listen: str) -> str:
    try:
        split_listen(listen)
    except ValueError as error:
        return str(error)
    return ""


def _actions_fault(actions: tuple[str, ...]) -> str:
    unknown = [action for action in actions if action not in ACTIONS]
    return f"{unknown[0]!r} is no permission; there are {', '.join(ACTIONS)}" if unknown else ""


def _patterns_fault(patterns: tuple[str, ...]) -> str:
    if len(patterns) > 100:
        return "at most 100 patterns are allowed; use * and ** to cover more channels with one"
    if any(not 1 <= len(pattern) <= 256 for pattern in patterns):
        return "a pattern has 1 to 256 characters; * is a run within one / segment, ** any run"
    return ""


def _ice_urls_fault(urls: tuple[str, ...]) -> str:
    if not urls or not all(_ICE_URL.match(url) for url in urls):
        return "list addresses like stun:stun.example.org:3478 or turn:turn.example.org:3478?transport=tcp"
    return ""


def _ice_servers_fault(servers: tuple[IceServerSettings, ...]) -> str:
    return "at most 16 entries are allowed; clients ignore a longer list as a whole" if len(servers) > 16 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """A publishable key. Whoever has it may do what it permits, under a new random peer id at every connection."""

    key: Secret = setting(Secret(""), "The key (pk_live_...).")
    key_file: str = setting("", "File that holds the key, instead of `key`.", file_for="key")
    permissions: tuple[str, ...] = setting(
        ACTIONS, "What it may do: publish, subscribe, presence, send.", check=_actions_fault
    )
    channels: tuple[str, ...] = setting(
        EVERY_CHANNEL, "Channels it covers; * is a run within one / segment, ** any run.", check=_patterns_fault
    )
    suspended: bool = setting(False, "Turn its holders away; they are told not to try again.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find an entry without its key."""
        if not self.key:
            yield "key", "must not be empty; give a publishable key (pk_live_...), or key_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSecretSettings:
    """A secret that back ends sign connection tokens with (JWT, HS256)."""

    id: str = required("Name of the secret in the token's `kid` header (sk_id_...).")
    secret: Secret = setting(Secret(""), "The secret, at least 16 characters (sk_secret_...).")
    secret_file: str = setting("", "File that holds the secret, instead of `secret`.", file_for="secret")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a secret that can be guessed."""
        if len(self.secret) < 16:
            yield "secret", "must have at least 16 characters; for example the output of: openssl rand -hex 32"


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServerSettings:
    """A STUN or TURN server that clients are told to use."""

    urls: tuple[str, ...] = setting((), "Addresses: stun:, stuns:, turn: or turns:.", check=_ice_urls_fault)
    username: str = setting("", "User name of a TURN server.")
    credential: Secret = setting(Secret(""), "Password of a TURN server.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What one client, and all together, may use up."""

    connections: int = setting(1000, "Connections at the same time; beyond it 4010.", minimum=1, maximum=100000)
    attempts_per_minute: int = setting(
        60, "New connections from one address in 60 s, this machine excepted; 0: any number.", minimum=0
    )
    messages_per_s: int = setting(
        100, "Messages a connection may send in the long run; beyond it 4011; 0: any number.", minimum=0
    )
    message_burst: int = setting(200, "Messages it may send at once.", minimum=1)
    messages_per_day: int = setting(
        0, "Messages all clients together may publish or send; beyond it over_message_quota; 0: any number.", minimum=0
    )
    channels: int = setting(100, "Channels one connection may be in.", minimum=1, maximum=10000)
    max_message_bytes: int = setting(65536, "Bytes of JSON in one message.", minimum=1024, maximum=200000)
    queue_bytes: int = setting(
        4194304, "Bytes that may wait for a slow client; beyond it 1008.", minimum=262144, maximum=268435456
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """The whole file."""

    listen: str = setting(
        DEFAULT_LISTEN, "Address and port; other than loopback needs TLS. Port 0 picks one.", check=_listen_fault
    )
    tls_cert: str = setting("", "Certificate chain for TLS (PEM).", is_path=True)
    tls_key: str = setting("", "Private key for TLS (PEM).", is_path=True)
    keys: tuple[KeySettings, ...] = setting((), "Publishable keys.")
    token_secrets: tuple[TokenSecretSettings, ...] = setting((), "Secrets that tokens are signed with.")
    ice_servers: tuple[IceServerSettings, ...] = setting(
        (), "STUN and TURN servers told to clients whose token names none.", check=_ice_servers_fault
    )
    hold_s: float = setting(
        3.0, "Seconds a dropped client may come back before the others are told; 0: at once.", minimum=0, maximum=60
    )
    warm_up_s: float = setting(
        3.0, "Seconds after a restart in which member lists are held back until all are back.", minimum=0, maximum=9
    )
    state_dir: str = setting(
        "", "Where it is noted that clients are connected; empty: $STATE_DIRECTORY or ~/.local/state/edged."
    )
    browser_sdk: str = setting("", "File of the browser SDK; empty: where set-up or the package put it.", is_path=True)
    limits: LimitSettings = section(LimitSettings, "Limits.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find half of a TLS set-up."""
        if bool(self.tls_cert) != bool(self.tls_key):
            yield ("tls_key" if self.tls_cert else "tls_cert"), "TLS needs both tls_cert and tls_key"
