"""Two viewers of one camera, one of them on a link that becomes too thin and widens again; real connections."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from metered_realtime import PeerLinkChange
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.received_gate import DecoderGate
from metered_realtime.stats import PeerLink
from tests.sdk.thin_path import ThinPath, thin_paths
from tests.sdk.wired import End, wired

__all__ = ["thin_paths"]

PICTURES_PER_S = 25
GROUP = 25
KEY_BYTES, DELTA_BYTES = 15_000, 6_000
BROKEN = -1
WANTED_BPS = (KEY_BYTES + (GROUP - 1) * DELTA_BYTES) * 8 * PICTURES_PER_S / GROUP
THIN_BPS = 700_000.0


def unit(number: int) -> AccessUnit:
    """Return a picture that can be told from every other; nobody decodes it."""
    is_key = number % GROUP == 0
    body = b"%09d" % number + b"\x55" * (KEY_BYTES if is_key else DELTA_BYTES)
    return AccessUnit(b"\0\0\0\1" + (b"\x65" if is_key else b"\x41") + body, number * 90_000 // PICTURES_PER_S, is_key)


async def run_camera(source: EncodedVideoSource) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for number in itertools.count():
        source.push(unit(number))
        await asyncio.sleep(max(0.0, start_s + number / PICTURES_PER_S - loop.time()))


class Viewer:
    """The pictures that came, by number."""

    def __init__(self, ends: tuple[End, End, Any]) -> None:
        self.sender, self.receiver, _ = ends
        self.pictures: list[int] = []
        self.changes: list[PeerLink] = []
        self.sender.link.remote.on(PeerLinkChange, lambda change: self.changes.append(change.link))

    def take(self, data: bytes) -> None:
        number = data[5:14]
        is_whole = number.isdigit() and data == unit(int(number)).data
        self.pictures.append(int(number) if is_whole else BROKEN)

    async def until(self, condition: Any, timeout_s: float = 25.0) -> None:
        await self.sender.until(condition, timeout_s)

    def keys_since(self, start: int) -> list[int]:
        """Return where in `pictures` the key frames are."""
        return [place for place in range(start, len(self.pictures)) if self.pictures[place] % GROUP == 0]

    def check_references(self, start: int) -> None:
        """Every picture from there on can be decoded: a key frame, or the one after the picture before."""
        for before, now in itertools.pairwise(self.pictures[start:]):
            assert now == before + 1 or (now % GROUP == 0 and now > before), (before, now)


@pytest.fixture
def viewers(monkeypatch: pytest.MonkeyPatch) -> list[Viewer]:
    """Fill this in, and the viewers' pictures come to them and to no decoder."""
    found: list[Viewer] = []
    pass_on = DecoderGate.put

    def put(gate: DecoderGate, task: Any) -> None:
        if task is None:
            pass_on(gate, task)  # the end
            return
        for viewer in found:
            sections = viewer.receiver.link.pc.getTransceivers()
            if any(each.receiver._RTCRtpReceiver__decoder_queue is gate for each in sections):
                viewer.take(task[1].data)

    monkeypatch.setattr(DecoderGate, "put", put)
    return found


async def test_the_thin_one_gets_whole_heads_of_groups_and_the_other_everything(
    thin_paths: dict[Any, ThinPath], viewers: list[Viewer]
) -> None:
    source = EncodedVideoSource()
    async with wired() as first, wired() as second:
        viewers += [Viewer(first), Viewer(second)]
        thin, other = viewers
        camera = asyncio.create_task(run_camera(source))
        for viewer in viewers:
            viewer.sender.add(source)
        path = ThinPath()
        for viewer in viewers:
            await viewer.until(lambda viewer=viewer: len(viewer.pictures) > GROUP)
        thin_paths[thin.sender.link.pc.ice] = path

        path.bps = THIN_BPS
        await thin.until(lambda: thin.changes)
        found = len(thin.pictures)
        await thin.until(lambda: len(thin.keys_since(found)) > 3)
        link, (track,) = thin.sender.link.remote.link, (await thin.sender.link.remote.stats()).tracks
        assert link is not None
        assert link.is_thin
        assert link.wanted_bps == pytest.approx(WANTED_BPS, rel=0.25)
        assert link.available_bps is not None
        assert 100_000 <= link.available_bps < 2 * THIN_BPS
        assert track.thinned_pictures > 5

        path.bps = None
        await thin.until(lambda: not thin.changes[-1].is_thin)
        last = source.stats().units
        await thin.until(lambda: thin.pictures[-1] >= last + 2 * GROUP)
        camera.cancel()

    assert [change.is_thin for change in thin.changes][:1] == [True]
    # What the link lost before it was found thin may have cost the group after it as well.
    thin.check_references(thin.keys_since(found)[1])
    tail = thin.pictures[-GROUP:]
    assert tail == list(range(tail[0], tail[0] + GROUP))
    assert other.changes == []
    assert other.pictures == list(range(other.pictures[0], other.pictures[0] + len(other.pictures)))
