"""Members of rooms, several in one process, each with a small moving picture: the tests run it under either SDK.

Commands come as JSON lines on stdin, events go as JSON lines to stdout. Uses nothing but what both SDKs export.
"""

from __future__ import annotations

import asyncio
import json
import sys

import av
from aiortc import VideoStreamTrack

import metered_realtime as sdk

HEIGHT = 48
SOON = sdk.ReconnectOptions(initial_delay=0.1, max_delay=0.2)


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Pictures(VideoStreamTrack):
    """Pictures whose width the test changes, to tell older from newer ones."""

    width = 64

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(self.width, HEIGHT, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = pts, time_base
        return frame


class Member:
    """One member, known to the test by a name."""

    def __init__(self, name, url, token, key, *, sends):
        async def provide():
            return token

        access = {"token_provider": provide} if token else {"api_key": key}
        self.name = name
        self.peer = sdk.MeteredPeer(url=url, reconnect=SOON, **access)
        self.pictures = Pictures()
        if sends:
            self.peer.add_track(self.pictures, sdk.MediaStream(id="camera"))
        self.peer.on(sdk.PeerJoined, self._joined)
        self.peer.on(sdk.PeerLeft, lambda event: say("left", name=name, peer=event.peer.id))
        self.peer.on(sdk.StateChange, lambda event: say("state", name=name, state=event.to))

    def _joined(self, event):
        remote = event.peer
        say("joined", name=self.name, peer=remote.id)
        remote.on(sdk.StateChange, lambda event: say("remote_state", name=self.name, peer=remote.id, state=event.to))
        remote.on(sdk.NegotiationError, lambda event: say("error", name=self.name, text=str(event.err)))

        @remote.on(sdk.Track)
        async def track(event):
            say("track", name=self.name, peer=remote.id)
            frames, width = 0, 0
            async for frame in sdk.iter_frames(event.track):
                frames, width = (frames + 1 if frame.width == width else 1), frame.width
                if frames % 5 == 0:
                    say("pictures", name=self.name, peer=remote.id, width=width, frames=frames)


async def main():
    members = {}
    say("ready", version=sdk.__version__)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        name = command["name"]
        match command["do"]:
            case "join":
                access = (command["url"], command.get("token"), command.get("key"))
                member = members[name] = Member(name, *access, sends=command.get("sends", True))
                await member.peer.join(command["channel"])
                say("here", name=name, peer=member.peer.peer_id)
            case "show":
                members[name].pictures.width = command["width"]
            case "leave":
                await members.pop(name).peer.close()
                say("gone", name=name)


asyncio.run(main())
