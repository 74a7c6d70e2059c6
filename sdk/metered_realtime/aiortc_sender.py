"""Sends encoded pictures past aiortc's sender, which packs, numbers and encrypts them for every viewer anew.

Fills these gaps of aiortc's RTCRtpSender (measured in whole processes, they are three quarters of what a viewer costs):
one packetisation for all viewers, no object per packet, one system call per burst, a NACK history that holds a key
frame, PLI answered. Negotiation, DTLS, RTCP reports and statistics stay aiortc's. With `aiortc_adapter`, part of the
door to aiortc's private names; `tests/sdk/test_aiortc_sender.py` is the contract. `LinkMeter` is asked about every
picture: on a thin link it leaves when there is room for it, or not at all.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what this file is for
import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import av
from aiortc.codecs import get_encoder
from aiortc.mediastreams import MediaStreamError

from metered_realtime.aiortc_codecs import AgreedCodec
from metered_realtime.aiortc_reports import send_reports
from metered_realtime.aiortc_rtcp import LastReport, RtcpEntrance, smoothed_round_trip
from metered_realtime.media.access_unit import CLOCK_RATE
from metered_realtime.media.encoded_reader import SharedUnit
from metered_realtime.media.image_pieces import in_pieces
from metered_realtime.media.packed import PACKETIZERS
from metered_realtime.media.rtp_image import PacketFormat, build_images
from metered_realtime.media.source import SenderTrack
from metered_realtime.picture_sender import PictureSender, RtxFormat
from metered_realtime.report_relation import ReportRelation
from metered_realtime.rtcp_feedback import ReportBlock

_log = logging.getLogger(__name__)

# What a packet counts when it is sent again.
RESENT_BYTES = 1200

_GCM = b"SRTP_AEAD_AES"


Agreed = Callable[[], dict[str, AgreedCodec]]
"""Tells MIME type -> how the other side takes it, once the sender is started."""


def send_pictures(sender: Any, track: SenderTrack, rtcp: RtcpEntrance, agreed: Agreed) -> None:
    """Let `sender`, which may send H.264 and H.265 only, take the pictures of `track` this way. Before it starts."""
    _PictureRtp(sender, track, rtcp, agreed).install()


def sends_pictures(sender: Any) -> bool:
    """Tell whether `sender` takes its pictures this way."""
    return _stand_in(sender) is not None


def sent_codec(sender: Any) -> str | None:
    """Return the MIME type of the last picture that was sent this way; None where there was none."""
    stand_in = _stand_in(sender)
    return None if stand_in is None else stand_in.codec


def thinned_pictures(sender: Any) -> int:
    """Return how many pictures were left out because the link is thin."""
    stand_in = _stand_in(sender)
    return stand_in.thinned if stand_in is not None else 0


def _stand_in(sender: Any) -> _PictureRtp | None:
    found = getattr(sender._run_rtp, "__self__", None)
    return found if isinstance(found, _PictureRtp) else None


def _send_time_24() -> int:
    """Return the time of day as abs-send-time: seconds modulo 64, in 6.18 fixed point."""
    return int(time.time() * (1 << 18)) & 0xFFFFFF


class _PictureRtp:
    """Stands in for the parts of one RTCRtpSender that put packets on the wire."""

    def __init__(self, sender: Any, track: SenderTrack, rtcp: RtcpEntrance, agreed: Agreed) -> None:
        self._sender = sender
        self._track = track
        self._rtcp = rtcp
        self._meter = rtcp.meter
        self._agreed = agreed
        self.codec: str | None = None
        self._last_report: LastReport | None = None
        self._own_bitrate_bps = 0
        self._origin = random.getrandbits(32)
        self._wants_key = self._is_full = False
        self._encoder: Any = None
        self._formats: dict[str, PacketFormat] = {}
        self._is_connected = False
        self._pictures: PictureSender | None = None
        self._synced = (0, 0)
        self._relation = ReportRelation(CLOCK_RATE)
        self._taken: tuple[int, float | None] = (0, None)

    def install(self) -> None:
        self._sender._run_rtp = self._run
        self._sender._run_rtcp = self._report
        self._sender.getStats = self._get_stats
        self._sender._retransmit = self._retransmit
        self._sender._send_keyframe = self.cannot_decode

    @property
    def thinned(self) -> int:
        """Pictures left out because the link is thin."""
        return self._meter.thinned_pictures(self)

    async def _run(self, codec: Any) -> None:
        sender = self._sender
        sender._RTCRtpSender__rtp_started.set()
        try:
            self._open()
            while True:
                item = await self._track.feed(self._take)
                await self._send_item(codec, item)
        except (asyncio.CancelledError, ConnectionError, MediaStreamError):
            pass
        finally:
            if self._pictures is not None:
                self._pictures.stop()
                sender.transport.remove_listener("statechange", self._state_changed)
            self._rtcp.remove(sender._ssrc)
            self._meter.forget(self)
            self._track.stop()
            sender._RTCRtpSender__rtp_exited.set()

    def _open(self) -> None:
        sender, dtls = self._sender, self._sender.transport
        self._state_changed()
        dtls.add_listener("statechange", self._state_changed)
        extensions = sender._RTCRtpSender__rtp_header_extensions_map._HeaderExtensionsMap__ids
        is_gcm = dtls._ssl.get_selected_srtp_profile().startswith(_GCM)
        transport_id = extensions.transport_sequence_number
        send_time_id = extensions.abs_send_time if transport_id is None else None
        tag_bytes, agreed = 16 if is_gcm else 10, self._agreed()
        self._formats = {
            mime_type: PacketFormat(codec.payload_type, send_time_id, tag_bytes, transport_id)
            for mime_type, codec in agreed.items()
        }
        repairs = {codec.payload_type: codec.rtx_payload_type for codec in agreed.values()}
        rtx = {codec: repair for codec, repair in repairs.items() if repair is not None}
        self._pictures = PictureSender(
            dtls._tx_srtp,
            dtls.transport._connection.outlet,
            ssrc=sender._ssrc,
            # Below half, so that a loss at the very start cannot hide a wrap from SRTP (RFC 3711 section 3.3.1).
            first_sequence=random.getrandbits(15),
            rtx=RtxFormat(rtx, sender._rtx_ssrc, random.getrandbits(15)) if rtx else None,
            on_dropped=self._track.lagged,
            number=self._meter.number_packets if transport_id is not None else None,
        )
        self._rtcp.add(sender._ssrc, self)
        self._track.agree(agreed)

    def _state_changed(self) -> None:
        self._is_connected = self._sender.transport.state == "connected"

    def _take(self, unit: SharedUnit, ticks: int, is_live: bool) -> None:
        """Send one picture of a shared source, at once unless the link is thin. Runs for every viewer and picture."""
        assert unit.packed is not None
        fmt = self._formats.get(unit.packed.mime_type)
        if fmt is None:
            return  # no decoder there would know what it is
        self.codec = unit.packed.mime_type
        meter, size_bytes = self._meter, unit.size_bytes
        if is_live:  # a group of pictures sent again is no rate, and its timestamps are squeezed
            meter.estimate.wanted_bytes += size_bytes
            self._taken = ticks, unit.taken_s
        if meter.is_thinning:
            leave = partial(self._leave, unit, fmt, ticks)
            if meter.depart(self, leave, size_bytes, is_key=unit.is_key) and is_live:
                self._track.await_key_frame()
            return
        meter.estimate.sent_bytes += size_bytes
        images = unit.packed.images(fmt, _send_time_24)
        is_timed = not is_live and fmt.send_time_id is not None
        self._send(images, ticks, is_key=unit.is_key, send_time=_send_time_24().to_bytes(3) if is_timed else None)

    def _leave(self, unit: SharedUnit, fmt: PacketFormat, ticks: int, max_packets: int) -> Iterator[None]:
        """Send a picture piece by piece, at the pace of whoever asks for the next."""
        assert unit.packed is not None
        images = unit.packed.images(fmt, _send_time_24)
        for image in in_pieces(images, fmt, max_packets):
            self._meter.estimate.sent_bytes += image.payload_bytes
            send_time = _send_time_24().to_bytes(3) if fmt.send_time_id is not None else None
            self._send((image,), ticks, is_key=unit.is_key, send_time=send_time)
            yield

    async def _send_item(self, codec: Any, item: Any) -> None:
        """Send a packet, or a frame encoded for this viewer alone."""
        taken_s = self._track.taken_s
        if isinstance(item, av.Packet):
            payloads, ticks = PACKETIZERS[codec.mimeType](bytes(item)), item.pts or 0
            is_key = bool(item.is_keyframe)
        else:
            is_key, self._wants_key = self._wants_key, False
            loop = asyncio.get_running_loop()
            payloads, ticks = await loop.run_in_executor(None, self._own_encoder(codec).encode, item, is_key)
        size_bytes = sum(map(len, payloads))
        self._meter.estimate.wanted_bytes += size_bytes
        self._meter.estimate.sent_bytes += size_bytes
        self._taken = ticks, taken_s
        self._send(build_images(payloads, self._formats[codec.mimeType], _send_time_24()), ticks, is_key=is_key)

    def _own_encoder(self, codec: Any) -> Any:
        """Return the encoder of this viewer alone; no picture of it is left out, its bit rate follows the link."""
        if self._encoder is None:
            self._encoder = get_encoder(codec)
            self._own_bitrate_bps = self._encoder.target_bitrate
        limit_bps = self._meter.estimate.limit_bps
        self._encoder.target_bitrate = round(min(self._own_bitrate_bps, limit_bps or self._own_bitrate_bps))
        return self._encoder

    def _send(self, images: Any, ticks: int, *, is_key: bool, send_time: bytes | None = None) -> None:
        assert self._pictures is not None
        if not self._pictures.is_idle or self._is_full:
            self._note_room()
        if self._is_connected:
            try:
                timestamp = (self._origin + ticks) & 0xFFFFFFFF
                self._pictures.send(images, timestamp, is_key=is_key, send_time=send_time)
            except ConnectionError as error:
                _log.debug("pictures could not be sent: %s", error)

    def _note_room(self) -> None:
        """Pictures that still wait when the next one comes: our own socket takes no more, if there is a path at all."""
        assert self._pictures is not None
        path = self._sender.transport.transport._connection._path
        self._is_full = not self._pictures.is_idle and path is not None and not path.is_expired
        self._meter.socket_full(self, self._is_full)

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
        ticks, taken_s = self._taken
        if taken_s is None:
            self._relation.note(counts.timestamp, counts.sent_s)
        else:
            self._relation.note((self._origin + ticks) & 0xFFFFFFFF, taken_s)

    async def _get_stats(self) -> Any:
        self._sync()
        stats = await type(self._sender).getStats(self._sender)
        if self._last_report is not None:
            stats.add(self._last_report.stats(self._sender))
        return stats

    async def _report(self) -> None:
        await send_reports(self._sender, self._reported)

    def _reported(self) -> ReportRelation:
        """Return what a report that leaves now has to say."""
        self._sync()
        return self._relation

    async def _retransmit(self, sequence: int) -> None:
        self.missing((sequence,))

    # What the receiver reports -----------------------------------------------------------------------------

    def reported(self, reporter: int, block: ReportBlock) -> None:
        """Note the report; statistics are made of it when somebody asks."""
        rtt_s = smoothed_round_trip(self._sender, block)
        if rtt_s is not None:
            self._meter.estimate.round_trip(rtt_s)
        packets = self._pictures.counts.packets if self._pictures is not None else 0
        self._last_report = LastReport(time.time(), reporter, packets, block)

    def missing(self, sequences: Iterable[int]) -> None:
        """Send these packets again, as far as the link has room for it."""
        if self._pictures is None:
            return
        for sequence in sequences:
            if not self._meter.may_resend(RESENT_BYTES):
                self._pictures.counts.refused_resends += 1
                break
            self._pictures.resend(sequence)

    def cannot_decode(self) -> None:
        """Ask the source for a key frame."""
        self._wants_key = True
        self._track.request_key_frame()
