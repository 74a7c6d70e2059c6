"""The door to the signalling service: makes the clients and peers that the parts use, all with the same key, and turns
a refused first connection into one sentence that says which setting to change."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from typing import TYPE_CHECKING, Any

from edged.errors import EdgedError
from edged.settings import HubLinkSettings
from metered_realtime import (
    NetworkWatch,
    ReconnectOptions,
    SignallingClient,
    SignallingConnectError,
    StdlibLogger,
    WsCloseCode,
    backoff,
)

if TYPE_CHECKING:
    from metered_realtime import MeteredPeer

_REFUSED_RETRY_S = 60.0
_CROWDED_RETRY_S = 30.0
_JITTER = 0.2
_ERRNO = re.compile(r"\[Errno -?\d+\] ")
_ADVICE: dict[int, str] = {
    WsCloseCode.POLICY_VIOLATION: "refused the connection",
    WsCloseCode.INVALID_TOKEN: "refused the key",
    WsCloseCode.TOKEN_EXPIRED: "refused the key as expired",
    WsCloseCode.CHANNEL_NOT_AUTHORIZED: "does not allow this key the channel",
    WsCloseCode.OVER_CONCURRENT_LIMIT: "has as many connections as it allows",
    WsCloseCode.OVER_MESSAGE_RATE: "finds us too busy",
    WsCloseCode.ACCOUNT_SUSPENDED: "has suspended the account of this key",
    WsCloseCode.ADMIN_DISCONNECT: "was told to disconnect us",
}
_REMEDY: dict[int, str] = {
    WsCloseCode.INVALID_TOKEN: "set hub.key to a valid publishable key",
    WsCloseCode.TOKEN_EXPIRED: "set hub.key to a valid publishable key",
    WsCloseCode.CHANNEL_NOT_AUTHORIZED: "give the key rights to it, or choose another channel",
    WsCloseCode.OVER_CONCURRENT_LIMIT: "close other clients, or raise its limit",
    WsCloseCode.ACCOUNT_SUSPENDED: "set hub.key to a key of another account",
}


class HubConnectError(EdgedError):
    """The first connection to the hub failed; `retry_after_s` is set where somebody has to change a setting."""

    def __init__(self, url: str, error: SignallingConnectError) -> None:
        code = self.close_code = error.close_code
        retry_after_s = _REFUSED_RETRY_S if code in _REMEDY or 400 <= code < 500 else None
        if code == WsCloseCode.OVER_CONCURRENT_LIMIT:
            # Gateways that were turned away together do not come back together.
            retry_after_s = backoff.jittered(_CROWDED_RETRY_S, _JITTER)
        super().__init__(connect_sentence(url, code, error.close_reason), retry_after_s=retry_after_s)


def connect_sentence(url: str, code: int, reason: str) -> str:
    """Say what went wrong and what to change, for a close code or HTTP status of a first connection."""
    if code in _ADVICE:
        words = f"{code} {reason}" if reason else f"{code}"
        remedy = f": {_REMEDY[code]}" if code in _REMEDY else ""
        return f"the hub at {url} {_ADVICE[code]} ({words}){remedy}"
    if 400 <= code < 600:
        return f"{url} answered with HTTP status {code}: set hub.url to the origin of a signalling service"
    why = _ERRNO.sub("", reason) or f"the connection ended with code {code}"
    return f"no connection to the hub at {url}: {why} (is it running, and is hub.url right?)"


class _Client(SignallingClient):
    """A signalling client whose first connection fails with our sentence."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url=url, **options)
        self._hub_url = url

    async def connect(self) -> None:
        try:
            await super().connect()
        except SignallingConnectError as err:
            raise HubConnectError(self._hub_url, err) from err


class HubLink:
    """Opens clients and peers of one hub. Nothing is shared between them but the settings."""

    def __init__(self, settings: HubLinkSettings) -> None:
        self._settings = settings

    def open_client(self) -> SignallingClient:
        """Return a new client, not yet connected; once connected it reconnects for ever."""
        return _Client(self._settings.url, **self._options())

    def open_peer(self) -> MeteredPeer:
        """Return a new peer, not yet joined."""
        from edged.hub_peer import HubPeer  # noqa: PLC0415 - a gateway without cameras needs no peers

        return HubPeer(self._settings.url, **self._options())

    async def pause(self, delay_s: float) -> None:
        """Wait before another try; a change of the machine's network ends it early."""
        over = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(delay_s, over.set)
        watch = NetworkWatch(over.set)
        await watch.start()
        try:
            await over.wait()
        finally:
            timer.cancel()
            await watch.aclose()

    def _options(self) -> dict[str, Any]:
        is_debug = logging.getLogger("metered_realtime").isEnabledFor(logging.DEBUG)
        return {
            "api_key": self._settings.key.reveal(),
            "reconnect": ReconnectOptions(max_attempts=math.inf),
            "inactivity_timeout": self._settings.silence_s,
            # The parts themselves say when their link comes and goes; the SDK's own words are for the curious.
            "logger": StdlibLogger() if is_debug else None,
        }
