"""How a paho client is made: its version, session, user, TLS and socket options."""

from __future__ import annotations

import math
import socket
import ssl
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.errors import BrokerTlsError
from edged.mqtt import words
from edged.mqtt.messages import Facts, Publication
from edged.settings import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client
else:
    # paho looks for dnspython, which is here for WebRTC, to ask for SRV records, which we never do: 57 modules, 2.5 MB.
    loaded = sys.modules.get("dns.resolver")
    sys.modules["dns.resolver"] = None
    Client = import_module("paho.mqtt.client").Client
    del sys.modules["dns.resolver"]
    if loaded is not None:
        sys.modules["dns.resolver"] = loaded

MAX_PACKET_BYTES = 1024 * 1024
"""Asked of an MQTT 5 broker: it drops larger messages, which no reading could hold, instead of filling our memory."""
_PUBACK_TYPE, _PUBACK = 0x40, struct.Struct("!BBH")
CONNECT_TIMEOUT_S = 10.0


class FedClient(Client):
    """Handles the packets that it is fed, and does not read its socket: that is somebody else's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fed = b""
        self._fed_at = 0
        self._fed_end: Exception | None = None

    def feed(self, packet: bytes) -> None:
        """Handle one whole packet. Raises whatever a malformed packet leads it to."""
        self._fed, self._fed_at = packet, 0
        self.loop_read()

    def feed_end(self, error: Exception | None) -> None:
        """Nothing more will come, and why: None where the broker closed the connection."""
        self._fed_end = error or ConnectionResetError("closed by the broker")
        self.loop_read()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Write the acknowledgements of messages with QoS 1 in one piece."""
        packets = b"".join(_PUBACK.pack(_PUBACK_TYPE, 2, packet_id) for packet_id in packet_ids)
        self._packet_queue(_PUBACK_TYPE, packets, 0, 1)
        self.loop_write()

    def _create_socket_connection(self) -> socket.socket:
        # A name as text loads the tables of international names: a megabyte.
        host: Any = self._host.encode() if self._host.isascii() else self._host
        return socket.create_connection((host, self._port), timeout=self._connect_timeout)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._fed_end is not None:
            raise self._fed_end
        begin = self._fed_at
        if begin >= len(self._fed):
            raise BlockingIOError
        self._fed_at = begin + bufsize
        return self._fed[begin : begin + bufsize]


def new_client(settings: MqttSettings, broker: words.Broker, *, v5: bool, will: Publication | None = None) -> FedClient:
    client = FedClient(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if v5 else False,
        protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    if will is not None:
        client.will_set(will.topic, will.payload, will.qos, will.retain)
    if settings.username:
        client.username_pw_set(settings.username, settings.password.reveal() or None)
    if settings.tls:
        try:
            context = ssl.create_default_context(cafile=settings.ca_file or None)
        except (OSError, ValueError) as error:
            raise BrokerTlsError(f"mqtt.ca_file {settings.ca_file} holds no certificates we can read") from error
        context.sslsocket_class = _TlsSocket
        client.tls_set_context(context)
    return client


def session(settings: MqttSettings, *, v5: bool) -> dict[str, Any]:
    """Return the arguments of CONNECT by which an MQTT 5 broker keeps our session and our pace."""
    if not v5:
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_s
    properties.ReceiveMaximum = settings.receive_maximum
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return {"clean_start": False, "properties": properties}


def publish_properties(facts: Facts) -> Properties | None:
    """Return what only MQTT 5 can say with a publication."""
    if facts == Facts():
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if facts.expires_s is not None:
        # Whole seconds only, and 0 would mean at once.
        properties.MessageExpiryInterval = max(1, math.ceil(facts.expires_s))
    if facts.reply_topic:
        properties.ResponseTopic = facts.reply_topic
    if facts.correlation:
        properties.CorrelationData = facts.correlation
    return properties


def tune(sock: Any, keepalive_s: int) -> None:
    """Small packets at once, and a link that swallows everything noticed by the kernel too."""
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(keepalive_s * 1500))


class _TlsSocket(ssl.SSLSocket):
    """paho leaves a socket open when its handshake fails, and waits for one as long as for a ping."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(CONNECT_TIMEOUT_S)
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise
