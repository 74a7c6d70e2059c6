"""What the gateway is called where the settings do not say it. Pure."""

from __future__ import annotations

from edged.settings import Settings
from edged.settings_checks import name_fault


def gateway_name(settings: Settings, host_name: str) -> str:
    """Return the gateway's name: the one that is set, else the host's if it can be a name."""
    if settings.gateway.name:
        return settings.gateway.name
    return host_name if not name_fault(host_name) else "gateway"
