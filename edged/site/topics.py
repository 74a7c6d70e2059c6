"""The topics of the gateway's state, and names made fit for a topic or an id. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

from edged.settings import SiteSettings

_NOT_IN_SEGMENT = re.compile(r"[^A-Za-z0-9._-]")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")
_MAX_SEGMENT = 64


def segment(name: str) -> str:
    """Return a name as one level of a topic; two names never become the same."""
    return _fit(name, _NOT_IN_SEGMENT)


def object_id(name: str) -> str:
    """Return a name as Home Assistant takes it in a topic; two names never become the same."""
    return _fit(name, _NOT_IN_ID)


def _fit(name: str, forbidden: re.Pattern[str]) -> str:
    fit = forbidden.sub("_", name)[:_MAX_SEGMENT]
    return fit if fit == name and fit else f"{fit}-{crc32(name.encode('utf-8', 'surrogatepass')):08x}"


def node_id(gateway: str) -> str:
    """Return the gateway's name among those of all of Home Assistant."""
    return object_id(f"edged_{gateway}")


def own_filters(settings: SiteSettings, gateway: str) -> tuple[str, ...]:
    """Return filters for all that the gateway may publish of itself, now or with other settings: no sensor's words."""
    base = Topics.of(settings.topic, gateway).base
    return f"{base}/#", f"{settings.homeassistant_prefix}/+/{node_id(gateway)}/+/config"


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one gateway; they begin with `base`."""

    base: str

    @classmethod
    def of(cls, template: str, gateway: str) -> Topics:
        """Fill the gateway's name in."""
        return cls(template.replace("{gateway}", segment(gateway)))

    @property
    def state(self) -> str:
        """Online or offline, the one that is the will."""
        return f"{self.base}/state"

    @property
    def info(self) -> str:
        """Version, start, parts."""
        return f"{self.base}/info"

    @property
    def outbox(self) -> str:
        """What waits for the hub, and the account."""
        return f"{self.base}/outbox"

    @property
    def uplink(self) -> str:
        """The way to the hub."""
        return f"{self.base}/uplink"

    def camera(self, name: str) -> str:
        """One camera."""
        return f"{self.base}/camera/{segment(name)}"

    def route(self, name: str) -> str:
        """One route."""
        return f"{self.base}/route/{segment(name)}"
