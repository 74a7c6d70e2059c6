"""Pictures and peers under a test's control: the two seams of a camera, where it reads and where it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, cast

from edged.cameras.losses import Losses
from edged.cameras.pictures import Pictures, Road
from edged.settings import CameraSettings, Secret
from metered_realtime import (
    CodecsAgreed,
    ConnectionReset,
    Data,
    Event,
    FatalError,
    MediaStream,
    MeteredPeerSendError,
    PeerJoined,
    PeerLeft,
    PeerLink,
    PeerLinkChange,
    RemotePeer,
    StateChange,
)
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.rtsp import VideoDescription

VIDEO = VideoDescription("H264", 1280, 720, "Constrained Baseline", has_b_frames=False)


def settings(name: str = "yard", **options: Any) -> CameraSettings:
    given = {"linger_s": 0.0, "source": Secret("rtsp://192.168.1.20/1"), **options}
    return CameraSettings(name=name, **given)


class FakePictures:
    """One life of a source; `show` gives a picture, `fail` ends it."""

    def __init__(self, video: VideoDescription, road: str = "") -> None:
        self.video = video
        self.road = road
        self.closed = asyncio.Event()
        self.lost = Losses()
        self.take: Callable[[AccessUnit], bool] = lambda _: False
        self._items: asyncio.Queue[AccessUnit | Exception] = asyncio.Queue()

    def losses(self) -> Losses:
        return self.lost

    def show(self, number: int, *, key: bool = True) -> None:
        self._items.put_nowait(AccessUnit(b"picture", number * 3000, key))

    def give(self, unit: AccessUnit) -> None:
        self._items.put_nowait(unit)

    def hand_over(self, take: Callable[[AccessUnit], bool]) -> None:
        """What is given to `take` comes at once, past what is shown."""
        self.take = take

    def fail(self, error: Exception) -> None:
        self._items.put_nowait(error)

    async def access_units(self) -> AsyncIterator[AccessUnit]:
        while True:
            item = await self._items.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def __aenter__(self) -> Pictures:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()


class FakeSource:
    """Gives each life that a camera opens to the test, in order."""

    def __init__(self, video: VideoDescription = VIDEO) -> None:
        self.video = video
        self.refusal: Exception | None = None
        self.encoded_video = VIDEO
        self.opened: asyncio.Queue[FakePictures] = asyncio.Queue()
        self.count = 0
        self.roads: list[str] = []

    def open(self, _: CameraSettings, road: Road = "as it is") -> FakePictures:
        self.count += 1
        self.roads.append(road)
        if self.refusal is not None:
            raise self.refusal
        encoded = road != "as it is"
        life = FakePictures(self.encoded_video if encoded else self.video, "encoded by libx264" if encoded else "")
        self.opened.put_nowait(life)
        return life

    async def life(self) -> FakePictures:
        """Return the next life, as soon as it is opened."""
        return await asyncio.wait_for(self.opened.get(), 5)


class FakePeer:
    """What a channel uses of `MeteredPeer`; everything sent is in `sent` as (peer id or None, data)."""

    def __init__(self) -> None:
        self.state = "idle"
        self.channel = ""
        self.streams: list[tuple[MediaStream, dict[str, Any]]] = []
        self.sent: asyncio.Queue[tuple[str | None, Any]] = asyncio.Queue()
        self.closed = False
        self.fails = False
        self.refusal: Exception | None = None
        self.remotes: dict[str, FakeRemote] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {}

    def on(self, kind: type[Event], handler: Callable[[Any], None]) -> None:
        self._handlers[kind] = handler

    async def join(self, channel: str, *, media: str = "both") -> None:
        if self.refusal is not None:
            raise self.refusal
        self.channel = channel
        self.move("joined")

    def add_stream(self, stream: MediaStream, metadata: dict[str, Any]) -> None:
        self.streams.append((stream, metadata))

    async def send(self, data: Any) -> None:
        self._send(None, data)

    async def send_to(self, peer_id: str, data: Any) -> None:
        self._send(peer_id, data)

    def _send(self, peer_id: str | None, data: Any) -> None:
        if self.state != "joined" or self.fails or peer_id == "gone":
            raise MeteredPeerSendError("not_joined", "not joined")
        self.sent.put_nowait((peer_id, data))

    async def close(self) -> None:
        self.closed = True

    def move(self, state: Any) -> None:
        before, self.state = self.state, state
        self._tell(StateChange(before, state))  # type: ignore[arg-type]

    def come(self, peer_id: str, metadata: dict[str, Any] | None = None) -> None:
        remote = self.remotes[peer_id] = FakeRemote(peer_id, metadata)
        self._tell(PeerJoined(cast("RemotePeer", remote)))

    def leave(self, peer_id: str) -> None:
        self._tell(PeerLeft(cast("RemotePeer", FakeRemote(peer_id))))

    def say(self, peer_id: str, data: Any) -> None:
        self._tell(Data(peer_id, data, "direct"))

    def link(self, peer_id: str, *, is_thin: bool) -> None:
        link = PeerLink(is_thin=is_thin, available_bps=None, wanted_bps=2e6, fraction_lost=None, rtt_s=None)
        self._tell(PeerLinkChange(cast("RemotePeer", self.remotes[peer_id]), link))

    def die(self, error: Exception) -> None:
        self._tell(FatalError(error))

    async def next_sent(self) -> tuple[str | None, dict[str, Any]]:
        return await asyncio.wait_for(self.sent.get(), 5)

    def _tell(self, event: Event) -> None:
        if type(event) in self._handlers:
            self._handlers[type(event)](event)


class FakeRemote:
    """A member; `chosen` are the streams it is sent, after every choice."""

    def __init__(self, peer_id: str, metadata: dict[str, Any] | None = None) -> None:
        self.id = peer_id
        self.metadata = metadata
        self.chosen: list[list[MediaStream]] = []
        self.codecs: frozenset[str] = frozenset()
        self.state = "connected"
        self._handlers: dict[type[Event], Callable[[Any], None]] = {}

    def on(self, kind: type[Event], handler: Callable[[Any], None]) -> None:
        self._handlers[kind] = handler

    def move(self, state: Any) -> None:
        before, self.state = self.state, state
        self._handlers[StateChange](StateChange(before, state))

    def reset(self) -> None:
        self._handlers[ConnectionReset](ConnectionReset())

    def choose_media(self, media: list[MediaStream]) -> None:
        self.chosen.append(media)

    def agree(self, *codecs: str) -> None:
        """The member answers an offer with these."""
        self.codecs = frozenset(codecs)
        self._handlers[CodecsAgreed](CodecsAgreed(self.codecs))
