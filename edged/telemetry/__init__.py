"""The sensor road: MQTT topics to channels, with nothing lost while the uplink is down."""

from edged.telemetry.telemetry import Telemetry

__all__ = ["Telemetry"]
