"""Sentences about the broker: what is wrong, where, and what to change."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from edged.errors import (
    BrokerLostError,
    BrokerProtocolError,
    BrokerRefusedError,
    BrokerTlsError,
    BrokerUnreachableError,
)
from edged.mqtt.words import Broker, OldBrokerError, ended, no_answer, not_connected, refused

BROKER = Broker("127.0.0.1", 1883, "farm", "edged-farm-1")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            BrokerUnreachableError,
            "127.0.0.1:1883 refused the connection: is mosquitto running? set mqtt.host and mqtt.port",
        ),
        (socket.gaierror(-2, "Name or service not known"), BrokerUnreachableError, "set mqtt.host"),
        (TimeoutError("timed out"), BrokerUnreachableError, "does not answer"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), BrokerUnreachableError, "Network is unreachable"),
        (UnicodeError("label too long"), BrokerUnreachableError, "label too long"),
        (ssl.SSLCertVerificationError(1, "self-signed"), BrokerTlsError, "mqtt.ca_file"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), BrokerTlsError, "mqtt.tls"),
    ],
)
def test_failed_connection(error, kind, words):
    told = not_connected(BROKER, error)
    assert type(told) is kind
    assert words in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (0x84, OldBrokerError, "version"),
        (0x85, BrokerRefusedError, "mqtt.client_id"),
        (0x86, BrokerRefusedError, "'farm'"),
        (0x87, BrokerRefusedError, "mqtt.password_file"),
        (0x88, BrokerLostError, "Server unavailable"),
    ],
)
def test_refusal(code, kind, words):
    told = refused(BROKER, code, "Server unavailable")
    assert type(told) is kind
    assert words in str(told)


def test_a_broker_that_hangs_up_on_tls_is_a_matter_of_tls():
    broker = Broker("h", 1, "", "c", tls=True)
    assert isinstance(not_connected(broker, ConnectionResetError("reset")), BrokerTlsError)
    assert isinstance(not_connected(broker, ConnectionRefusedError("refused")), BrokerUnreachableError)


def test_refusal_without_a_user_says_that_one_is_needed():
    assert "without a user name" in str(refused(Broker("h", 1, "", "c"), 0x87, "Not authorized"))


@pytest.mark.parametrize(
    ("code", "answered", "kind", "words"),
    [
        (0x80, True, BrokerLostError, "ended the connection"),
        (0x80, False, BrokerProtocolError, "mqtt.tls"),
        (0x8E, True, BrokerLostError, "mqtt.client_id"),
        (0x8D, True, BrokerLostError, "stopped answering"),
        (0x8D, False, BrokerProtocolError, "does not speak MQTT"),
        (0x82, True, BrokerProtocolError, "do not understand"),
    ],
)
def test_end_of_a_connection(code, answered, kind, words):
    told = ended(BROKER, code, "Protocol error", answered=answered)
    assert type(told) is kind
    assert words in str(told)


def test_silence():
    assert "does not speak MQTT" in str(no_answer(BROKER))


def test_an_ipv6_address_is_bracketed():
    assert str(Broker("::1", 1883, "", "c")) == "the MQTT broker at [::1]:1883"
