"""The ledger of unacknowledged messages across connections."""

from __future__ import annotations

import pytest

from edged.mqtt.deliveries import Deliveries


class Broker:
    """The sent acknowledgements, and the ledger that sent them."""

    def __init__(self):
        self.acks = []
        self.ledger = Deliveries(self.acks.append)
        self.ledger.connected(session_present=False)

    def send(self, packet_id, payload=b"1", topic="t", *, repeated=False):
        return self.ledger.take(packet_id, topic, payload, repeated=repeated)

    def reconnect(self, *, session_present=True):
        self.ledger.disconnected()
        self.ledger.connected(session_present=session_present)


@pytest.fixture
def broker():
    return Broker()


def test_an_acknowledgement_goes_out_once(broker):
    ack = broker.send(1)
    ack()
    ack()
    assert broker.acks == [1]


def test_a_packet_id_may_be_used_again_after_its_acknowledgement(broker):
    broker.send(1)()
    broker.send(1)()
    assert broker.acks == [1, 1]


def test_a_repeat_of_what_is_still_held_is_not_handed_out_twice(broker):
    ack = broker.send(1)
    broker.reconnect()
    assert broker.send(1, repeated=True) is None
    ack()
    assert broker.acks == [1]


def test_an_acknowledgement_before_the_repeat_waits_for_it(broker):
    ack = broker.send(1)
    broker.reconnect()
    ack()
    assert broker.acks == []
    assert broker.send(1, repeated=True) is None
    assert broker.acks == [1]


def test_an_acknowledgement_without_a_connection_waits_for_the_repeat(broker):
    ack = broker.send(1)
    broker.ledger.disconnected()
    ack()
    broker.ledger.connected(session_present=True)
    assert broker.send(1, repeated=True) is None
    assert broker.acks == [1]


def test_a_repeat_within_one_connection_is_known_too(broker):
    ack = broker.send(1)
    assert broker.send(1, repeated=True) is None
    ack()
    assert broker.acks == [1]


@pytest.mark.parametrize("other", [{"payload": b"2"}, {"topic": "u"}])
def test_a_repeat_that_says_something_else_is_another_message(broker, other):
    old = broker.send(1)
    broker.reconnect()
    new = broker.send(1, repeated=True, **other)
    old()
    assert broker.acks == []
    new()
    assert broker.acks == [1]


def test_a_new_message_under_a_held_packet_id_is_another_message(broker):
    old = broker.send(1)
    broker.reconnect()
    new = broker.send(1)
    assert new is not None
    old()
    assert broker.acks == []


def test_a_broker_that_forgot_us_gets_no_old_acknowledgements(broker):
    old = broker.send(1)
    broker.reconnect(session_present=False)
    new = broker.send(1, repeated=True)
    old()
    assert broker.acks == []
    new()
    assert broker.acks == [1]
