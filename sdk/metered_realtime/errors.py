"""Every error the SDK raises. They carry plain values; this module imports nothing of ours.

MeteredRealtimeError
├── SignallingError
│   ├── NotConnectedError           the frame never left; safe to repeat after `Connected`
│   ├── SignallingConnectError      close_code, close_reason
│   ├── ServerRequestError          code, request_id
│   ├── AckTimeoutError             request_id, timeout
│   ├── DisconnectedError           the connection dropped while waiting
│   └── OversizedPayloadError       size, cap
├── ReconcileTimeoutError
├── MeteredPeerSendError            code
├── MeteredPeerOversizedError       size, cap
├── MeteredPeerStateError           code, method, current_state
├── MeteredPeerReplaceTrackError    succeeded, failed
├── IceRestartExhaustedError        attempts (ours)
├── DataChannelOverflowError        queued, cap
└── NotJsonError                    size (ours)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SendErrorCode = Literal["reserved_channel", "not_joined", "invalid_args", "self_send"]
StateErrorCode = Literal["invalid_state", "track_already_attached"]


class MeteredRealtimeError(Exception):
    """Base of every error of this package."""


class SignallingError(MeteredRealtimeError):
    """Something failed between us and the signalling service."""


class NotConnectedError(SignallingError):
    """There is no live connection; nothing was sent, so the call may be repeated after `Connected`."""


class SignallingConnectError(SignallingError):
    """The first connection ended before the service welcomed us.

    `close_code` is the WebSocket close code (protocol section 8), or the HTTP status where the
    upgrade itself was refused.
    """

    def __init__(self, close_code: int, close_reason: str, message: str | None = None) -> None:
        self.close_code = close_code
        self.close_reason = close_reason
        super().__init__(message or _why_no_connection(close_code, close_reason))


def _why_no_connection(code: int, reason: str) -> str:
    because = f": {reason}" if reason else ""
    if code < 1000:
        return f"the signalling service refused the connection with HTTP status {code}"
    if code == 1006 and reason:
        return f"the signalling service could not be reached{because}"
    if code == 1006:
        return "the signalling service dropped the connection before its welcome"
    return f"the signalling service ended the connection with code {code}{because}"


class ServerRequestError(SignallingError):
    """The service answered a request with an `error` frame; `code` as in protocol section 9."""

    def __init__(self, code: str, message: str | None = None, request_id: str | None = None) -> None:
        self.code = code
        self.request_id = request_id
        super().__init__(message or f"the signalling service refused the request: {code}")


class AckTimeoutError(SignallingError):
    """A request stayed without an answer for `timeout` seconds."""

    def __init__(self, request_id: str, timeout: float) -> None:
        self.request_id = request_id
        self.timeout = timeout
        super().__init__(f"no acknowledgement of request {request_id} within {timeout:g} s")


class DisconnectedError(SignallingError):
    """The connection dropped while a request waited for its answer; it may or may not have arrived."""


class OversizedPayloadError(SignallingError):
    """`data` is larger than the service accepts; `size` and `cap` in bytes of UTF-8 JSON."""

    def __init__(self, size: int, cap: int) -> None:
        self.size = size
        self.cap = cap
        super().__init__(f"the payload is {size} bytes of JSON; the service accepts at most {cap}")


class ReconcileTimeoutError(MeteredRealtimeError):
    """After a reconnect the member list of the channel never came; close this peer and join with a new one."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message or "no member list arrived after the reconnect; close this MeteredPeer and join with a new one"
        )


class MeteredPeerSendError(MeteredRealtimeError):
    """`send`, `send_to` or `join` was refused before anything was sent; `code` says why."""

    def __init__(self, code: SendErrorCode, message: str) -> None:
        self.code: SendErrorCode = code
        super().__init__(message)


class MeteredPeerOversizedError(MeteredRealtimeError):
    """A message or metadata is larger than the service accepts; `size` and `cap` in bytes of UTF-8 JSON."""

    def __init__(self, size: int, cap: int) -> None:
        self.size = size
        self.cap = cap
        super().__init__(f"the message is {size} bytes of JSON; the service accepts at most {cap}")


class MeteredPeerStateError(MeteredRealtimeError):
    """A call that the peer's state, or the track's, does not allow."""

    def __init__(self, code: StateErrorCode, method: str, message: str, current_state: str | None = None) -> None:
        self.code: StateErrorCode = code
        self.method = method
        self.current_state = current_state
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ReplaceTrackFailure:
    """The peer for which `replace_track` failed, and why."""

    peer_id: str
    err: Exception


class MeteredPeerReplaceTrackError(MeteredRealtimeError):
    """`replace_track` failed for some peers: `succeeded` ids, `failed` with their causes."""

    def __init__(self, succeeded: tuple[str, ...], failed: tuple[ReplaceTrackFailure, ...]) -> None:
        self.succeeded = succeeded
        self.failed = failed
        super().__init__(f"the track could not be replaced for {len(failed)} of {len(succeeded) + len(failed)} peers")


class IceRestartExhaustedError(MeteredRealtimeError):
    """The path to a peer did not come back in `attempts` attempts; further ones follow, slowly.

    The `err` of a `NegotiationError`, once per loss of the path.
    """

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        super().__init__(f"the connection to the peer did not come back in {attempts} attempts; trying on, slowly")


class DataChannelOverflowError(MeteredRealtimeError):
    """Too many sends, or bytes, wait for the channel's buffer: `queued` of at most `cap`."""

    def __init__(self, queued: int, cap: int, *, unit: Literal["messages", "bytes"] = "messages") -> None:
        self.queued = queued
        self.cap = cap
        super().__init__(f"{queued} {unit} already wait on this data channel (at most {cap})")


class NotJsonError(MeteredRealtimeError):
    """A message where JSON was expected is not JSON; `size` in bytes."""

    def __init__(self, size: int, reason: str) -> None:
        self.size = size
        super().__init__(f"a message of {size} bytes is not JSON: {reason}")
