"""Two real peer connections and what the tests of the doors to aiortc do with them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from metered_realtime import aiortc_adapter as adapter
from metered_realtime import aiortc_offers as offers
from metered_realtime import ice_connection
from metered_realtime.aiortc_adapter import PeerConnection
from metered_realtime.ice_consent import ConsentTimings
from metered_realtime.media.source import SenderTrack

Pair = tuple[PeerConnection, PeerConnection]


def mids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"e{next(numbers)}"


def sending(pc: PeerConnection, kind: str = "video", mime_type: str | None = None) -> Any:
    return adapter.add_sender(pc, SenderTrack(kind), mime_type)


async def connected(*pcs: PeerConnection) -> None:
    async with asyncio.timeout(10):
        while any(pc.connectionState != "connected" for pc in pcs):
            await asyncio.sleep(0.01)


async def closed(pc: PeerConnection) -> None:
    """Wait until aiortc has closed the connection by itself."""
    async with asyncio.timeout(10):
        while pc.connectionState != "closed":
            await asyncio.sleep(0.01)


async def exchange(offerer: PeerConnection, answerer: PeerConnection, new_mid: Callable[[], str]) -> str:
    made = await offers.make_offer(offerer, new_mid=new_mid)
    await adapter.apply_offer(answerer, made.sdp)
    answer = await adapter.make_answer(answerer, made.sdp)
    await adapter.apply_answer(offerer, answer)
    return made.sdp


async def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def hurried_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost path is noticed after 0.4 s instead of 4.5 s."""
    timings = ConsentTimings(interval_s=0.1, retry_s=0.05, lost_s=0.4)
    monkeypatch.setattr(ice_connection, "ConsentTimings", lambda: timings)


def cut_the_path(pc: PeerConnection) -> Callable[[], None]:
    """Lose all that this side sends, over any of its sockets, from now on; returns the call that heals it."""
    assert pc.ice is not None
    transports = {each.transport for each in pc.ice._protocols}
    for transport in transports:
        transport.sendto = lambda *_: None

    def heal() -> None:
        for transport in transports:
            del transport.sendto

    return heal
