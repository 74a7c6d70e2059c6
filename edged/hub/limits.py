"""How much one client may ask for: a budget that refills with time. Pure; the time is an argument."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


class Budget:
    """Allows `per_s` in the long run and `burst` at once."""

    __slots__ = ("_burst", "_left", "_per_s", "_updated_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._updated_s = now_s

    def spend(self, now_s: float) -> bool:
        """Take one; False where none is left."""
        self._left = min(self._burst, self._left + (now_s - self._updated_s) * self._per_s)
        self._updated_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class AttemptLimit:
    """New connections per address: 60 in 60 s, for example. The address seen longest ago is forgotten first."""

    def __init__(self, per_minute: int, *, max_addresses: int = 10_000) -> None:
        self._per_minute = per_minute
        self._max_addresses = max_addresses
        self._budgets: dict[str, Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    def allows(self, address: str, now_s: float) -> bool:
        """Count an attempt; False where the address has made too many. This machine is never refused."""
        if not self._per_minute:
            return True
        key = _network(address)
        if key is None:
            return True
        budget = self._budgets.pop(key, None) or Budget(self._per_minute / 60, self._per_minute, now_s)
        self._budgets[key] = budget
        if len(self._budgets) > self._max_addresses:
            del self._budgets[next(iter(self._budgets))]
        return budget.spend(now_s)


def _network(address: str) -> str | None:
    """Return what counts as one client: an IPv4 address or an IPv6 /64; None for this machine."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return None if parsed.is_loopback else str(int(parsed) >> 64)
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else str(parsed)
