"""Events are frozen values with the fields of the official package, in its order."""

from __future__ import annotations

import dataclasses

import pytest

from metered_realtime import events

FIELDS = {
    "Event": "",
    "StateChange": "from_ to",
    "Connected": "peer_id server_time expires_at is_reconnect max_message_size ice_servers",
    "Disconnected": "code reason will_reconnect",
    "Message": "channel sender_peer_id data sender_metadata",
    "Direct": "sender_peer_id data sender_metadata",
    "Presence": "channel joined left",
    "ServerError": "code message request_id",
    "GoingAway": "retry_after_ms",
    "TokenProviderError": "consecutive_failures err",
    "Joined": "peer_id channel",
    "Left": "peer_id channel reason",
    "PeerJoined": "peer",
    "PeerLeft": "peer",
    "PeerLinkChange": "peer link",
    "Data": "sender_peer_id data kind sender_metadata",
    "FatalError": "err",
    "Track": "track streams metadata",
    "StreamAdded": "stream metadata",
    "StreamRemoved": "stream",
    "ConnectionReset": "",
    "DataChannelOpened": "channel",
    "CodecsAgreed": "codecs",
    "NegotiationError": "err",
    "IceCandidateError": "err",
    "DCOpen": "",
    "DCClose": "",
    "DCError": "err",
    "DCMessage": "data",
}


@pytest.mark.parametrize(("name", "fields"), FIELDS.items())
def test_event_has_its_fields_and_is_frozen(name, fields):
    kind = getattr(events, name)
    assert [field.name for field in dataclasses.fields(kind)] == fields.split()
    assert issubclass(kind, events.Event)
    event = kind(*range(len(fields.split())))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        event.anything = 1


def test_no_event_is_missing_here():
    kinds = {name for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, events.Event)}
    assert kinds == set(FIELDS)
