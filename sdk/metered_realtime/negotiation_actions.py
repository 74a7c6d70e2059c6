"""What `negotiation` tells the shell to do, and what the shell tells it about. Values only. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metered_realtime.description import SessionFacts

# What the other side has not been told yet; `media` may include a channel.
Need = Literal["nothing", "channel", "media"]
PcState = Literal["new", "connecting", "connected", "failed", "closed"]


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """A description from the other side, with what was read from it."""

    sdp: str
    facts: SessionFacts


@dataclass(frozen=True, slots=True)
class CreateOffer:
    """Make a local offer, report `offer_created(token)` behind whatever arrived meanwhile.

    `channel_mid`: it must contain a section for data channels under this mid. `with_channel` False: it must not
    open one. `restart`: it asks for a new path (new ICE credentials), whether there is other news or not.
    """

    token: int
    channel_mid: str | None = None
    with_channel: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True)
class SendOffer:
    """Send the pending local offer."""


@dataclass(frozen=True, slots=True)
class TakeBackOffer:
    """Return the connection to stable, as if the pending local offer had not been made."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Apply this offer, answer it and report `answered`.

    `rebuild`: on a new connection. `restart`: on the present one, with new ICE credentials of ours as well.
    """

    offer: RemoteDescription
    rebuild: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """Send the last answer again."""


@dataclass(frozen=True, slots=True)
class ApplyAnswer:
    """Apply this answer to the pending offer and report `answer_applied`."""

    answer: RemoteDescription


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Replace the connection and report `rebuilt`; with the same sections if the other side may still hold its own."""

    keep_layout: bool
    layout: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the application that negotiation failed; the sentence says how it goes on."""

    sentence: str


@dataclass(frozen=True, slots=True)
class ReportExhausted:
    """Tell the application that the path did not come back in so many attempts; slower ones follow."""

    attempts: int


Action = (
    CreateOffer | SendOffer | TakeBackOffer | Answer | SendAnswer | ApplyAnswer | Rebuild | Report | ReportExhausted
)
