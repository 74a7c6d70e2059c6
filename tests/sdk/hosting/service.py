"""A web service with a peer in its lifespan, as FastAPI's documentation has it: join at startup, close at shutdown.

Argument: one JSON object with url, key, channel, loop ("asyncio", "uvloop").
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from metered_realtime import Data, MeteredPeer
from tests.sdk.hosting.room import say, signal_handlers, tasks, threads
from tests.sdk.wired import SmallPictures

OPTIONS = json.loads(sys.argv[1])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    before, handlers = tasks(), signal_handlers()
    app.state.heard = []
    async with MeteredPeer(api_key=OPTIONS["key"], url=OPTIONS["url"]) as peer:
        peer.on(Data, lambda event: app.state.heard.append(event.data))
        peer.add_track(SmallPictures(), metadata={"role": "camera"})
        await peer.join(OPTIONS["channel"])
        app.state.peer = peer
        yield
    now = signal_handlers()
    changed = [name for name, handler in handlers.items() if now[name] != handler]
    say("closed", tasks=[name for name in tasks() if name not in before], threads=threads(), signals=changed)


app = FastAPI(lifespan=lifespan)


@app.post("/say")
async def say_to_all(request: Request) -> dict[str, Any]:
    peer: MeteredPeer = request.app.state.peer
    await peer.send(await request.json())
    return {"peer": peer.peer_id, "members": [remote.id for remote in peer.remote_peers]}


@app.get("/heard")
async def heard(request: Request) -> list[Any]:
    answer: list[Any] = request.app.state.heard
    return answer


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say("listening", port=listener.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(app, loop=OPTIONS["loop"], log_level="warning"))
        server.run(sockets=[listener])
