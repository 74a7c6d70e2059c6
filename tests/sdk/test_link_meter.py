"""Reports in, word of a thin link out; pictures leave in pieces at its pace, and repairs never fill it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from metered_realtime.link_meter import LinkMeter
from metered_realtime.rtcp_feedback import ReportBlock
from metered_realtime.stats import PeerLink

WANTED_BPS = 4_000_000.0
PICTURE_BYTES = 6000


class Pictures:
    """A meter whose clock runs as fast as the test says, and what left by way of it."""

    def __init__(self) -> None:
        self.changes: list[PeerLink] = []
        self.skipped_s = 0.0
        self.loop = asyncio.get_running_loop()
        self.meter = LinkMeter(self.changes.append, clock=lambda: self.loop.time() + self.skipped_s)
        self.left: list[tuple[int, int]] = []

    def picture(self, number: int, *, is_key: bool = False, size_bytes: int = PICTURE_BYTES) -> bool:
        def leave(max_packets: int) -> Iterator[None]:
            packets = -(-size_bytes // 1200)
            for first in range(0, packets, max_packets):
                self.left.append((number, min(max_packets, packets - first)))
                yield

        return self.meter.depart("a", leave, size_bytes, is_key=is_key)

    def pass_time(self, seconds: float, *, wanted_bps: float = WANTED_BPS) -> None:
        """Everything that was wanted was sent."""
        self.skipped_s += seconds
        self.meter.estimate.wanted_bytes += round(wanted_bps * seconds / 8)
        self.meter.estimate.sent_bytes += round(wanted_bps * seconds / 8)

    def become_thin(self, bps: float = 400_000.0) -> None:
        for _ in range(5):
            self.meter.receiver_limit(2 * WANTED_BPS)
            self.pass_time(1.0)
        self.meter.receiver_limit(bps)

    def become_wide(self) -> None:
        for _ in range(60):
            self.pass_time(1.0)
            self.meter.receiver_limit(2 * WANTED_BPS)

    async def until_left(self, number: int) -> None:
        async with asyncio.timeout(5):
            while number not in [each for each, _ in self.left]:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def thin(bps: float = 400_000.0) -> AsyncIterator[Pictures]:
    pictures = Pictures()
    pictures.become_thin(bps)
    assert pictures.meter.is_thinning
    pictures.skipped_s += 10.0  # the link has drained
    yield pictures
    pictures.meter.forget("a")


async def test_nothing_is_known_while_nothing_has_been_reported() -> None:
    assert LinkMeter().link is None


async def test_both_changes_are_told_once() -> None:
    pictures = Pictures()
    pictures.become_thin()
    pictures.meter.receiver_limit(300_000.0)
    pictures.become_wide()
    assert [link.is_thin for link in pictures.changes] == [True, False]
    assert pictures.meter.link is not None
    assert not pictures.meter.is_thinning


async def test_a_picture_leaves_in_pieces_and_the_next_after_it() -> None:
    async with thin(1_000_000.0) as pictures:
        pictures.picture(1, is_key=True)
        pictures.picture(2)
        assert pictures.left == [(1, 2)]
        await pictures.until_left(2)
        assert pictures.left[:4] == [(1, 2), (1, 2), (1, 1), (2, 2)]


async def test_the_tail_of_a_group_is_left_out_and_counted() -> None:
    async with thin(400_000.0) as pictures:
        for number in range(20):
            pictures.picture(number, is_key=number == 0)
        assert pictures.meter.thinned_pictures("a") == 11
        assert pictures.meter.thinned_pictures("b") == 0


async def test_a_key_frame_is_welcome_once_a_cut_group_has_left() -> None:
    async with thin(400_000.0) as pictures:
        assert not any(pictures.picture(number, is_key=number == 0) for number in range(20))
        await pictures.until_left(8)
        pictures.skipped_s += 2.0
        async with asyncio.timeout(5):
            while not pictures.picture(20):
                await asyncio.sleep(0.005)
        assert not pictures.picture(21, is_key=True)


async def test_what_waits_goes_at_once_when_the_link_is_wide_again_and_the_cut_group_stays_cut() -> None:
    async with thin(400_000.0) as pictures:
        for number in range(20):
            pictures.picture(number, is_key=number == 0)
        pictures.become_wide()
        assert [number for number, _ in pictures.left] == [0, 0, 0, 0, 0, *range(1, 9)]
        assert pictures.meter.is_thinning
        assert pictures.picture(20)
        pictures.picture(21, is_key=True)
        assert pictures.left[-1] == (21, 5)
        assert not pictures.meter.is_thinning


async def test_a_stream_that_ended_holds_nothing_up() -> None:
    async with thin(400_000.0) as pictures:
        for number in range(20):
            pictures.picture(number, is_key=number == 0)
        pictures.become_wide()
        pictures.meter.forget("a")
        assert not pictures.meter.is_thinning


async def test_the_timer_of_a_link_that_became_wide_sends_nothing_twice() -> None:
    async with thin(400_000.0) as pictures:
        pictures.picture(1, is_key=True)
        pictures.meter.estimate.limit_bps = None
        await pictures.until_left(1)
        await asyncio.sleep(0.05)
        assert sum(packets for _, packets in pictures.left) == 5


async def test_reports_of_loss_make_a_link_thin() -> None:
    pictures = Pictures()
    for second in range(6):
        pictures.meter.blocks([ReportBlock(1, 0, 100 * second, 400 * second, 0, 0, 0)])
        pictures.pass_time(1.0)
    assert [link.is_thin for link in pictures.changes] == [True]


async def test_a_full_socket_of_any_stream_makes_a_link_thin() -> None:
    pictures = Pictures()
    pictures.meter.receiver_limit(WANTED_BPS * 2)
    for _ in range(10):
        pictures.meter.socket_full("a", True)
        pictures.meter.socket_full("b", False)
        pictures.pass_time(0.5)
    assert [link.is_thin for link in pictures.changes] == [True]


async def test_repairs_are_a_share_of_what_is_sent() -> None:
    pictures = Pictures()
    for _ in range(5):
        pictures.meter.receiver_limit(2 * WANTED_BPS)
        pictures.pass_time(1.0)
    first = sum(pictures.meter.may_resend(1200) for _ in range(1000))
    assert 50 <= first < 150
    pictures.pass_time(0.1)
    assert 15 <= sum(pictures.meter.may_resend(1200) for _ in range(1000)) <= 22


async def test_repairs_of_a_thin_link_are_few_and_pictures_wait_for_them() -> None:
    async with thin(400_000.0) as pictures:
        pictures.meter.may_resend(1200)
        allowed = sum(pictures.meter.may_resend(1200) for _ in range(1000))
        assert allowed <= 10
        pictures.picture(1, is_key=True)
        assert pictures.left == []
