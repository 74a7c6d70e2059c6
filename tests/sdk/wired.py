"""Two ends of one link in this process: real WebRTC, and signalling by a queue that can delay and lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiortc import AudioStreamTrack, VideoStreamTrack

from metered_realtime import events
from metered_realtime.frames import Description, Envelope
from metered_realtime.local_media import LocalMedia, LocalTrack
from metered_realtime.member_link import MemberLink
from metered_realtime.streams import MediaStream
from tests.sdk.media.tracks import picture


class SmallPictures(VideoStreamTrack):
    """Pictures small enough to encode in no time."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width

    async def recv(self) -> Any:
        pts, time_base = await self.next_timestamp()
        return picture(pts, width=self.width, height=48, time_base=time_base)


class End:
    """One member as the other side's gateway to us, with everything it was told."""

    def __init__(self, name: str, *, polite: bool, receives: bool = True) -> None:
        self.name = name
        self.media = LocalMedia()
        self.outgoing: asyncio.Queue[tuple[Envelope, Callable[[], None]]] = asyncio.Queue()
        self.sent: list[Envelope] = []
        self.link = MemberLink(
            name,
            polite=polite,
            metadata=None,
            local_tracks=lambda: self.media,
            ice_servers=lambda: (),
            send=self._send,
            post=lambda envelope, on_lost: self.outgoing.put_nowait((envelope, on_lost)),
            receives=receives,
        )
        self.told: list[Any] = []
        for event_type in (
            events.StateChange, events.Track, events.StreamAdded, events.StreamRemoved, events.DataChannelOpened,
            events.NegotiationError, events.IceCandidateError, events.ConnectionReset,
        ):  # fmt: skip
            self.link.remote.on(event_type, self.told.append)
        self.link.start()

    async def _send(self, data: Any) -> None:
        self.told.append(data)

    def add(self, track: Any, stream: MediaStream | None = None, metadata: dict[str, Any] | None = None) -> LocalTrack:
        self.media.add(track, self.media.describe(track, stream, metadata))
        local = self.media.get(track)
        assert local is not None
        self.link.media_changed()
        return local

    def remove(self, track: Any) -> None:
        removed = self.media.remove(track)
        assert removed is not None
        self.link.media_changed()

    def all(self, event_type: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, event_type)]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
        async with asyncio.timeout(timeout_s):
            while not (result := condition()):
                await asyncio.sleep(0.005)
        return result

    async def connected(self) -> None:
        await self.until(lambda: self.link.state == "connected")

    async def track(self, number: int = 0) -> Any:
        return (await self.until(lambda: self.all(events.Track)[number:]))[0]

    @property
    def offers(self) -> int:
        return sum(isinstance(each, Description) and each.type == "offer" for each in self.sent)


class Wires:
    """Carries envelopes between two ends, in order. `lose` decides which vanish; then the sender hears of it."""

    def __init__(self, a: End, b: End, delay_s: float = 0.0) -> None:
        self.a, self.b = a, b
        self.delay_s = delay_s
        self.lose: Callable[[End, Envelope], bool] = lambda sender, envelope: False

    async def run(self) -> None:
        await asyncio.gather(self._carry(self.a, self.b), self._carry(self.b, self.a))

    async def _carry(self, sender: End, receiver: End) -> None:
        while True:
            envelope, on_lost = await sender.outgoing.get()
            await asyncio.sleep(self.delay_s)
            sender.sent.append(envelope)
            if self.lose(sender, envelope):
                on_lost()
            else:
                receiver.link.receive(envelope)


@asynccontextmanager
async def wired(delay_s: float = 0.0, *, polite_receives: bool = True) -> AsyncIterator[tuple[End, End, Wires]]:
    """A polite and an impolite end, and the wires between them."""
    polite, impolite = End("polite", polite=True, receives=polite_receives), End("impolite", polite=False)
    wires = Wires(polite, impolite, delay_s)
    running = asyncio.create_task(wires.run())
    try:
        yield polite, impolite, wires
    finally:
        running.cancel()
        for end in (polite, impolite):
            end.link.leave()
            await end.link.aclose()
            await end.media.aclose()


__all__ = ["AudioStreamTrack", "End", "SmallPictures", "Wires", "wired"]
