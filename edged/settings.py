"""Every setting of the daemon: its type, its default, its one-line description.

Pure values. The file reader (`settings_file`), `config/edged.yaml`, `edged config` and the docs are all
made from these classes, so a key exists once. Values are frozen: `==` decides what a reload touches.
"""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edged import settings_checks as checks
from edged.settings_cameras import CameraSettings
from edged.settings_commands import CommandRuleSettings, CommandSettings, SenderSettings, command_channels
from edged.settings_fields import Secret, required, secrets_in, section, setting
from edged.settings_site import SiteSettings, StatusSettings
from edged.settings_telemetry import BudgetSettings, OutboxSettings, RouteSettings, TelemetrySettings

__all__ = [
    "DEFAULT_CHANNEL",
    "DEFAULT_HUB_URL",
    "BudgetSettings",
    "CameraSettings",
    "CommandRuleSettings",
    "CommandSettings",
    "GatewaySettings",
    "HubLinkSettings",
    "LogSettings",
    "MqttSettings",
    "OutboxSettings",
    "RouteSettings",
    "Secret",
    "SenderSettings",
    "Settings",
    "SiteSettings",
    "StatusSettings",
    "TelemetrySettings",
    "required",
    "secrets_in",
    "section",
    "setting",
]

DEFAULT_HUB_URL = "wss://rms.metered.ca"
DEFAULT_CHANNEL = "edged"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Who this gateway is."""

    name: str = setting(
        "",
        "Name shown to viewers and stamped on every reading; empty: the host name.",
        check=checks.optional_name_fault,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLinkSettings:
    """The signalling service that cameras and readings are sent to: the hosted one, or `edged hub`."""

    url: str = setting(
        DEFAULT_HUB_URL, "Origin of the service; ws:// is allowed on this machine only.", check=checks.hub_url_fault
    )
    key: Secret = setting(Secret(""), "Publishable key (pk_live_...); needs subscribe, publish, presence, send.")
    key_file: str = setting("", "File that holds the key, instead of `key`.", file_for="key")
    channel: str = setting(
        DEFAULT_CHANNEL, "Channel for cameras and readings that name none.", check=checks.required_channel_fault
    )
    silence_s: float = setting(
        16.0,
        "Seconds without a sign of life after which a link counts as dead; it is asked for one at a third of that.",
        minimum=3,
        maximum=300,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """The site's MQTT broker. Used with telemetry.routes, commands.rules, or site.state: always."""

    host: str = setting("127.0.0.1", "Host name or address of the broker.", check=checks.host_fault)
    port: int = setting(1883, "TCP port of the broker (8883 is usual with `tls`).", minimum=1, maximum=65535)
    username: str = setting("", "User name; empty: none.")
    password: Secret = setting(Secret(""), "Password of that user.")
    password_file: str = setting("", "File that holds the password, instead of `password`.", file_for="password")
    client_id: str = setting("", "MQTT client id; empty: edged-<gateway name>. The broker's queue hangs on it.")
    tls: bool = setting(False, "Use TLS.")
    ca_file: str = setting("", "CA certificates for TLS; empty: the system's.", is_path=True)
    keepalive_s: int = setting(30, "Seconds between pings on an idle connection.", minimum=5, maximum=3600)
    session_expiry_s: int = setting(
        86400, "Seconds the broker keeps messages for us while we are away.", minimum=0, maximum=0xFFFFFFFE
    )
    receive_maximum: int = setting(
        2000, "Messages the broker may send ahead of our acknowledgement.", minimum=1, maximum=65535
    )

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a password without a user, and a CA file that TLS would never read."""
        if self.password and not self.username:
            yield "username", "a password needs a user; give username too"
        if self.ca_file and not self.tls:
            yield "ca_file", "is read only with TLS; set tls: true, or remove it"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is written to standard error (the journal, under systemd)."""

    level: str = setting(
        "info", "Least important level that is written.", choices=("debug", "info", "warning", "error")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file."""

    gateway: GatewaySettings = section(GatewaySettings, "This gateway.")
    hub: HubLinkSettings = section(HubLinkSettings, "The signalling service.")
    mqtt: MqttSettings = section(MqttSettings, "The MQTT broker.")
    cameras: tuple[CameraSettings, ...] = setting((), "Cameras by name.", keyed_by="name")
    telemetry: TelemetrySettings = section(TelemetrySettings, "Readings from MQTT.")
    commands: CommandSettings = section(CommandSettings, "Commands from channels to MQTT; denied unless a rule allows.")
    site: SiteSettings = section(SiteSettings, "The gateway's state on the MQTT broker.")
    status: StatusSettings = section(StatusSettings, "What `edged status` and Prometheus read.")
    log: LogSettings = section(LogSettings, "Logging.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a hub without the key that cameras, routes and commands need, and a channel that grows too long."""
        for channel in command_channels(self.commands, self.hub.channel):
            if self.commands.rules and (fault := checks.channel_fault(channel)):
                yield "commands.channels", f"{fault}; name a channel for commands"
        if (self.cameras or self.telemetry.routes or self.commands.rules) and not self.hub.key:
            yield "hub.key", "is needed to reach the hub; give a publishable key (pk_live_...), or key_file"
