"""How a paho client is made; its life on a real broker is in test_connection and test_door."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from edged.errors import BrokerTlsError
from edged.mqtt import paho_client
from edged.mqtt.words import Broker
from edged.settings import MqttSettings, Secret

BROKER = Broker(host="127.0.0.1", port=1883, client_id="edged-farm", username="")


def test_the_client_acknowledges_by_hand_and_never_reconnects_by_itself():
    client = paho_client.new_client(MqttSettings(), BROKER, v5=True)
    assert client._manual_ack is True
    assert client._reconnect_on_failure is False
    assert client.protocol == MQTTProtocolVersion.MQTTv5


def test_an_older_broker_keeps_the_session_too():
    client = paho_client.new_client(MqttSettings(), BROKER, v5=False)
    assert client.protocol == MQTTProtocolVersion.MQTTv311
    assert client._clean_session is False
    assert paho_client.session(MqttSettings(), v5=False) == {}


def test_user_and_password_are_those_of_the_settings():
    settings = MqttSettings(username="farmer", password=Secret("hush"))
    client = paho_client.new_client(settings, BROKER, v5=True)
    assert (client.username, client.password) == ("farmer", "hush")


def test_the_broker_is_asked_to_keep_our_session_and_our_pace():
    settings = MqttSettings(session_expiry_s=600, receive_maximum=20)
    connect = paho_client.session(settings, v5=True)
    properties = connect["properties"]
    assert connect["clean_start"] is False
    assert (properties.SessionExpiryInterval, properties.ReceiveMaximum) == (600, 20)
    assert properties.MaximumPacketSize == paho_client.MAX_PACKET_BYTES


def test_a_file_without_certificates_is_named(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("not a certificate")
    with pytest.raises(BrokerTlsError, match=r"ca\.pem"):
        paho_client.new_client(MqttSettings(tls=True, ca_file=str(path)), BROKER, v5=True)


def test_a_link_that_swallows_everything_is_noticed_by_the_kernel():
    with socket.socket() as sock:
        paho_client.tune(sock, keepalive_s=30)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 45_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize("first", ["", "import dns.resolver; "])
def test_dnspython_is_neither_loaded_nor_lost(first):
    program = first + (
        "import sys; before = sys.modules.get('dns.resolver'); import edged.mqtt.paho_client; "
        "assert sys.modules.get('dns.resolver') is before; import dns.resolver"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
