"""What an answer of the hub to a message means for the readings in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from metered_realtime import DisconnectedError, NotConnectedError, OversizedPayloadError, ServerRequestError


@dataclass(frozen=True, slots=True)
class Again:
    """The link failed; send again over the next one. `end_link`: nobody has noticed yet that it is dead."""

    end_link: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """The hub answers but takes nothing now: one message is tried after growing delays."""

    reason: str
    sentence: str
    first_s: float = 0.5
    longest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Never:
    """These readings will never be taken; they are dropped under `reason`, so that other channels go on."""

    reason: str
    sentence: str


Verdict = Again | Hold | Never

_HOLDS = {
    "over_message_quota": Hold(
        "over_message_quota", "the hub's message quota is used up; readings wait", first_s=60.0, longest_s=900.0
    ),
    # The key may publish nowhere, so holding stops nobody else, and nothing is lost once the key is changed.
    "action_not_permitted": Hold(
        "action_not_permitted",
        "the hub's key may not publish; give it the permission `publish`, or set hub.key; readings wait",
        first_s=60.0,
        longest_s=60.0,
    ),
}
_NEVERS = {
    "channel_not_authorized": "the hub's key is not allowed in channel {channel!r}; change the route or the key",
    "channel_reserved": "channel {channel!r} is reserved by the hub; change the route's channel",
    "invalid_channel": "the hub does not accept {channel!r} as a channel name; change the route's channel",
    "channel_limit_exceeded": "the hub allows no further channel; let routes share channels instead of {channel!r}",
    "missing_data": "the hub finds no data in a message to {channel!r}",
    "malformed_message": "the hub cannot read a message to {channel!r}",
}


def judge(error: Exception, channel: str) -> Verdict:
    """Say what to do about a message whose publish raised `error`."""
    if isinstance(error, DisconnectedError | NotConnectedError):
        return Again(end_link=False)
    if isinstance(error, ServerRequestError):
        if error.code in _HOLDS:
            return _HOLDS[error.code]
        if error.code in _NEVERS:
            return Never(error.code, _NEVERS[error.code].format(channel=channel) + "; its readings are dropped")
        return Hold(error.code, f"the hub answers {error.code}; readings wait")
    if isinstance(error, OversizedPayloadError):
        return Never(
            "too_large", f"a message to {channel!r} is too large for the hub: {error}; its readings are dropped"
        )
    if isinstance(error, ValueError | TypeError):
        return Never("unsendable", f"a message to {channel!r} cannot be sent: {error}; its readings are dropped")
    return Again(end_link=True)
