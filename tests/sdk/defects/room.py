"""A room on the plainest hub (it tells of a drop at once), roads to it that lose, delay and cut, members on them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import jwt
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from edged.hub.settings import TokenSecretSettings
from edged.settings import Secret
from metered_realtime import MeteredPeer, ReconnectOptions, SignallingClient, events
from metered_realtime.media.frames import iter_frames
from tests.edged.hub.conftest import KEY, RunningHub, hub_settings, running_hub

SECRET = "sk_secret_" + "0123456789abcdef" * 3
SOON = ReconnectOptions(initial_delay=0.1, max_delay=0.2)

Frame = dict[str, Any]


class Road:
    """One client's way to the hub. What its client sent is in `sent`, in order; `largest_bytes` is its largest frame,
    `rosters` counts what the hub told of members on this connection; `has_subscribed`: a request of it was granted.

    `lose`: the frame of the client vanishes, and its sender is told that it was taken. `withhold`: the frame of the
    hub never arrives. `change` may alter a frame of the client. Connections wait for `is_open`. `extra_latency_s` is
    added each way.
    """

    def __init__(self, hub: RunningHub) -> None:
        self.url = ""
        self.sent: list[Frame] = []
        self.extra_latency_s = 0.0
        self.connections = 0
        self.rosters, self.has_subscribed = 0, False
        self.has_subscribed = False
        self.largest_bytes = 0
        self.lose: Callable[[Frame], bool] = lambda frame: False
        self.withhold: Callable[[Frame], bool] = lambda frame: False
        self.change: Callable[[Frame], None] | None = None
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._hub = hub
        self._near: ServerConnection | None = None
        self._far: ClientConnection | None = None

    def cut(self) -> None:
        """End the connection as a lost network does; both sides notice at once."""
        for end in (self._near, self._far):
            if end is not None:
                end.transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection as the service does."""
        assert self._near is not None
        await self._near.close(code, reason)

    async def inject(self, text: str) -> None:
        """Let the client hear this."""
        assert self._near is not None
        await self._near.send(text)

    def of_type(self, kind: str) -> list[Frame]:
        return [frame for frame in self.sent if frame["type"] == kind]

    @property
    def descriptions(self) -> list[Frame]:
        """The session descriptions the client sent."""
        return [found for frame in self.of_type("send") if (found := description_of(frame))]

    async def carry(self, near: ServerConnection) -> None:
        await self.is_open.wait()
        assert near.request is not None
        url = f"ws://127.0.0.1:{self._hub.port}{near.request.path}"
        async with connect(url, compression=None, proxy=None, max_size=None) as far:
            self.connections += 1
            self.rosters, self.has_subscribed = 0, False
            self._near, self._far = near, far
            ways = {
                asyncio.create_task(self._pump(near, far, self._goes_up)),
                asyncio.create_task(self._pump(far, near, self._goes_down)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            await near.close(far.close_code or 1000, far.close_reason or "")

    async def _pump(self, source: Any, sink: Any, passes: Callable[[Frame], Awaitable[bool]]) -> None:
        on_the_way: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()

        async def read() -> None:
            with contextlib.suppress(ConnectionClosed):
                async for text in source:
                    if source is self._near:
                        self.largest_bytes = max(self.largest_bytes, len(text.encode()))
                    on_the_way.put_nowait((asyncio.get_running_loop().time() + self.extra_latency_s, text))
            on_the_way.put_nowait(None)

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            with contextlib.suppress(ConnectionClosed):
                while (item := await on_the_way.get()) is not None:
                    await asyncio.sleep(max(0.0, item[0] - asyncio.get_running_loop().time()))
                    frame, text = json.loads(item[1]), item[1]
                    if source is self._near and self.change is not None:
                        self.change(frame)
                        text = json.dumps(frame)
                    if await passes(frame):
                        await sink.send(text)

    async def _goes_up(self, frame: Frame) -> bool:
        self.sent.append(frame)
        if not self.lose(frame):
            return True
        await self.inject(json.dumps({"type": "ack", "requestId": frame["requestId"]}))
        return False

    async def _goes_down(self, frame: Frame) -> bool:
        self.rosters += frame["type"] == "presence"
        self.has_subscribed |= frame["type"] == "ack"
        return not self.withhold(frame)


def description_of(frame: Frame) -> Frame | None:
    """Return `type` and `sdp` of the session description in a frame, if it carries one."""
    data = frame.get("data")
    return data["description"] if isinstance(data, dict) and data.get("type") == "rtc-description" else None


class Member:
    """A peer of ours on its own road, with all its remote peers told and the frames that reached it."""

    def __init__(self, peer: MeteredPeer, road: Road) -> None:
        self.peer = peer
        self.road = road
        self.told: list[Any] = []
        self.frames: deque[Any] = deque(maxlen=400)
        self.received = 0
        self.picture_times_s: deque[float] = deque(maxlen=10_000)
        self.readers: list[asyncio.Task[None]] = []
        for event_type in (events.PeerLeft, events.Data, events.FatalError):
            peer.on(event_type, self.told.append)
        peer.on(events.PeerJoined, self._watch)

    def _watch(self, joined: events.PeerJoined) -> None:
        self.told.append(joined)
        for event_type in (
            events.StateChange, events.Track, events.StreamAdded, events.StreamRemoved, events.DataChannelOpened,
            events.NegotiationError, events.IceCandidateError,
        ):  # fmt: skip
            joined.peer.on(event_type, self.told.append)
        joined.peer.on(events.Track, lambda event: self.readers.append(asyncio.create_task(self._read(event.track))))

    async def _read(self, track: Any) -> None:
        async for frame in iter_frames(track):
            self.received += 1
            self.frames.append(frame)
            if hasattr(frame, "width"):
                self.picture_times_s.append(float(frame.pts * frame.time_base))

    def longest_gap_ms(self) -> float:
        """Between two pictures that followed each other, by the sender's clock: a busy machine makes none."""
        return max(after - before for before, after in pairwise(self.picture_times_s)) * 1000

    def all(self, event_type: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, event_type)]

    @property
    def remote(self) -> Any:
        (remote,) = self.peer.remote_peers
        return remote

    async def told_of(self, event_type: type[Any], number: int = 0) -> Any:
        return (await until(lambda: self.all(event_type)[number:]))[0]

    async def sees(self, width: int, count: int = 5) -> None:
        """Wait for pictures of this width among what comes from now on."""
        self.frames.clear()
        await until(lambda: sum(getattr(frame, "width", 0) == width for frame in self.frames) >= count)

    async def hears(self, *, loud: bool, count: int = 10) -> None:
        """Wait for sound, or for silence, among what comes from now on."""
        self.frames.clear()
        await until(lambda: sum(is_sound(frame) and is_loud(frame) == loud for frame in self.frames) >= count)

    async def connected(self) -> None:
        await until(lambda: self.peer.remote_peers and self.remote.state == "connected")

    async def rejoined(self, connections: int) -> None:
        await until(lambda: self.road.connections >= connections and self.peer.state == "joined")

    async def aclose(self) -> None:
        await self.peer.close()
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)


def is_sound(frame: Any) -> bool:
    return hasattr(frame, "samples")


def is_loud(frame: Any) -> bool:
    samples = memoryview(bytes(frame.planes[0])).cast("h")
    return max(map(abs, samples)) > 1000


async def until(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    async with asyncio.timeout(timeout_s):
        while not (result := condition()):
            await asyncio.sleep(0.005)
    return result


class Room:
    """A channel, and how to get there."""

    def __init__(self, hub: RunningHub, stack: AsyncExitStack, channel: str = "room") -> None:
        self.hub = hub
        self.channel = channel
        self._stack = stack

    def next_door(self, channel: str) -> Room:
        return Room(self.hub, self._stack, channel)

    async def road(self) -> Road:
        road = Road(self.hub)
        server = await self._stack.enter_async_context(
            serve(road.carry, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None, close_timeout=0.2)
        )
        road.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._stack.callback(road.cut)
        return road

    def access(self, peer_id: str | None, **claims: Any) -> dict[str, Any]:
        """Options of a client: without an id a key (another id at each connection), else tokens for that id."""
        return {"api_key": KEY} if peer_id is None else {"token_provider": token_provider(peer_id, **claims)}

    async def member(self, peer_id: str | None = None, *, road: Road | None = None, **options: Any) -> Member:
        """Make a member that has not joined yet. Of two ids the smaller one is polite."""
        road = road or await self.road()
        options = {"reconnect": SOON, **self.access(peer_id), **options}
        member = Member(MeteredPeer(url=road.url, **options), road)
        self._stack.push_async_callback(member.aclose)
        return member

    async def client(
        self, peer_id: str | None = None, *, token_provider: Any = None, **claims: Any
    ) -> tuple[SignallingClient, Road]:
        """Connect a raw client."""
        road = await self.road()
        access = {"token_provider": token_provider} if token_provider else self.access(peer_id, **claims)
        client = SignallingClient(url=road.url, reconnect=SOON, **access)
        self._stack.push_async_callback(client.close)
        await client.connect()
        return client, road

    async def meet(self, *members: Member) -> None:
        for member in members:
            await member.peer.join(self.channel)
        await until(lambda: all(len(each.peer.remote_peers) == len(members) - 1 for each in members))


def token(peer_id: str, **claims: Any) -> str:
    payload = {"sub": peer_id, "exp": time.time() + 3600, **claims}
    return jwt.encode(payload, SECRET, "HS256", headers={"kid": "sk_id_1"})


def token_provider(peer_id: str, **claims: Any) -> Callable[[], Awaitable[str]]:
    async def provide() -> str:
        return token(peer_id, **claims)

    return provide


def hub_with_secrets(**settings: Any) -> AbstractAsyncContextManager[RunningHub]:
    """A hub that takes the tokens of this file."""
    secrets = (TokenSecretSettings(id="sk_id_1", secret=Secret(SECRET)),)
    return running_hub(hub_settings(token_secrets=secrets, **settings))


@asynccontextmanager
async def room_of_hub(**settings: Any) -> AsyncIterator[Room]:
    """A room of a hub with these settings."""
    async with hub_with_secrets(**settings) as hub, AsyncExitStack() as stack:
        yield Room(hub, stack)


def plain_room() -> AbstractAsyncContextManager[Room]:
    """A room of a hub that holds nobody's seat."""
    return room_of_hub(hold_s=0)
