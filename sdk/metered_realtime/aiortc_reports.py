"""Sender reports (RFC 3550 section 6.4.1) that say when things were taken; aiortc's, one a second, say when they were
sent, which pulls lips and voice apart.

With `aiortc_sender`, part of the door to aiortc's private names; `tests/sdk/test_aiortc_reports.py` is the contract.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what this file is for
import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from aiortc.rtp import RtcpByePacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSourceInfo, RtcpSrPacket

from metered_realtime.media.source import SenderTrack
from metered_realtime.report_relation import UNKNOWN_INTERVAL_S, ReportRelation

_NTP_EPOCH_S = 2_208_988_800
_NTP_BITS = (1 << 64) - 1
# The clock of a small board is set once it has found the network, perhaps in mid-stream: all streams keep to one.
# NTP steers the speed of both clocks alike, so nothing drifts; what the time of day itself is no receiver needs.
_WALL_AHEAD_S = time.time() - time.monotonic()


def ntp_time(now_s: float) -> int:
    """Return a moment of `time.monotonic()` as reports write it: 32.32 fixed point, which wraps in 2036."""
    return int((now_s + _WALL_AHEAD_S + _NTP_EPOCH_S) * (1 << 32)) & _NTP_BITS


def report_frames(sender: Any, track: SenderTrack) -> None:
    """Let `sender`, which takes frames or packets from `track` by aiortc's own road, report so. Before it starts."""
    _Frames(sender, track).install()


async def send_reports(sender: Any, relation: Callable[[], ReportRelation | None]) -> None:
    """Stand in for `_run_rtcp`: reports until cancelled, then a goodbye."""
    sender._RTCRtpSender__rtcp_started.set()
    try:
        while True:
            known = relation()
            wait_s = UNKNOWN_INTERVAL_S if known is None else known.wait_s()
            await asyncio.sleep(wait_s * (0.75 + random.random() / 2))
            known = relation()
            now_s = asyncio.get_running_loop().time()
            rtp = None if known is None else known.rtp_at(now_s)
            if rtp is not None:
                await _send(sender, rtp, now_s)
    except asyncio.CancelledError:
        await sender._send_rtcp([RtcpByePacket(sources=[sender._ssrc])])
    finally:
        sender._RTCRtpSender__rtcp_exited.set()


async def _send(sender: Any, rtp: int, now_s: float) -> None:
    ntp = ntp_time(now_s)
    sender._RTCRtpSender__lsr = (ntp >> 16) & 0xFFFFFFFF
    sender._RTCRtpSender__lsr_time = time.time()
    info = RtcpSenderInfo(
        ntp_timestamp=ntp,
        rtp_timestamp=rtp,
        packet_count=sender._RTCRtpSender__packet_count & 0xFFFFFFFF,
        octet_count=sender._RTCRtpSender__octet_count & 0xFFFFFFFF,
    )
    source = RtcpSourceInfo(ssrc=sender._ssrc, items=[(1, (sender._RTCRtpSender__cname or "").encode())])
    await sender._send_rtcp([RtcpSrPacket(ssrc=sender._ssrc, sender_info=info), RtcpSdesPacket(chunks=[source])])


class _Frames:
    """Looks on as one RTCRtpSender takes frame after frame."""

    def __init__(self, sender: Any, track: SenderTrack) -> None:
        self._sender = sender
        self._track = track
        self._next_frame = sender._next_encoded_frame
        self._relation: ReportRelation | None = None
        self._given_s: float | None = None

    def install(self) -> None:
        self._sender._next_encoded_frame = self._next
        self._sender._run_rtcp = self._report

    async def _next(self, codec: Any) -> Any:
        if self._relation is None:
            self._relation = ReportRelation(codec.clockRate)
        if self._given_s is not None:
            # Whoever asks for the next one has sent the one before, and noted its timestamp.
            self._relation.note(self._sender._RTCRtpSender__rtp_timestamp, self._given_s)
        self._given_s = None
        frame = await self._next_frame(codec)
        if frame is not None:
            taken_s = self._track.taken_s
            self._given_s = asyncio.get_running_loop().time() if taken_s is None else taken_s
        return frame

    async def _report(self) -> None:
        await send_reports(self._sender, lambda: self._relation)
