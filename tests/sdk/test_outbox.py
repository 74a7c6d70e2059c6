"""Envelopes that leave in order, and word of those that do not."""

from __future__ import annotations

import asyncio
from typing import Any

from metered_realtime.errors import DisconnectedError
from metered_realtime.frames import Description, IceCandidate
from metered_realtime.logger import NoopLogger
from metered_realtime.outbox import MAX_UNDER_WAY, SignalOutbox


async def test_envelopes_leave_in_the_order_they_were_posted_without_waiting_for_each_other() -> None:
    sent: list[Any] = []
    acknowledged = asyncio.Event()

    async def send(peer_id: str, data: Any) -> None:
        sent.append((peer_id, data["type"]))
        await acknowledged.wait()

    outbox = SignalOutbox(send, NoopLogger())
    outbox.post("a", Description("offer", "v=0"), lambda: None)
    outbox.post("a", IceCandidate(None), lambda: None)
    await asyncio.sleep(0)
    assert sent == [("a", "rtc-description"), ("a", "rtc-ice")]
    await outbox.aclose()


async def test_whoever_posted_hears_that_it_was_not_taken() -> None:
    lost = asyncio.Event()

    async def send(peer_id: str, data: Any) -> None:
        raise DisconnectedError("gone")

    outbox = SignalOutbox(send, NoopLogger())
    outbox.post("a", IceCandidate(None), lost.set)
    async with asyncio.timeout(5):
        await lost.wait()
    await outbox.aclose()


async def test_too_many_under_way_are_refused_and_counted() -> None:
    async def send(peer_id: str, data: Any) -> None:
        await asyncio.Event().wait()

    outbox, lost = SignalOutbox(send, NoopLogger()), []
    for _ in range(MAX_UNDER_WAY + 2):
        outbox.post("a", IceCandidate(None), lambda: lost.append(True))
    assert (len(lost), outbox.refused) == (2, 2)
    await outbox.aclose()
