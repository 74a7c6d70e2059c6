"""What can go wrong between us and the broker, as typed errors whose sentence says what to change."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from edged.errors import (
    BrokerLostError,
    BrokerProtocolError,
    BrokerRefusedError,
    BrokerTlsError,
    BrokerUnreachableError,
    MqttError,
)

# Reason codes of MQTT 5 (section 2.4); paho translates those of 3.1.1 into them.
_BAD_PROTOCOL_VERSION = 0x84
_BAD_CLIENT_ID = 0x85
_BAD_USER = frozenset({0x86, 0x87, 0x8A, 0x8C})
_TAKEN_OVER = 0x8E
_PROTOCOL_FAULTS = frozenset({0x81, 0x82, 0x94, 0x95})
_KEEP_ALIVE = 0x8D


class OldBrokerError(BrokerProtocolError):
    """The broker does not know MQTT 5; 3.1.1 has to be tried."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Who we speak to, for sentences."""

    host: str
    port: int
    username: str
    client_id: str
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the MQTT broker at {host}:{self.port}"


def not_connected(broker: Broker, error: BaseException) -> MqttError:
    """The error of an attempt to connect that raised `error`."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # Facts that only some TLS errors carry.
    detail = getattr(error, "verify_message", None) or getattr(error, "reason", None) or why
    match error:
        case ConnectionRefusedError():
            return BrokerUnreachableError(
                f"{broker} refused the connection: is mosquitto running? set mqtt.host and mqtt.port"
            )
        case socket.gaierror():
            return BrokerUnreachableError(f"the MQTT broker's name {broker.host!r} is not known ({why}): set mqtt.host")
        case ssl.SSLCertVerificationError():
            return BrokerTlsError(
                f"the certificate of {broker} is not trusted ({detail}): set mqtt.ca_file, or the host "
                "name that the certificate is for"
            )
        case ssl.SSLError():
            return BrokerTlsError(
                f"TLS with {broker} failed ({detail}): set mqtt.port to its TLS port, or mqtt.tls to false"
            )
        case ConnectionError() if broker.tls:
            return BrokerTlsError(
                f"{broker} hung up when it was asked for TLS: set mqtt.port to its TLS port, or mqtt.tls to false"
            )
        case TimeoutError():
            return BrokerUnreachableError(
                f"{broker} does not answer: set mqtt.host and mqtt.port, or let us through its firewall"
            )
        case _:
            return BrokerUnreachableError(f"{broker} cannot be reached ({why}): set mqtt.host and mqtt.port")


def refused(broker: Broker, code: int, name: str) -> MqttError:
    """The error for a CONNACK with a failure code."""
    if code == _BAD_PROTOCOL_VERSION:
        return OldBrokerError(f"{broker} does not speak this version of MQTT")
    if code in _BAD_USER:
        who = f"refuses user {broker.username!r}" if broker.username else "admits nobody without a user name"
        return BrokerRefusedError(f"{broker} {who} ({name}): set mqtt.username and mqtt.password_file")
    if code == _BAD_CLIENT_ID:
        return BrokerRefusedError(f"{broker} refuses the client id {broker.client_id!r}: set mqtt.client_id")
    return BrokerLostError(f"{broker} does not take us now ({name})", retry_after_s=10.0)


def ended(broker: Broker, code: int, name: str, *, answered: bool) -> MqttError:
    """The error for a connection that ended with a reason code; `answered`: the broker had accepted us."""
    if code == _TAKEN_OVER:
        return BrokerLostError(
            f"another client of {broker} uses our client id {broker.client_id!r}: set mqtt.client_id to one of its own",
            retry_after_s=10.0,
        )
    if code == _KEEP_ALIVE:
        if not answered:
            return no_answer(broker)
        return BrokerLostError(f"{broker} has stopped answering")
    if code in _PROTOCOL_FAULTS:
        return BrokerProtocolError(f"{broker} and we do not understand each other ({name}): is mqtt.port right?")
    if not answered:
        return BrokerProtocolError(f"{broker} closed the connection at once: set mqtt.port, and mqtt.tls as it needs")
    # Brokers rarely say that they gave our session to somebody else.
    return BrokerLostError(
        f"{broker} ended the connection; if that repeats, another client uses our client id {broker.client_id!r}: set "
        "mqtt.client_id"
    )


def no_answer(broker: Broker) -> MqttError:
    """The error for a connection on which no CONNACK comes."""
    return BrokerProtocolError(f"what listens at {broker.host}:{broker.port} does not speak MQTT: set mqtt.port")
