"""Sends encoded pictures past aiortc's sender, which packs, numbers and encrypts them for every viewer anew.

Fills these gaps of aiortc's RTCRtpSender (measured in whole processes, they are three quarters of what a viewer costs):
one packetisation for all viewers, no object per packet, one system call per burst, a NACK history that holds a key
frame, PLI answered. Negotiation, DTLS, RTCP reports and statistics stay aiortc's. With `aiortc_adapter`, part of the
door to aiortc's private names; `tests/sdk/test_aiortc_sender.py` is the contract.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what this file is for
import asyncio
import itertools
import logging
import random
import time
from typing import Any

import av
from aiortc.codecs import get_encoder
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpByePacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSourceInfo, RtcpSrPacket

from metered_realtime.media.encoded_reader import SharedUnit
from metered_realtime.media.h264_packets import packetize
from metered_realtime.media.rtp_image import PacketFormat, build_images
from metered_realtime.media.source import SenderTrack
from metered_realtime.picture_sender import PictureSender, RtxFormat

_log = logging.getLogger(__name__)

# Sound and picture are brought together by the first two; later ones follow the drift of clocks.
FIRST_REPORTS_S = (0.5, 1.0)
REPORT_INTERVAL_S = 4.0

_NTP_EPOCH_S = 2_208_988_800
_GCM = b"SRTP_AEAD_AES"


def send_pictures(sender: Any, track: SenderTrack) -> None:
    """Let `sender`, which may send H.264 only, take the pictures of `track` this way. Before it is started."""
    _PictureRtp(sender, track).install()


def sends_pictures(sender: Any) -> bool:
    """Tell whether `sender` takes its pictures this way."""
    return isinstance(getattr(sender._run_rtp, "__self__", None), _PictureRtp)


def _ntp_time(unix_s: float) -> int:
    """Return a time of day as 32.32 fixed point (RFC 3550 section 4)."""
    return int((unix_s + _NTP_EPOCH_S) * (1 << 32))


def _send_time_24() -> int:
    """Return the time of day as abs-send-time: seconds modulo 64, in 6.18 fixed point."""
    return int(time.time() * (1 << 18)) & 0xFFFFFF


class _PictureRtp:
    """Stands in for the parts of one RTCRtpSender that put packets on the wire."""

    def __init__(self, sender: Any, track: SenderTrack) -> None:
        self._sender = sender
        self._track = track
        self._origin = random.getrandbits(32)
        self._wants_key = False
        self._encoder: Any = None
        self._format: PacketFormat | None = None
        self._pictures: PictureSender | None = None
        self._synced = (0, 0)

    def install(self) -> None:
        self._sender._run_rtp = self._run
        self._sender._run_rtcp = self._report
        self._sender.getStats = self._get_stats
        self._sender._retransmit = self._resend
        self._sender._send_keyframe = self._send_key_frame

    async def _run(self, codec: Any) -> None:
        sender = self._sender
        sender._RTCRtpSender__rtp_started.set()
        try:
            self._open(codec)
            while True:
                item = await self._track.feed(self._take)
                await self._send_item(codec, item)
        except (asyncio.CancelledError, ConnectionError, MediaStreamError):
            pass
        finally:
            if self._pictures is not None:
                self._pictures.stop()
            self._track.stop()
            sender._RTCRtpSender__rtp_exited.set()

    def _open(self, codec: Any) -> None:
        sender, dtls = self._sender, self._sender.transport
        extensions = sender._RTCRtpSender__rtp_header_extensions_map._HeaderExtensionsMap__ids
        is_gcm = dtls._ssl.get_selected_srtp_profile().startswith(_GCM)
        self._format = PacketFormat(codec.payloadType, extensions.abs_send_time, 16 if is_gcm else 10)
        rtx = sender._RTCRtpSender__rtx_payload_type
        self._pictures = PictureSender(
            dtls._tx_srtp,
            dtls.transport._connection.outlet,
            ssrc=sender._ssrc,
            # Below half, so that a loss at the very start cannot hide a wrap from SRTP (RFC 3711 section 3.3.1).
            first_sequence=random.getrandbits(15),
            rtx=RtxFormat(rtx, sender._rtx_ssrc, random.getrandbits(15)) if rtx is not None else None,
            on_dropped=self._track.lagged,
        )

    def _take(self, unit: SharedUnit, ticks: int, is_live: bool) -> None:
        """Send one picture of a shared source."""
        assert self._pictures is not None
        assert self._format is not None
        assert unit.packed is not None
        images = unit.packed.images(self._format, _send_time_24)
        is_timed = not is_live and self._format.send_time_id is not None
        self._send(images, ticks, is_key=unit.is_key, send_time=_send_time_24().to_bytes(3) if is_timed else None)

    async def _send_item(self, codec: Any, item: Any) -> None:
        """Send a packet, or a frame encoded for this viewer alone."""
        assert self._format is not None
        if isinstance(item, av.Packet):
            payloads, ticks, is_key = packetize(bytes(item)), item.pts or 0, bool(item.is_keyframe)
        else:
            if self._encoder is None:
                self._encoder = get_encoder(codec)
            is_key, self._wants_key = self._wants_key, False
            loop = asyncio.get_running_loop()
            payloads, ticks = await loop.run_in_executor(None, self._encoder.encode, item, is_key)
        self._send(build_images(payloads, self._format, _send_time_24()), ticks, is_key=is_key)

    def _send(self, images: Any, ticks: int, *, is_key: bool, send_time: bytes | None = None) -> None:
        assert self._pictures is not None
        if self._sender.transport.state == "connected":
            try:
                timestamp = (self._origin + ticks) & 0xFFFFFFFF
                self._pictures.send(images, timestamp, is_key=is_key, send_time=send_time)
            except ConnectionError as error:
                _log.debug("pictures could not be sent: %s", error)

    def _sync(self) -> None:
        """Bring up to date the numbers that aiortc's reports and statistics are made of."""
        if self._pictures is None or not self._pictures.counts.packets:
            return
        sender, dtls, counts = self._sender, self._sender.transport, self._pictures.counts
        packets, size_bytes = counts.packets - self._synced[0], counts.sent_bytes - self._synced[1]
        self._synced = counts.packets, counts.sent_bytes
        dtls._RTCDtlsTransport__tx_packets += packets
        dtls._RTCDtlsTransport__tx_bytes += size_bytes
        sender._RTCRtpSender__packet_count = counts.packets
        sender._RTCRtpSender__octet_count = counts.payload_bytes
        sender._RTCRtpSender__rtp_timestamp = counts.timestamp
        ago_s = asyncio.get_running_loop().time() - counts.sent_s
        sender._RTCRtpSender__ntp_timestamp = _ntp_time(time.time() - ago_s)

    async def _get_stats(self) -> Any:
        self._sync()
        return await type(self._sender).getStats(self._sender)

    async def _report(self) -> None:
        """Send reports as aiortc does (RFC 3550 section 6.4), but every few seconds; it does so every second."""
        sender = self._sender
        sender._RTCRtpSender__rtcp_started.set()
        cname = sender._RTCRtpSender__cname or ""
        items = [(1, cname.encode())]
        try:
            for interval_s in itertools.chain(FIRST_REPORTS_S, itertools.repeat(REPORT_INTERVAL_S)):
                await asyncio.sleep(interval_s * (0.75 + random.random() / 2))
                if self._pictures is None or not self._pictures.counts.packets:
                    continue
                self._sync()
                ntp, counts = sender._RTCRtpSender__ntp_timestamp, self._pictures.counts
                sender._RTCRtpSender__lsr = (ntp >> 16) & 0xFFFFFFFF
                sender._RTCRtpSender__lsr_time = time.time()
                info = RtcpSenderInfo(
                    ntp_timestamp=ntp,
                    rtp_timestamp=counts.timestamp,
                    packet_count=counts.packets & 0xFFFFFFFF,
                    octet_count=counts.payload_bytes & 0xFFFFFFFF,
                )
                source = RtcpSourceInfo(ssrc=sender._ssrc, items=items)
                await sender._send_rtcp(
                    [RtcpSrPacket(ssrc=sender._ssrc, sender_info=info), RtcpSdesPacket(chunks=[source])]
                )
        except asyncio.CancelledError:
            await sender._send_rtcp([RtcpByePacket(sources=[sender._ssrc])])
        finally:
            sender._RTCRtpSender__rtcp_exited.set()

    async def _resend(self, sequence: int) -> None:
        if self._pictures is not None:
            self._pictures.resend(sequence)

    def _send_key_frame(self) -> None:
        self._wants_key = True
        self._track.request_key_frame()
