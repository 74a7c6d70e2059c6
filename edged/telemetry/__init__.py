"""The sensor road: MQTT topics to channels, with nothing lost while the uplink is down."""
