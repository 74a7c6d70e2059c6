"""From RTP packets to access units (RFC 6184), with the repairs that real cameras need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metered_realtime.media import h264
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_payload import MAX_NALS, Depacketizer, PayloadError, RunawayError
from metered_realtime.media.h264_sets import ParameterSets
from metered_realtime.media.h264_sps import Sps
from metered_realtime.media.rtp import HEADER_BYTES, PLAIN, RtpPacket, SequenceWatch, Timeline, parse_rtp, read_head
from metered_realtime.media.video_description import VideoDescription

DEFAULT_MAX_UNIT_BYTES = 5 * 1024 * 1024
# One packet completes the picture before it and its own, which may be two fields.
_MAX_UNITS_A_PACKET = 4
_NONE: tuple[AccessUnit, ...] = ()
# With something in it, and the longer header of H.265.
_MIN_FRAGMENT_BYTES = HEADER_BYTES + 4


@dataclass(frozen=True, slots=True)
class AssemblerStats:
    """What happened on one camera's road since it was opened."""

    packets: int
    bad_packets: int
    lost_packets: int
    old_packets: int
    timestamp_jumps: int
    timestamps_back: int
    pictures: int
    units: int
    held_units: int
    dropped_units: int
    oversize_units: int
    units_without_sets: int
    repairs: int


class H264Assembler:
    """Feed it RTP packets in the order they came; it gives complete, decodable access units.

    After a loss nothing is given until the next key frame. Repaired, and counted in `stats().repairs`:
    parameter sets and SEI sent as marked pictures of their own, Annex-B start codes inside a NAL unit, fragments
    without an end bit, a marker on every slice. Parameter sets known from the SDP are put before every key
    frame; access unit delimiters, end marks and filler are taken out.
    """

    def __init__(
        self,
        *,
        parameter_sets: Iterable[bytes] = (),
        payload_type: int | None = None,
        max_unit_bytes: int = DEFAULT_MAX_UNIT_BYTES,
    ) -> None:
        self.last_picture_s: float | None = None
        self.last_unit_s: float | None = None
        self.newest_stamp = 0  # the RTP timestamp of the last picture, as it came
        self._payload_type = payload_type
        self._max_unit_bytes = max_unit_bytes
        self._payloads = Depacketizer(max_bytes=max_unit_bytes)
        self._sequence = SequenceWatch()
        self._timeline = Timeline()
        self._sets = ParameterSets()
        self._ssrc: int | None = None
        self._timestamp: int | None = None
        self._marked_timestamp: int | None = None
        self._marker_lies = False
        self._hold = True
        self._nals: list[bytes] = []
        self._bytes = 0
        self._has_picture = False
        self._is_key = False
        self._now_s = 0.0
        self._packets = self._bad_packets = self._pictures = self._units = self._held = self._dropped = 0
        self._oversize = self._without_sets = self._repairs = self._b_slices = 0
        for nal in parameter_sets:
            self._put_set(nal)

    @property
    def sps(self) -> Sps | None:
        """The newest SPS, from the SDP or the stream; None before the first."""
        return self._sets.sps

    @property
    def video(self) -> VideoDescription:
        """What is known of the picture by now."""
        if self.sps is None:
            return VideoDescription("H264", has_b_frames=self.has_b_frames)
        return VideoDescription.of(self.sps, has_b_frames=self.has_b_frames)

    @property
    def has_b_frames(self) -> bool | None:
        """True if pictures come in another order than they are shown; None while nothing tells."""
        told = None if self.sps is None else self.sps.has_b_frames
        return True if told is None and self._b_slices else told

    def stats(self) -> AssemblerStats:
        """Return the counters."""
        return AssemblerStats(
            packets=self._packets,
            bad_packets=self._bad_packets,
            lost_packets=self._sequence.lost_packets,
            old_packets=self._sequence.old_packets,
            timestamp_jumps=self._timeline.jumps,
            timestamps_back=self._timeline.steps_back,
            pictures=self._pictures,
            units=self._units,
            held_units=self._held,
            dropped_units=self._dropped,
            oversize_units=self._oversize,
            units_without_sets=self._without_sets,
            repairs=self._repairs + self._payloads.repairs,
        )

    def push(self, data: bytes, now_s: float) -> Sequence[AccessUnit]:
        """Take one RTP packet that arrived at `now_s`; return the units it completes (mostly none)."""
        self._packets += 1
        if len(data) >= _MIN_FRAGMENT_BYTES and self._goes_on(data):
            return _NONE
        packet = parse_rtp(data)
        if packet is None:
            self._bad_packets += 1
            return _NONE
        if not self._follow(packet):
            return _NONE
        self._now_s = now_s
        out: list[AccessUnit] = []
        if packet.timestamp != self._timestamp:
            self._end_picture(out)
            self._timestamp = packet.timestamp
        try:
            for nal in self._payloads.push(packet.payload) if packet.payload else ():
                self._add(nal, out)
                if len(out) > _MAX_UNITS_A_PACKET:
                    self._bad_packets += 1
                    self._drop()
                    break
        except PayloadError as error:
            self._spoiled(error)
        if packet.marker and not self._marker_lies:
            if self._has_picture:
                self._marked_timestamp = packet.timestamp
            else:
                self._repairs += 1
            self._end_picture(out)
        return out

    def _goes_on(self, data: bytes) -> bool:
        """Take a packet from inside a unit, as most are; False where there is more to settle."""
        first, second, sequence, timestamp, ssrc = read_head(data)
        if timestamp != self._timestamp or ssrc != self._ssrc or second != self._payload_type or first != PLAIN:
            return False
        if not self._sequence.is_next(sequence):
            return False
        try:
            is_taken = self._payloads.go_on(data, HEADER_BYTES)
        except PayloadError as error:
            is_taken = True
            self._spoiled(error)
        if is_taken:
            self._sequence.accept(sequence)
        return is_taken

    def _follow(self, packet: RtpPacket) -> bool:
        """Keep to one sender and one payload type; True if this packet is to be used."""
        is_ours = self._payload_type is None or packet.payload_type == self._payload_type
        if packet.ssrc != self._ssrc:
            if not is_ours:
                return False
            if self._ssrc is not None:
                self._sequence.reset()
                self._drop()
            self._ssrc = packet.ssrc
        use, gap = self._sequence.accept(packet.sequence)
        if gap:
            self._drop()
        return use and is_ours

    def _end_picture(self, out: list[AccessUnit]) -> None:
        try:
            for nal in self._payloads.flush():
                self._add(nal, out)
        except PayloadError as error:
            self._spoiled(error)
        self._finish(out)

    def _spoiled(self, error: PayloadError) -> None:
        self._oversize += isinstance(error, RunawayError)
        self._bad_packets += not isinstance(error, RunawayError)
        self._drop()

    def _add(self, nal: bytes, out: list[AccessUnit]) -> None:
        kind = h264.nal_type(nal)
        if kind in (h264.NAL_SLICE, h264.NAL_PARTITION_A, h264.NAL_IDR):
            if self._begin_slice(nal, out):
                self._is_key |= kind == h264.NAL_IDR
                self._keep(nal)
        elif h264.NAL_PARTITION_A < kind <= h264.NAL_PARTITION_C:
            if self._has_picture:
                self._keep(nal)
        elif kind in (h264.NAL_SPS, h264.NAL_PPS):
            self._put_set(nal)  # also between two slices of one picture, where some senders repeat them
        elif kind == h264.NAL_SEI and not self._has_picture:
            self._is_key |= h264.is_exact_recovery_point(nal)
            self._keep(nal)
        elif kind == h264.NAL_AUD:
            self._finish(out)

    def _begin_slice(self, nal: bytes, out: list[AccessUnit]) -> bool:
        """Settle which picture a slice belongs to; False if that picture cannot be whole."""
        try:
            first_macroblock, slice_type = h264.slice_head(nal)
        except H264Error:
            self._bad_packets += 1
            self._drop()
            return False
        if not self._settle_picture(out, is_first=first_macroblock == 0):
            return False
        self._b_slices += h264.is_b_slice(slice_type)
        return True

    def _settle_picture(self, out: list[AccessUnit], *, is_first: bool) -> bool:
        """A slice begins a picture, or belongs to the one that is being collected; False if there is none."""
        if is_first:
            if self._has_picture:
                self._finish(out)
        elif not self._has_picture:
            if self._timestamp == self._marked_timestamp and not self._marker_lies:
                self._marker_lies = True
                self._repairs += 1
            self._drop()
            return False
        self._has_picture = True
        return True

    def _keep(self, nal: bytes) -> None:
        self._nals.append(nal)
        self._bytes += len(nal) + len(h264.START_CODE)
        if self._bytes > self._max_unit_bytes or len(self._nals) > MAX_NALS:
            self._oversize += 1
            self._drop()

    def _put_set(self, nal: bytes) -> None:
        try:
            if self._sets.put(nal):
                self._hold = True
        except H264Error:
            self._bad_packets += 1

    def _finish(self, out: list[AccessUnit]) -> None:
        """Give the picture collected so far. Without one, an SEI that came alone waits for its picture."""
        if not self._has_picture or self._timestamp is None:
            return
        nals, is_key = self._nals, self._is_key
        self._clear()
        self._pictures += 1
        self.last_picture_s = self._now_s
        self.newest_stamp = self._timestamp
        pts_90k = self._timeline.pts_90k(self._timestamp, self._now_s)
        sets = self._sets.for_key() if is_key else self._sets.for_delta(hold=self._hold)
        if sets is None:
            self._without_sets += is_key
            self._held += not is_key
            self._hold = True
            return
        self._hold = False
        self._units += 1
        self.last_unit_s = self._now_s
        out.append(AccessUnit(h264.join_annex_b(sets + nals), pts_90k, is_key))

    def _drop(self) -> None:
        """Give up the picture being collected; nothing can be shown before the next key frame."""
        self._dropped += self._has_picture
        self._hold = True
        self._payloads.drop()
        self._clear()

    def _clear(self) -> None:
        self._nals = []
        self._bytes = 0
        self._has_picture = self._is_key = False
