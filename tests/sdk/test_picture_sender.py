"""One viewer's stream of pictures, decrypted and looked at packet by packet."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from metered_realtime.media.h264_packets import packetize
from metered_realtime.media.rtp import RtpPacket, parse_rtp
from metered_realtime.media.rtp_image import MAX_PACKETS, PacketFormat, PacketImage, Run, build_images
from metered_realtime.picture_sender import MAX_WAITING_BYTES, RESEND_BURST, PictureSender, RtxFormat
from tests.sdk.test_srtp import PROFILES, sessions

FORMAT = PacketFormat(payload_type=96, send_time_id=2, tag_bytes=16)
SSRC, RTX_SSRC = 0x11111111, 0x22222222
RTX = RtxFormat(payload_types={96: 97}, ssrc=RTX_SSRC, first_sequence=65535)


def picture(size: int, fill: bytes = b"p") -> list[PacketImage]:
    return build_images(packetize(b"\x00\x00\x01\x65" + fill * size), FORMAT)


class Far:
    """The other side: decrypts what arrives; may be full for a while."""

    def __init__(self) -> None:
        self.tx, self._rx = sessions(PROFILES["AES-GCM"][0])
        self.packets: list[RtpPacket] = []
        self.is_full = False
        self.arrived = asyncio.Event()

    def send_run(self, view: memoryview, run: Run) -> bool:
        if self.is_full:
            return False
        for start in range(run.start, run.end, run.packet_bytes):
            self.send_one(bytes(view[start : min(start + run.packet_bytes, run.end)]))
        return True

    def send_one(self, packet: bytes) -> bool:
        found = parse_rtp(self._rx.unprotect(packet))
        assert found is not None
        self.packets.append(found)
        self.arrived.set()
        return True

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not enough():
                self.arrived.clear()
                await self.arrived.wait()


@pytest.fixture
def far() -> Far:
    return Far()


class Told:
    def __init__(self) -> None:
        self.drops = 0

    def dropped(self) -> None:
        self.drops += 1


def stream(far: Far, told: Told | None = None, *, first: int = 100, rtx: RtxFormat | None = RTX) -> PictureSender:
    told = told if told is not None else Told()
    return PictureSender(
        far.tx,
        lambda: far,
        ssrc=SSRC,
        first_sequence=first,
        rtx=rtx,
        on_dropped=told.dropped,
    )


async def test_a_picture_leaves_at_once_in_consecutive_packets(far: Far) -> None:
    told = Told()
    sender = stream(far, told, first=65535)

    sender.send(picture(3000), 9000, is_key=True)
    sender.send(picture(10), 12000, is_key=False)

    assert [packet.sequence for packet in far.packets] == [65535, 0, 1, 2]
    assert [packet.timestamp for packet in far.packets] == [9000, 9000, 9000, 12000]
    assert [packet.marker for packet in far.packets] == [False, False, True, True]
    assert {packet.ssrc for packet in far.packets} == {SSRC}
    assert (sender.counts.packets, sender.counts.timestamp) == (4, 12000)
    assert sender.counts.sent_bytes > sender.counts.payload_bytes > 3000
    assert sender.is_idle


async def test_a_large_picture_leaves_in_pieces_and_what_follows_keeps_its_place(far: Far) -> None:
    sender = stream(far)

    sender.send(picture(100_000), 0, is_key=True)
    sender.send(picture(10), 3000, is_key=False)
    assert len(far.packets) == MAX_PACKETS

    await far.until(lambda: sender.is_idle)
    assert [packet.sequence for packet in far.packets] == list(range(100, 100 + len(far.packets)))
    assert far.packets[-1].timestamp == 3000


async def test_a_full_path_gets_everything_later_and_in_order(far: Far) -> None:
    sender = stream(far)
    far.is_full = True
    sender.send(picture(3000), 0, is_key=True)
    sender.send(picture(3000), 3000, is_key=False)
    assert far.packets == []

    far.is_full = False
    await far.until(lambda: sender.is_idle)
    assert [packet.sequence for packet in far.packets] == list(range(100, 106))


async def test_while_there_is_no_path_pictures_wait(far: Far) -> None:
    paths: list[Far | None] = [None]
    sender = PictureSender(
        far.tx,
        lambda: paths[0],
        ssrc=SSRC,
        first_sequence=0,
        rtx=None,
        on_dropped=lambda: None,
    )
    sender.send(picture(10), 0, is_key=True)
    sender.resend(0)
    paths[0] = far

    await far.until(lambda: sender.is_idle)
    assert len(far.packets) == 1


async def test_what_waits_is_bounded_and_goes_on_with_a_key_frame(far: Far) -> None:
    told = Told()
    sender = stream(far, told)
    far.is_full = True
    for number in range(100):
        sender.send(picture(100_000), number * 3000, is_key=number == 0)
    assert told.drops >= 1
    dropped = sender.counts.dropped_pictures
    assert dropped >= 100 - MAX_WAITING_BYTES // 100_000 - 1

    far.is_full = False
    sender.send(picture(10, b"k"), 1_000_000, is_key=True)
    await far.until(lambda: bool(far.packets) and far.packets[-1].timestamp == 1_000_000)
    # No picture arrives cut short: every timestamp ends with a marked packet.
    last_of = {packet.timestamp: packet.marker for packet in far.packets}
    assert all(last_of.values())
    assert [packet.sequence for packet in far.packets] == list(range(100, 100 + len(far.packets)))


async def test_a_lost_packet_is_sent_again_in_its_own_stream(far: Far) -> None:
    sender = stream(far)
    sender.send(picture(3000), 9000, is_key=True)
    lost = far.packets[1]

    sender.resend(lost.sequence)
    sender.resend(lost.sequence)

    first, second = far.packets[3:]
    assert (first.ssrc, first.payload_type, first.sequence) == (RTX_SSRC, 97, 65535)
    assert second.sequence == 0
    assert first.payload == lost.sequence.to_bytes(2) + lost.payload
    assert (first.timestamp, first.marker) == (9000, lost.marker)
    assert sender.counts.resent_packets == 2


async def test_what_is_not_kept_is_not_sent_again(far: Far) -> None:
    sender = stream(far)
    sender.resend(5)
    assert sender.counts.refused_resends == 1

    plain = stream(far, rtx=None)
    plain.send(picture(10), 0, is_key=True)
    plain.resend(100)
    assert (len(far.packets), plain.counts.refused_resends) == (1, 1)


async def test_a_receiver_that_asks_for_everything_again_and_again_is_slowed(far: Far) -> None:
    sender = stream(far)
    sender.send(picture(3000), 9000, is_key=True)

    for _ in range(3 * RESEND_BURST):
        sender.resend(100)

    assert sender.counts.resent_packets < 2 * RESEND_BURST
    assert sender.counts.refused_resends > 0


async def test_after_stop_nothing_leaves(far: Far) -> None:
    sender = stream(far)
    sender.send(picture(100_000), 0, is_key=True)
    sender.stop()
    count = len(far.packets)

    sender.resend(100)

    assert len(far.packets) == count
    assert sender.is_idle


async def test_every_packet_has_a_transport_wide_number_repeats_too() -> None:
    raw: list[bytes] = []

    class RawFar(Far):
        def send_one(self, packet: bytes) -> bool:
            raw.append(self._rx.unprotect(packet))
            return True

    far, numbers, asked = RawFar(), itertools.count(65535), []

    def number(packets: int, size_bytes: int) -> int:
        asked.append((packets, size_bytes))
        first, *_ = (next(numbers) for _ in range(packets))
        return first & 0xFFFF

    sender = PictureSender(
        far.tx, lambda: far, ssrc=SSRC, first_sequence=100, rtx=RTX, on_dropped=lambda: None, number=number
    )
    fmt = FORMAT._replace(send_time_id=None, transport_id=7)
    images = build_images([b"a" * 50, b"b" * 50], fmt)
    sender.send(images, 0, is_key=True)
    sender.resend(100)

    assert [packet[16:20] for packet in raw] == [b"\x71\xff\xff\0", b"\x71\0\0\0", b"\x71\0\1\0"]
    assert [packets for packets, _ in asked] == [2, 1]
