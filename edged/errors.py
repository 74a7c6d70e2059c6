"""Errors of the daemon, typed by what the caller should do. They carry plain values; this module imports nothing.

EdgedError                       retry_after_s: wait at least this long before trying again
├── MqttError
│   ├── BrokerUnreachableError   nothing answers at that address
│   ├── BrokerRefusedError       the broker answered and refused us (user, password, client id, rights)
│   ├── BrokerTlsError           TLS could not be agreed on
│   ├── BrokerProtocolError      what answers does not speak MQTT as we do
│   ├── BrokerLostError          a working connection ended
│   ├── BrokerNotConnectedError  a publish while there is no connection
│   ├── NoReplyError             a request that nobody answered in time
│   └── PublicationLateError     a publish whose time was over before its turn came
├── StoreError                   the outbox file: try again later
│   └── StoreCorruptError        the outbox file: set it aside
└── UplinkLostError              the signalling client ended and will not come back by itself
"""

from __future__ import annotations


class EdgedError(Exception):
    """Base of every error the daemon expects. `str()` is one sentence for an operator."""

    retry_after_s: float | None = None

    def __init__(self, sentence: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class MqttError(EdgedError):
    """Something failed between us and the MQTT broker."""


class BrokerUnreachableError(MqttError):
    """No connection could be made: wrong address, or the broker does not run."""


class BrokerRefusedError(MqttError):
    """The broker refuses this client; somebody has to change a setting, so retries are slow."""

    retry_after_s = 60.0


class BrokerTlsError(MqttError):
    """The TLS handshake failed; somebody has to change a setting or a certificate, so retries are slow."""

    retry_after_s = 60.0


class BrokerProtocolError(MqttError):
    """The other side does not speak MQTT, or broke its rules."""

    retry_after_s = 10.0


class BrokerLostError(MqttError):
    """A connection that worked has ended."""


class BrokerNotConnectedError(MqttError):
    """There is no connection to publish on; nothing is queued."""


class NoReplyError(MqttError):
    """Nobody answered a request in time; whether it was carried out is not known."""


class PublicationLateError(MqttError):
    """What was to be published has expired before its turn came; it was not published."""


class StoreError(EdgedError):
    """The outbox file cannot be read or written at the moment."""


class StoreCorruptError(StoreError):
    """The outbox file is damaged or not ours."""


class UplinkLostError(EdgedError):
    """The link to the signalling service ended and the client will not reconnect; `close_code` is its own, or 0."""

    def __init__(self, sentence: str, *, retry_after_s: float | None = None, close_code: int = 0) -> None:
        super().__init__(sentence, retry_after_s=retry_after_s)
        self.close_code = close_code
