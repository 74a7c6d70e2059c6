"""The settings of what others may see of the gateway: its state on the site's broker, and its status. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edged import settings_checks as checks
from edged.settings_fields import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """The gateway's state as retained MQTT topics, and its entities in Home Assistant."""

    state: str = setting(
        "auto",
        "Publish it: auto (where MQTT is used anyway), always (a gateway of cameras connects too), never.",
        choices=("auto", "always", "never"),
    )
    topic: str = setting(
        "edged/{gateway}", "Topic they begin with; {gateway} is the gateway's name.", check=checks.site_topic_fault
    )
    interval_s: int = setting(
        60, "Seconds between two messages of one topic where only numbers changed.", minimum=1, maximum=86400
    )
    homeassistant: bool = setting(False, "Announce the gateway to Home Assistant (MQTT discovery).")
    homeassistant_prefix: str = setting(
        "homeassistant", "Discovery prefix, as Home Assistant's MQTT options have it.", check=checks.plain_topic_fault
    )

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find an announcement of what is never published."""
        if self.homeassistant and self.state == "never":
            yield "homeassistant", "announces topics that site.state: never does not publish; set state: auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """What `edged status` and Prometheus read."""

    socket: str = setting(
        "",
        "Control socket; empty: control.sock in the runtime directory (/run/edged).",
        check=checks.socket_path_fault,
    )
    http: str = setting(
        "",
        "Address for Prometheus on this machine, as 127.0.0.1:9555; empty: none.",
        check=checks.loopback_listen_fault,
    )
