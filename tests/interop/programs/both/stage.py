"""What the programs here share: facts to tell, a line to the hub that can be cut, tokens, pictures, an audience.

Like the programs it uses nothing but what both SDKs export. A program is given one JSON object in argv, and tells
facts as JSON lines on stdout: sentences that are true of a client that works.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import math
import struct
import sys
import time
from collections import deque
from urllib.parse import urlsplit

import av
from aiortc import VideoStreamTrack

import metered_realtime as sdk

PATIENCE_S = 8.0
SOON = sdk.ReconnectOptions(initial_delay=0.2, max_delay=0.5)


async def arrives(condition, timeout_s=PATIENCE_S):
    """Tell whether something becomes true in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.01)
            return True
    return False


class Line:
    """A relay of bytes between one client and the hub: `cut` ends it as a dead network does.

    `cut_after` counts: so many pieces from the client later (the request to upgrade is one) it is cut. `latency_s` is
    added to each direction.
    """

    def __init__(self, url):
        self._far = urlsplit(url)
        self._pieces = 0
        self.cut_after = None
        self.latency_s = 0.0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._writers = set()
        self.url = ""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc_info):
        self._server.close()
        self.is_open.set()
        self.cut()

    def cut(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader, writer):
        await self.is_open.wait()
        self._pieces = 0
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
            ends = {writer, far_writer}
            self._writers |= ends
            await asyncio.gather(self._pump(reader, far_writer, True), self._pump(far_reader, writer, False))
            self._writers -= ends

    async def _pump(self, reader, writer, is_up):
        waiting = asyncio.Queue()

        async def deliver():
            while item := await waiting.get():
                await asyncio.sleep(max(0.0, item[0] - time.monotonic()))
                writer.write(item[1])
            writer.close()

        delivery = asyncio.create_task(deliver())
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self._pieces += is_up
                if is_up and self._pieces == self.cut_after:
                    self.cut()
                    break
                waiting.put_nowait((time.monotonic() + self.latency_s, data))
        waiting.put_nowait(None)
        await delivery


class Stage:
    """Where one program meets the hub, and what it has found out."""

    def __init__(self, options, facts):
        self.url, self.key, self.channel = options["url"], options["key"], options["channel"]
        self._secret_id, self._secret = options["secret_id"], options["secret"]
        self._wanted = dict.fromkeys(facts, False)
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        await self._exits.aclose()

    def fact(self, name, holds):
        """Tell whether something holds; once told false it stays so."""
        if name in self._wanted:
            say("fact", name=name, holds=bool(holds))
            del self._wanted[name]
        elif not holds:
            say("fact", name=name, holds=False)

    def finish(self):
        """Whatever was not reached does not hold."""
        for name in list(self._wanted):
            self.fact(name, False)

    async def line(self):
        return await self._exits.enter_async_context(Line(self.url))

    def id_of(self, name):
        """Return the peer id of somebody here: ids are known to the whole hub, where others perform too."""
        return f"{name}@{self.channel}"

    def token(self, name, lifetime_s=60.0, **claims):
        """Sign a token as a back end does."""
        claims = {"sub": self.id_of(name), "exp": time.time() + lifetime_s, **claims}
        parts = ".".join(map(_base64url, ({"alg": "HS256", "kid": self._secret_id}, claims)))
        signature = hmac.new(self._secret.encode(), parts.encode(), hashlib.sha256).digest()
        return f"{parts}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    def provider(self, name, **claims):
        async def provide():
            return self.token(name, **claims)

        return provide

    async def peer(self, name=None, *, line=None, **options):
        """Make a peer that is closed at the end. Without a name it uses the key; of two ids the smaller is polite."""
        if "token_provider" not in options:
            options |= {"token_provider": self.provider(name)} if name else {"api_key": self.key}
        options = {"reconnect": SOON, "url": line.url if line else self.url, **options}
        return await self._exits.enter_async_context(sdk.MeteredPeer(**options))

    async def meet(self, *peers):
        """Let everybody join, one after the other, and see the rest."""
        for peer in peers:
            await peer.join(self.channel)
        await arrives(lambda: all(len(peer.remote_peers) == len(peers) - 1 for peer in peers))


class Audience:
    """Everything that one peer is told, and what it sees and hears, unless somebody else reads its tracks."""

    def __init__(self, peer, *, watches=True):
        self.peer = peer
        self._watches = watches
        self.told = []
        self.frames = deque(maxlen=500)
        self.watching = []
        for kind in (sdk.PeerJoined, sdk.PeerLeft, sdk.Data, sdk.StateChange, sdk.FatalError):
            peer.on(kind, self.told.append)
        peer.on(sdk.PeerJoined, self._listen)

    def _listen(self, event):
        for kind in (sdk.StateChange, sdk.StreamAdded, sdk.StreamRemoved, sdk.DataChannelOpened, sdk.NegotiationError):
            event.peer.on(kind, self.told.append)

        @event.peer.on(sdk.Track)
        def track(event):
            self.told.append(event)
            if self._watches:
                self.watch(event.track)

    def watch(self, track):
        self.watching.append(asyncio.create_task(self._watch(track)))

    async def _watch(self, track):
        async for frame in sdk.iter_frames(track):
            self.frames.append(frame)

    def all(self, kind):
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def remote(self):
        return self.peer.remote_peers[0]

    async def sees(self, width, count=10):
        """Tell whether so many pictures of this width come from now on."""
        self.frames.clear()
        return await arrives(lambda: sum(getattr(frame, "width", 0) == width for frame in self.frames) >= count)

    async def hears(self, low_hz, high_hz, count=25):
        """Tell whether a tone between these frequencies comes from now on: so many frames of it."""
        self.frames.clear()
        return await arrives(lambda: sum(low_hz < pitch_hz(frame) < high_hz for frame in self.frames) >= count)


class Pictures(VideoStreamTrack):
    """Small pictures, whose width tells one from another."""

    def __init__(self, width=64):
        super().__init__()
        self.width = width

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(self.width, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = pts, time_base
        return frame


async def play_tone(source, hz, rate_hz=16_000):
    """Push a tone for ever, 100 ms at a time."""
    for start in range(0, sys.maxsize, rate_hz // 10):
        times = (math.tau * hz * (start + i) / rate_hz for i in range(rate_hz // 10))
        await source.push(struct.pack(f"<{rate_hz // 10}h", *(int(12_000 * math.sin(at)) for at in times)))


def pitch_hz(frame):
    """Return the frequency of a loud tone, from its zero crossings; 0 for silence and for pictures."""
    if not isinstance(frame, av.AudioFrame):
        return 0.0
    samples = memoryview(bytes(frame.planes[0])[: frame.samples * 4]).cast("h")[::2]
    if max(map(abs, samples)) < 3000:
        return 0.0
    rises = [i for i in range(1, len(samples)) if samples[i - 1] < 0 <= samples[i]]
    return (len(rises) - 1) * frame.sample_rate / (rises[-1] - rises[0]) if len(rises) > 1 else 0.0


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def _base64url(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def perform(play, facts):
    """Run `play(stage)`, and tell of each fact whether it holds."""
    say("ready", version=sdk.__version__)

    async def main():
        stage = Stage(json.loads(sys.argv[1]), facts)
        try:
            async with asyncio.timeout(80), stage:
                await play(stage)
        finally:
            stage.finish()
            say("finished")

    asyncio.run(main())
