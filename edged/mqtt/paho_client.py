"""How a paho client is made: its version, session, user, TLS and socket options."""

from __future__ import annotations

import socket
import ssl
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.errors import BrokerTlsError
from edged.mqtt import words
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
CONNECT_TIMEOUT_S = 10.0


def new_client(settings: MqttSettings, broker: words.Broker, *, v5: bool) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if v5 else False,
        protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
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
