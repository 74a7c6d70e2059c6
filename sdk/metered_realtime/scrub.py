"""Take secrets out of text before a person or a log sees it. Pure."""

from __future__ import annotations

import re

_QUERY = re.compile(r"([?&](?:token|key|access_token|secret)=)[^&\s\"'#)]+", re.IGNORECASE)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@\"']+@", re.IGNORECASE)
_SDP = re.compile(
    r"((?:^|[^A-Za-z0-9_-])[\"']?(?:ice-pwd|ice-ufrag|credential)[\"']?\s*[:=]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;\"'}]+)",
    re.IGNORECASE,
)
_KEYS = re.compile(r"\b((?:pk|sk)_(?:live|test|secret|id)_)[A-Za-z0-9_-]+")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def scrub(text: str) -> str:
    """Return `text` with keys, tokens, URL user names and passwords, and ICE credentials replaced by `***`."""
    text = _QUERY.sub(r"\1***", text)
    text = _USERINFO.sub(r"\1***@", text)
    text = _SDP.sub(r"\1***", text)
    text = _KEYS.sub(r"\1***", text)
    return _JWT.sub("***", text)


def scrubbed_error(error: Exception) -> Exception:
    """Return the error with no secret in its message and its causes cut off; another one where the type resists."""
    message = scrub(str(error))
    if message == str(error):
        return error
    # Not remade: a constructor of the application may want anything, and raise anything.
    error.args = tuple(scrub(value) if isinstance(value, str) else value for value in error.args)
    error.__cause__ = error.__context__ = None
    return error if str(error) == message else RuntimeError(f"{type(error).__name__}: {message}")
