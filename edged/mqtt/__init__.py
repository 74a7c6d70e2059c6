"""The door to the site's MQTT broker."""

from edged.mqtt.door import Inbound, MqttDoor

__all__ = ["Inbound", "MqttDoor"]
