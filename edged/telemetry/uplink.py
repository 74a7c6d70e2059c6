"""One life of the link to the hub: open a client, serve it to the forwarder, end with the reason why it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from edged.errors import EdgedError, UplinkLostError
from edged.telemetry.forward import Forwarder, Link
from metered_realtime import Connected, Disconnected, MeteredRealtimeError, WsCloseCode, backoff

_MEND_BY_HAND_S = 60.0
_JITTER = 0.2
_REASONS: dict[int, tuple[str, float | None]] = {
    4001: ("the hub refuses the key; set hub.key", _MEND_BY_HAND_S),
    4002: ("the hub's token has expired", None),
    4003: ("the hub's key is not allowed in a channel of ours; set hub.channel or hub.key", _MEND_BY_HAND_S),
    4010: ("the hub has too many connections with this key", 30.0),
    4011: ("the hub says that we send too fast", None),
    4012: ("the hub's account is suspended", _MEND_BY_HAND_S),
    4020: ("an administrator of the hub disconnected us", _MEND_BY_HAND_S),
}


class Uplink(Protocol):
    """What is used of `SignallingClient`."""

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, channel: str, data: Any, *, timeout: float | None = None) -> None: ...

    def on(self, _event_type: Any, _handler: Any, /) -> Any: ...


async def run_uplink(open_client: Callable[[], Uplink], forwarder: Forwarder, up: Callable[[str], None]) -> None:
    """Connect and stay until the link ends, which is raised as an UplinkLostError.

    The client's own reconnecting is not used: its life ends with the connection, so that there is one retry loop.
    """
    client = open_client()
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(error: UplinkLostError) -> None:
        if not lost.done():
            lost.set_exception(error)

    def connected(event: Connected) -> None:
        forwarder.link_up(Link(client.publish, event.max_message_size, fail))

    def disconnected(event: Disconnected) -> None:
        forwarder.link_down()
        fail(_lost(event.code, event.reason))

    client.on(Connected, connected)
    client.on(Disconnected, disconnected)
    try:
        await client.connect()
        up("readings go to the hub")
        await lost
    except (MeteredRealtimeError, EdgedError) as error:
        too_fast = getattr(error, "close_code", None) == WsCloseCode.OVER_MESSAGE_RATE
        forwarder.link_ended(str(error), too_fast=too_fast)
        raise
    finally:
        forwarder.link_down()
        lost.cancel()
        await client.close()


def _lost(code: int, reason: str) -> UplinkLostError:
    sentence, retry_after_s = _REASONS.get(code, ("the connection to the hub ended", None))
    said = f"{code}: {reason}" if reason else str(code)
    # Gateways that were turned away together do not come back together.
    retry_after_s = None if retry_after_s is None else backoff.jittered(retry_after_s, _JITTER)
    return UplinkLostError(f"{sentence} ({said})", retry_after_s=retry_after_s, close_code=code)
