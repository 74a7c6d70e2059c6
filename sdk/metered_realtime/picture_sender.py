"""One viewer's RTP stream of pictures that are encoded already: numbered, encrypted, paced, and sent again on demand.

All viewers share the packets (`media.rtp_image`); a viewer's own are sequence numbers, SSRC and keys. A picture leaves
the moment it comes; large ones in pieces, so that no link and no other viewer has to take it all at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from metered_realtime.media.rtp_image import SEND_TIME_OFFSET, PacketImage
from metered_realtime.media.sent_history import SentHistory, SentPicture
from metered_realtime.media_path import MediaPath
from metered_realtime.srtp import protect_image, protect_packet

# Between the pieces of a large picture, and before another try where the path is full.
PIECE_INTERVAL_S = 0.002
# Between two looks for a path while there is none.
NO_PATH_INTERVAL_S = 0.1
MAX_WAITING_BYTES = 4 * 1024 * 1024
# A receiver that asks for everything again gets this much of it, and no more.
RESEND_BURST = 400
RESEND_PER_S = 800.0


@dataclass(frozen=True, slots=True)
class RtxFormat:
    """How lost packets are sent again (RFC 4588): payload type, SSRC and first sequence number of that stream.

    `payload_types`: that of a packet -> that under which it is sent again; no other packets are.
    """

    payload_types: Mapping[int, int]
    ssrc: int
    first_sequence: int


class _Piece(NamedTuple):
    image: PacketImage
    timestamp: int
    is_key: bool
    is_first: bool
    send_time: bytes | None


class _Blocked(NamedTuple):
    """The rest of the first piece that waits, encrypted already."""

    view: memoryview
    next_run: int


@dataclass(slots=True)
class SentCounts:
    """What one stream has sent since it began, repeats not counted but in `resent_packets`.

    `sent_bytes` with headers and tags; `timestamp` and `sent_s` (monotonic) of what was sent last.
    """

    packets: int = 0
    payload_bytes: int = 0
    sent_bytes: int = 0
    timestamp: int = 0
    sent_s: float = 0.0
    resent_packets: int = 0
    refused_resends: int = 0
    dropped_pictures: int = 0


class PictureSender:
    """Sends to one viewer. `find_path` returns the way out at this moment, or None while there is none.

    `on_dropped` is called where pictures had to be left out because the path did not take them: the next one must be a
    key frame. `number`: given a count of packets and their bytes, returns the first of their transport-wide numbers.
    """

    # Few places in memory: after a picture's time of other things each costs a cache miss, for each viewer.
    __slots__ = (
        "_blocked", "_find_path", "_history", "_loop", "_now", "_number", "_on_dropped", "_resend_at_s",
        "_resend_budget", "_rtx", "_rtx_sequence", "_sequence", "_session", "_ssrc", "_timer", "_waiting",
        "_waiting_bytes", "counts",
    )  # fmt: skip

    def __init__(
        self,
        session: Any,
        find_path: Callable[[], MediaPath | None],
        *,
        ssrc: int,
        first_sequence: int,
        rtx: RtxFormat | None,
        on_dropped: Callable[[], None],
        number: Callable[[int, int], int] | None = None,
    ) -> None:
        self._session = session
        self._find_path = find_path
        self._ssrc = ssrc
        self._sequence = first_sequence
        self._rtx = rtx
        self._rtx_sequence = rtx.first_sequence if rtx is not None else 0
        self._on_dropped = on_dropped
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._history = SentHistory()
        self._waiting: deque[_Piece] = deque()
        self._waiting_bytes = 0
        self._blocked: _Blocked | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._resend_budget = float(RESEND_BURST)
        self._resend_at_s = 0.0
        self.counts = SentCounts()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to leave."""
        return not self._waiting

    def send(
        self, images: Sequence[PacketImage], timestamp: int, *, is_key: bool, send_time: bytes | None = None
    ) -> None:
        """Send a picture, behind those that wait; never blocks. Raises ConnectionError where SRTP fails.

        `send_time`: abs-send-time, where the packets were made earlier.
        """
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._drop_waiting()
            if not is_key:
                self.counts.dropped_pictures += 1
                return
        waiting = self._waiting
        for number, image in enumerate(images):
            if waiting or number > 0 or not self._transmit(image, timestamp, is_key, send_time):
                waiting.append(_Piece(image, timestamp, is_key, number == 0, send_time))
                self._waiting_bytes += len(image.data)
        if waiting and self._timer is None:
            self._timer = self._loop.call_later(PIECE_INTERVAL_S, self._next_piece)

    def _next_piece(self) -> None:
        self._timer = None
        piece = self._waiting[0]
        try:
            if self._blocked is not None:
                is_sent = self._finish_blocked(self._blocked, piece)
            else:
                is_sent = self._transmit(piece.image, piece.timestamp, piece.is_key, piece.send_time)
        except ConnectionError:
            self.stop()  # the connection is ending; whoever owns it notices by itself
            return
        if is_sent:
            self._waiting_bytes -= len(self._waiting.popleft().image.data)
        if self._waiting:
            has_path = is_sent or self._find_path() is not None
            interval_s = PIECE_INTERVAL_S if has_path else NO_PATH_INTERVAL_S
            self._timer = self._loop.call_later(interval_s, self._next_piece)

    def _transmit(self, image: PacketImage, timestamp: int, is_key: bool, send_time: bytes | None) -> bool:
        """Encrypt and send; False where it has to wait."""
        path = self._find_path()
        if path is None:
            return False
        transport_sequence = None
        if self._number is not None:
            transport_sequence = self._number(len(image.places), len(image.data))
        view = protect_image(
            self._session,
            image,
            self._sequence,
            timestamp,
            self._ssrc,
            send_time=send_time,
            transport_sequence=transport_sequence,
        )
        for number, run in enumerate(image.runs):
            if not path.send_run(view, run):
                # What is encrypted is kept: SRTP must not use a number twice, and a gap would look like loss.
                self._blocked = _Blocked(memoryview(bytes(view)), number)
                return False
        self._sent(image, timestamp, is_key)
        return True

    def _finish_blocked(self, blocked: _Blocked, piece: _Piece) -> bool:
        path, runs = self._find_path(), piece.image.runs
        if path is None:
            return False
        for number in range(blocked.next_run, len(runs)):
            if not path.send_run(blocked.view, runs[number]):
                self._blocked = blocked._replace(next_run=number)
                return False
        self._blocked = None
        self._sent(piece.image, piece.timestamp, piece.is_key)
        return True

    def _sent(self, image: PacketImage, timestamp: int, is_key: bool) -> None:
        counts, now_s, packets = self.counts, self._now(), len(image.places)
        self._history.add(image, self._sequence, timestamp, now_s, is_key=is_key)
        self._sequence = (self._sequence + packets) & 0xFFFF
        counts.packets += packets
        counts.payload_bytes += image.payload_bytes
        counts.sent_bytes += len(image.data)
        counts.timestamp, counts.sent_s = timestamp, now_s

    def _drop_waiting(self) -> None:
        """Leave out whole pictures; one that has begun is finished."""
        kept = [self._waiting[0]] if self._blocked is not None else []
        for piece in list(self._waiting)[len(kept) :]:
            if piece.is_first:
                break
            kept.append(piece)
        self.counts.dropped_pictures += sum(piece.is_first for piece in list(self._waiting)[len(kept) :])
        self._waiting = deque(kept)
        self._waiting_bytes = sum(len(piece.image.data) for piece in kept)
        self._on_dropped()

    # Repair ----------------------------------------------------------------------------------------------

    def resend(self, sequence: int) -> None:
        """The receiver misses this packet (RFC 4585 section 6.2.1): send it again, if it is kept and not too often."""
        found = self._history.find(sequence)
        path = self._find_path()
        if found is None or path is None or not self._may_resend():
            self.counts.refused_resends += 1
            return
        picture, index = found
        packet = self._rtx_packet(picture, index) if self._rtx is not None else None
        if packet is None:
            # Without RTX the packet itself would have to be encrypted twice under one number; libsrtp refuses.
            self.counts.refused_resends += 1
            return
        if path.send_one(protect_packet(self._session, packet)):
            self.counts.resent_packets += 1

    def _rtx_packet(self, picture: SentPicture, index: int) -> bytes | None:
        assert self._rtx is not None
        offset, length = picture.image.places[index]
        data = picture.image.data
        payload_type = self._rtx.payload_types.get(data[offset + 1] & 0x7F)
        if payload_type is None:
            return None
        header_bytes = 20 if data[offset] & 0x10 else 12
        original = (picture.first_sequence + index) & 0xFFFF
        header = (
            data[offset : offset + 1]
            + bytes((data[offset + 1] & 0x80 | payload_type,))
            + self._rtx_sequence.to_bytes(2)
            + picture.timestamp.to_bytes(4)
            + self._rtx.ssrc.to_bytes(4)
            + data[offset + 12 : offset + header_bytes]
        )
        if self._number is not None:
            transport_sequence = self._number(1, length).to_bytes(2)
            header = header[:SEND_TIME_OFFSET] + transport_sequence + header[SEND_TIME_OFFSET + 2 :]
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        return header + original.to_bytes(2) + data[offset + header_bytes : offset + length]

    def _may_resend(self) -> bool:
        now_s = self._now()
        self._resend_budget = min(float(RESEND_BURST), self._resend_budget + (now_s - self._resend_at_s) * RESEND_PER_S)
        self._resend_at_s = now_s
        if self._resend_budget < 1.0:
            return False
        self._resend_budget -= 1.0
        return True

    def stop(self) -> None:
        """Send nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self._waiting_bytes = 0
        self._blocked = None
        self._history.clear()
