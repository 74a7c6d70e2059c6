from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.encoded_choice import ChoiceReader, EncodedVideoChoice
from metered_realtime.media.encoded_reader import SharedUnit
from metered_realtime.media.source import SenderTrack
from metered_realtime.media.tap import open_tap

H264, H265 = "video/H264", "video/H265"


class Choice:
    """Two sources, who reads them, and a viewer that notes what it is sent."""

    def __init__(self, preferred: str = H264) -> None:
        self.demand: list[tuple[str, bool]] = []
        self.h264, self.h265 = (self._source(name) for name in (H264, H265))
        self.choice = EncodedVideoChoice([self.h264, self.h265], preferred=preferred)

    def _source(self, name: str) -> EncodedVideoSource:
        return EncodedVideoSource(id="yard", mime_type=name, on_demand=lambda on: self.demand.append((name, on)))

    def push(self, h264: str | None = None, h265: str | None = None, at: int = 0) -> None:
        for source, text in ((self.h264, h264), (self.h265, h265)):
            if text is not None:
                source.push(AccessUnit(text.encode(), at, is_key=True))


class Viewer:
    def __init__(self, choice: EncodedVideoChoice, *agreed: str) -> None:
        self.sent: list[tuple[str, int]] = []
        self.track = SenderTrack("video", clock=lambda: self.now_s)
        self.now_s = 0.0
        self.track.switch(choice.open_reader())
        self.track.agree(agreed)
        self.task = asyncio.create_task(self.track.feed(self._take))

    def _take(self, unit: SharedUnit, ticks: int, is_live: bool) -> None:
        self.sent.append((bytes(unit.packet).decode(), ticks))

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.sent]

    async def end(self) -> None:
        self.track.stop()
        with pytest.raises(MediaStreamError):
            await self.task


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def test_it_says_what_it_can_be_sent_as() -> None:
    choice = Choice().choice
    assert (choice.kind, choice.id, choice.mime_type, choice.also_as) == ("video", "yard", H264, (H265,))


@pytest.mark.parametrize(
    ("sources", "preferred"),
    [([], None), ([H264, H264], None), ([H264, "video/VP8"], None), ([H264], H265)],
)
def test_what_is_no_choice_is_refused(sources: list[str], preferred: str | None) -> None:
    with pytest.raises(ValueError, match="must be one"):
        EncodedVideoChoice([EncodedVideoSource(mime_type=name) for name in sources], preferred=preferred)


async def test_everybody_is_sent_the_preferred_one_if_they_take_it() -> None:
    made = Choice(preferred=H265)
    both, old, new = Viewer(made.choice, H264, H265), Viewer(made.choice, H264), Viewer(made.choice, H265)
    await settle()
    made.push("a", "A")
    await settle()
    assert [viewer.texts for viewer in (both, old, new)] == [["A"], ["a"], ["A"]]
    for viewer in (both, old, new):
        await viewer.end()
    assert made.demand == [(H265, True), (H264, True), (H264, False), (H265, False)]


async def test_who_takes_none_of_them_is_sent_nothing() -> None:
    made = Choice()
    viewer = Viewer(made.choice)
    await settle()
    made.push("a", "A")
    await settle()
    assert (viewer.texts, made.demand) == ([], [])
    await viewer.end()


async def test_another_preference_moves_those_who_take_it_and_the_time_goes_on() -> None:
    made = Choice()
    both, old = Viewer(made.choice, H264, H265), Viewer(made.choice, H264)
    await settle()
    made.push("a", at=900_000)
    await settle()
    made.choice.prefer(H265)
    assert made.demand == [(H264, True), (H265, True)], "taken up before the other is let go of"
    both.now_s = 0.5
    await settle()
    made.push("b", "B", at=3_000)
    await settle()
    assert both.texts == ["a", "B"]
    assert old.texts == ["a", "b"]
    assert both.sent[1][1] - both.sent[0][1] == 45_000
    made.choice.prefer(H265)
    made.push("c", "C", at=6_000)
    assert both.texts[-1] == "C"
    for viewer in (both, old):
        await viewer.end()


async def test_a_source_that_ends_ends_the_reader_that_reads_it() -> None:
    made = Choice()
    reader = made.choice.open_reader()
    waiting = asyncio.create_task(reader.recv())
    await settle()
    made.h264.stop()
    with pytest.raises(MediaStreamError):
        await waiting


async def test_requests_go_to_what_is_read() -> None:
    made = Choice()
    reader = made.choice.open_reader()
    assert isinstance(reader, ChoiceReader)
    reader.request_key_frame()
    reader.await_key_frame()
    reader.lagged()
    assert (reader.mime_type, reader.id) == (None, "yard")
    reader.agree([H265])
    made.push("a", "A")
    packet: Any = await reader.recv()
    assert (bytes(packet), reader.mime_type) == (b"A", H265)
    reader.request_key_frame()
    reader.lagged()
    assert [source.stats().key_frame_requests for source in (made.h264, made.h265)] == [0, 2]
    reader.stop()
    reader.agree([H264])
    made.choice.prefer(H265)
    with pytest.raises(MediaStreamError):
        await reader.recv()


async def test_a_tap_stays_with_one_codec() -> None:
    made = Choice(preferred=H265)
    made.push("a", "A")
    tap = open_tap(made.choice)
    packet: Any = await tap.recv()
    assert bytes(packet) == b"a"
    tap.stop()
    alone = EncodedVideoChoice([made.h265])
    tap = open_tap(alone)
    packet = await tap.recv()
    assert bytes(packet) == b"A"
    tap.stop()
