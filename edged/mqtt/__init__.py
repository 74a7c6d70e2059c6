"""The door to the site's MQTT broker."""

from edged.mqtt.door import MqttDoor
from edged.mqtt.messages import Inbound, Publication

__all__ = ["Inbound", "MqttDoor", "Publication"]
