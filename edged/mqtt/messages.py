"""The values that pass through the door. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edged.errors import PublicationLateError


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message of the broker. `ack` may be called late, more than once, and after the connection has gone.

    `packet_id` is the broker's, 0 with QoS 0; `repeated` is its word that it may have sent the message before.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    received_ms: int
    ack: Callable[[], None]
    packet_id: int = 0
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """A message for the broker."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What only MQTT 5 can say with a publication; an older broker is not told."""

    expires_s: float | None = None
    reply_topic: str = ""
    correlation: bytes = b""

    def after(self, waited_s: float) -> Facts:
        """Return them for a publication that has waited for its turn. Raises PublicationLateError."""
        if self.expires_s is None:
            return self
        left_s = self.expires_s - waited_s
        if left_s <= 0:
            raise PublicationLateError(f"it expired after {self.expires_s:.1f} s, before its turn came")
        return replace(self, expires_s=left_s)
