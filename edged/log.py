"""The log: one line per event on standard error, with the journal's priorities where the journal listens, and with
every secret masked whoever wrote it."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO
from urllib.parse import unquote

_MASK = "***"
_MIN_SECRET = 3
_SHORT_SECRET = 8
_THIRD_PARTIES = ("websockets", "metered_realtime.websocket", "aiortc", "aioice", "libav", "asyncio", "paho")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://)[^\s/\"'<>]+@", re.IGNORECASE)
_HOST_END = re.compile(r"[/?#]")
_QUERY = re.compile(r"\b(key|token|password|secret|credential)=[^\s&#\"'<>]+", re.IGNORECASE)
_KEYS = re.compile(r"\b(pk_live_|pk_test_|sk_live_|sk_secret_|sk_)(?!id_)[A-Za-z0-9_-]+")


class Redactor:
    """Masks secrets in any text: their usual shapes, and the very ones the settings hold."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        words = sorted({word for secret in secrets for word in _words_of(secret)}, key=len, reverse=True)
        self._known = re.compile("|".join(_pattern(word) for word in words)) if words else None

    def __call__(self, text: str) -> str:
        text = _USERINFO.sub(rf"\1{_MASK}@", text)
        text = _QUERY.sub(rf"\1={_MASK}", text)
        text = _KEYS.sub(rf"\1{_MASK}", text)
        return self._known.sub(_MASK, text) if self._known is not None else text


def _words_of(secret: str) -> Iterable[str]:
    """The parts of a setting that must not be seen: of a URL its password only, so that hosts stay readable."""
    if "://" in secret:
        authority = _HOST_END.split(secret.partition("://")[2], 1)[0]
        password = authority.rpartition("@")[0].partition(":")[2]
        found: tuple[str, ...] = (password, unquote(password))
    elif secret.endswith(":"):
        found = ()
    else:
        found = (secret,)
    return (word for word in found if len(word) >= _MIN_SECRET)


def _pattern(word: str) -> str:
    # A short secret is masked as a word of its own only, or half the log would be stars.
    escaped = re.escape(word)
    return rf"(?<!\w){escaped}(?!\w)" if len(word) < _SHORT_SECRET else escaped


class _Formatter(logging.Formatter):
    """One record to text: time and level for people, `<n>` before each line for the journal."""

    def __init__(self, redact: Redactor, *, for_journal: bool) -> None:
        super().__init__("%(message)s" if for_journal else "%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        self._redact = redact
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        text = self._redact(super().format(record))
        if not self._for_journal:
            return text
        prefix = f"<{next(code for level, code in _PRIORITIES if record.levelno >= level)}>"
        return "\n".join(prefix + line for line in text.splitlines() or [""])


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether this stream is the one the journal listens to (JOURNAL_STREAM holds its device and inode)."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def configure(level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send the log to standard error; may be called again, for example once the settings are known."""
    target = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_Formatter(Redactor(secrets), for_journal=is_journal(target, os.environ)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    quiet = logging.INFO if level == "debug" else logging.WARNING
    for name in _THIRD_PARTIES:
        logging.getLogger(name).setLevel(quiet)
    # A stack trace of the logging machinery itself must not print what it failed to format.
    logging.raiseExceptions = False
