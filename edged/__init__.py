"""The gateway daemon: cameras and MQTT sensors of a site, live in the channels of a signalling service."""

__version__ = "0.1.0"
