"""The state of one camera as its viewers are told it: idle, connecting, live, lost or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

State = Literal["idle", "connecting", "live", "lost", "failed"]

MESSAGE_TYPE = "edged/camera"
_STATES = frozenset({"idle", "connecting", "live", "lost", "failed"})
_TROUBLE = frozenset({"lost", "failed"})


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """What is published; `reason` is one sentence in trouble and empty otherwise."""

    state: State
    reason: str
    since_ms: int

    def message(self, camera: str, quality: str = "main") -> dict[str, Any]:
        """Return the message of this status on the channel."""
        return {
            "type": MESSAGE_TYPE,
            "camera": camera,
            "quality": quality,
            "state": self.state,
            "reason": self.reason,
            "since_ms": self.since_ms,
        }


def idle(now_ms: int) -> CameraStatus:
    """The status of a camera that nobody watches."""
    return CameraStatus("idle", "", now_ms)


def next_status(status: CameraStatus, state: str, detail: str, now_ms: int) -> CameraStatus:
    """Return the status after a report of the retry loop; the same value where nothing changed for a viewer.

    A camera in trouble stays so, with its reason, while it is tried again: only a picture ends the trouble.
    """
    if state not in _STATES:
        raise ValueError(f"{state!r} is no camera state")
    if state == "connecting" and status.state in _TROUBLE:
        return status
    reason = detail if state in _TROUBLE else ""
    if state == status.state:
        return status if reason == status.reason else CameraStatus(status.state, reason, status.since_ms)
    return CameraStatus(cast("State", state), reason, now_ms)
