"""What there is to say of a gateway at one moment, as one plain value: for `edged status`, metrics and MQTT. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.status.board import Figure, PartStatus

FORMAT = 1
TROUBLE = frozenset({"lost", "failed"})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change while the gateway runs."""

    gateway: str
    version: str
    pid: int
    started_s: float


@dataclass(frozen=True, slots=True)
class Account:
    """What became of all messages that were ever taken in."""

    received: int
    delivered: int
    waiting: int
    dropped: Mapping[str, int]
    dropped_in_this_life: Mapping[str, int] = field(default_factory=dict)

    @property
    def dropped_count(self) -> int:
        """All that was dropped, for whatever reason."""
        return sum(self.dropped.values())

    @property
    def unexplained(self) -> int:
        """Messages that came in and are nowhere (or, below zero, went out and never came in). 0 is the promise."""
        return self.received - self.delivered - self.waiting - self.dropped_count


def account_of(figures: Mapping[str, Mapping[str, Figure]]) -> Account | None:
    """Return the account of the sensor road; None for a gateway that has none."""
    telemetry = figures.get("telemetry")
    if telemetry is None:
        return None
    received, delivered, waiting = (whole(telemetry.get(name)) for name in ("received", "delivered", "waiting"))
    life = telemetry.get("this_life")
    new = _by_reason(life.get("dropped")) if isinstance(life, Mapping) else {}
    return Account(received, delivered, waiting, _by_reason(telemetry.get("dropped")), new)


def _by_reason(figure: Figure) -> dict[str, int]:
    return {reason: whole(count) for reason, count in figure.items()} if isinstance(figure, Mapping) else {}


def whole(figure: Figure) -> int:
    """Return a count; 0 for what is none."""
    return int(figure) if isinstance(figure, int | float) else 0


def document(
    identity: Identity,
    parts: Iterable[PartStatus],
    figures: Mapping[str, Mapping[str, Figure]],
    *,
    now_s: float,
    now_ms: int,
    mask: Callable[[str], str] = str,
) -> Document:
    """Put everything together. `now_s` is on the clock of the parts; `mask` hides secrets in all words."""
    shown = [
        {
            "name": part.name,
            "state": part.state,
            "detail": mask(part.detail),
            "for_s": round(max(0.0, now_s - part.since_s), 1),
        }
        for part in parts
    ]
    account = account_of(figures)
    uptime_s = max(0.0, now_s - identity.started_s)
    return {
        "format": FORMAT,
        "gateway": identity.gateway,
        "version": identity.version,
        "pid": identity.pid,
        "time_ms": now_ms,
        # From the clock of now: at the start it may not have been set yet.
        "started_ms": now_ms - int(uptime_s * 1000),
        "uptime_s": round(uptime_s, 1),
        "trouble": troubles(shown, account),
        "parts": shown,
        "account": None if account is None else _account_value(account),
        "figures": _masked(figures, mask),
    }


def troubles(parts: Iterable[Mapping[str, Any]], account: Account | None) -> list[str]:
    """Return one phrase for everything that is not as it should be."""
    found = [f"{part['name']} {part['state']}" for part in parts if part["state"] in TROUBLE]
    if account is not None and account.unexplained:
        found.append(f"{account.unexplained} messages are unaccounted for")
    return found


def short_account(account: Account) -> str:
    """Return the account in a few words, for one line among others."""
    return (
        f"{account.delivered:,} delivered, {account.waiting:,} waiting, {account.dropped_count:,} dropped"
        if not account.unexplained
        else f"{account.unexplained:,} of {account.received:,} messages unaccounted for"
    )


def _masked(figures: Any, mask: Callable[[str], str]) -> Any:
    """Copy figures, with their words masked."""
    if isinstance(figures, Mapping):
        return {name: _masked(figure, mask) for name, figure in figures.items()}
    return mask(figures) if isinstance(figures, str) else figures


def _account_value(account: Account) -> dict[str, Any]:
    return {
        "received": account.received,
        "delivered": account.delivered,
        "waiting": account.waiting,
        "dropped": account.dropped_count,
        "dropped_by_reason": dict(account.dropped),
        "unexplained": account.unexplained,
    }
