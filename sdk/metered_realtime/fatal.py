"""Which ends and errors of the signalling service an application must react to, as errors with one sentence. Pure."""

from __future__ import annotations

from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.scrub import scrub

_CLOSE_CODES = {
    4001: "invalid_token",
    4002: "token_expired",
    4003: "channel_not_authorized",
    4012: "account_suspended",
    4020: "admin_disconnect",
}
_ERROR_CODES = frozenset(
    {"account_suspended", "channel_not_authorized", "action_not_permitted", "invalid_token", "token_expired"}
)


def fatal_close(code: int, reason: str) -> MeteredRealtimeError | None:
    """Return the error for a final close with this code (protocol section 8), or None where it is an ordinary end."""
    name = _CLOSE_CODES.get(code)
    if name is None:
        return None
    detail = f": {scrub(reason)}" if reason else ""
    return MeteredRealtimeError(f"the service ended the connection for good with {name} ({code}){detail}")


def fatal_error(code: str, message: str | None) -> MeteredRealtimeError | None:
    """Return the error for an `error` frame that belongs to no request (section 9), or None where it can be left."""
    if code not in _ERROR_CODES:
        return None
    detail = f": {scrub(message)}" if message else ""
    return MeteredRealtimeError(f"the service reports {code}{detail}")
