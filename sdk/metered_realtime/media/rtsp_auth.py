"""Logging in to a camera: digest (RFC 7616, and RFC 2069 as old cameras speak it) and basic (RFC 7617)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}
_MAX_CHALLENGES = 16


@dataclass(frozen=True, slots=True)
class Challenge:
    """One offer of a WWW-Authenticate header; parameter names in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def strength(self) -> int:
        """Rank among what we can answer; 0 for what we cannot."""
        if self.scheme == "basic":
            return 1
        if self.scheme != "digest" or not self.parameters.get("nonce"):
            return 0
        return {"md5": 2, "sha256": 3}.get(_ALGORITHMS.get(self.algorithm.removesuffix("-SESS"), ""), 0)

    @property
    def algorithm(self) -> str:
        """The digest algorithm in upper case, MD5 where none is named."""
        return self.parameters.get("algorithm", "MD5").upper()

    @property
    def is_stale(self) -> bool:
        """True if only the nonce was too old, and the login itself was right."""
        return self.parameters.get("stale", "").lower() == "true"


class Authenticator:
    """Answers challenges with one login. A nonce is used again, with a rising count, until the camera renews it."""

    def __init__(
        self, username: str, password: str, *, new_cnonce: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        self._username = username
        self._password = password
        self._new_cnonce = new_cnonce
        self._challenge: Challenge | None = None
        self._cnonce = ""
        self._count = 0
        self._accepted = False

    def __repr__(self) -> str:
        return "Authenticator(***)"

    def accepted(self) -> None:
        """The camera took the login: a later challenge means that the nonce is used up."""
        self._accepted = self._challenge is not None

    def challenge(self, values: Iterable[str]) -> bool:
        """Take the WWW-Authenticate values of a 401. True if the request is worth sending again.

        It is not where no scheme is known to us, and where the login just sent was refused: cameras lock
        an account after a few wrong attempts.
        """
        offers = [offer for value in values for offer in parse_challenges(value)]
        best = max(offers, key=lambda offer: offer.strength, default=None)
        if best is None or best.strength == 0:
            return False
        is_first = self._challenge is None
        renewed = best.scheme == "digest" and (best.is_stale or self._accepted)
        self._challenge = best
        self._cnonce, self._count = self._new_cnonce(), 0
        self._accepted = False
        return is_first or renewed

    def authorization(self, method: str, uri: str) -> str | None:
        """Return the Authorization value for one request; None before the first challenge."""
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            token = base64.b64encode(f"{self._username}:{self._password}".encode())
            return f"Basic {token.decode()}"
        return self._digest(self._challenge, method, uri)

    def _digest(self, challenge: Challenge, method: str, uri: str) -> str:
        algorithm = challenge.algorithm
        name = _ALGORITHMS[algorithm.removesuffix("-SESS")]

        def digest(*parts: str) -> str:
            return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        realm, nonce = challenge.parameters.get("realm", ""), challenge.parameters["nonce"]
        secret = digest(self._username, realm, self._password)
        if algorithm.endswith("-SESS"):
            secret = digest(secret, nonce, self._cnonce)
        target = digest(method, uri)
        fields = {"username": self._username, "realm": realm, "nonce": nonce, "uri": uri}
        bare: dict[str, str] = {}
        if "auth" in _qop_choices(challenge):
            self._count += 1
            count = f"{self._count:08x}"
            fields["response"] = digest(secret, nonce, count, self._cnonce, "auth", target)
            fields["cnonce"] = self._cnonce
            bare = {"qop": "auth", "nc": count}
        else:
            fields["response"] = digest(secret, nonce, target)
        if "algorithm" in challenge.parameters:
            bare["algorithm"] = challenge.parameters["algorithm"]
        if "opaque" in challenge.parameters:
            fields["opaque"] = challenge.parameters["opaque"]
        quoted = [f'{key}="{_escape(value)}"' for key, value in fields.items()]
        return "Digest " + ", ".join(quoted + [f"{key}={value}" for key, value in bare.items()])


def parse_challenges(value: str) -> list[Challenge]:
    """Read one WWW-Authenticate value, which may hold several challenges. Never raises."""
    challenges: list[Challenge] = []
    for item in _split_outside_quotes(value):
        head, has_value, text = item.partition("=")
        words = head.split()
        if len(words) == 2 or (len(words) == 1 and not has_value):
            challenges.append(Challenge(words[0].lower()))
        if has_value and words and challenges:
            challenges[-1].parameters[words[-1].lower()] = _unquote(text.strip())
    return challenges[:_MAX_CHALLENGES]


def _qop_choices(challenge: Challenge) -> list[str]:
    return [choice.strip().lower() for choice in challenge.parameters.get("qop", "").split(",")]


def _split_outside_quotes(value: str) -> list[str]:
    items: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for character in value:
        if character == "," and not quoted:
            items.append("".join(current))
            current.clear()
            continue
        current.append(character)
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
    items.append("".join(current))
    return [item.strip() for item in items if item.strip()]


def _unquote(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    out: list[str] = []
    escaped = False
    for character in text[1:-1]:
        if character == "\\" and not escaped:
            escaped = True
            continue
        out.append(character)
        escaped = False
    return "".join(out)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
