"""A connection older than a day: 64 bits of time here, 32 on the wire, which wrap every 13 hours."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from aiortc.rtp import RtcpPacket, RtcpSrPacket

from metered_realtime import aiortc_sender
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from tests.sdk.media.h264_samples import annex_b, idr, pps, slice_nal, sps
from tests.sdk.wired import wired

STEP_90K = 3000
WRAP = 1 << 32
BEFORE_THE_WRAP = 12
A_DAY_90K = 24 * 3600 * 90_000


class Dice:
    """Throws the same every time: timestamps of a connection begin here."""

    def getrandbits(self, bits: int) -> int:
        return (WRAP - BEFORE_THE_WRAP * STEP_90K - A_DAY_90K) % WRAP if bits == 32 else 7

    def random(self) -> float:
        return 0.5


async def push(source: EncodedVideoSource) -> None:
    key, delta = annex_b(sps(), pps(), idr()), annex_b(slice_nal())
    for number in itertools.count():
        is_key = number % 10 == 0
        source.push(AccessUnit(key if is_key else delta, A_DAY_90K + number * STEP_90K, is_key))
        await asyncio.sleep(STEP_90K / 90_000)


async def test_a_viewer_sees_nothing_of_the_wrap_and_reports_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiortc_sender, "random", Dice())
    reports: list[RtcpSrPacket] = []
    source = EncodedVideoSource()
    async with wired() as (polite, impolite, _):
        polite.add(source)
        feeder = asyncio.create_task(push(source), name="camera")
        received = await (await impolite.track()).track.encoded()
        dtls: Any = next(each.receiver.transport for each in impolite.link.pc.getTransceivers())
        take = dtls._handle_rtcp_data

        async def heard(data: bytes) -> None:
            reports.extend(packet for packet in RtcpPacket.parse(data) if isinstance(packet, RtcpSrPacket))
            await take(data)

        dtls._handle_rtcp_data = heard
        reader = received.open_reader()
        async with asyncio.timeout(20):
            seen = [(await reader.recv()).pts for _ in range(4 * BEFORE_THE_WRAP)]
            while not reports:
                await asyncio.sleep(0.05)
        feeder.cancel()
        await asyncio.wait([feeder])
    steps = {after - before for before, after in itertools.pairwise(seen)}
    assert steps == {STEP_90K}, "one wraps in the middle of these"
    stamps = [report.sender_info.rtp_timestamp for report in reports]
    assert all(0 <= stamp < WRAP for stamp in stamps)
    assert any(stamp < WRAP // 2 for stamp in stamps), "reports have wrapped as well"
