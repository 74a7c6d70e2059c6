"""What the hosted programs of test_hosting.py share: two peers in a room, and what a process holds at a moment."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from metered_realtime import DataChannel, DataChannelOpened, DCMessage, MeteredPeer, PeerJoined, Track

# Threads of the loop's own executor: the loop's owner has them, and ends them with the loop.
EXECUTOR_THREADS = ("asyncio_", "uvloop_")
LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def threads() -> list[str]:
    """Return the names of all threads but the main one and those of the loop's executor."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    return [name for name in names if not name.startswith(EXECUTOR_THREADS)]


def tasks() -> list[str]:
    """Return the names of all tasks but the one that asks."""
    return sorted(task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()})


def descriptors() -> list[str]:
    """Return what the open descriptors of the process are: "socket", "pipe", a path."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()).partition(":[")[0])
        except FileNotFoundError:  # the one that lists the folder
            continue
    return sorted(found)


def resident_kb() -> int:
    """Return the resident memory of the process, after a collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KB


def signal_handlers() -> dict[str, Any]:
    """Return what the process does at each signal."""
    return {number.name: signal.getsignal(number) for number in signal.Signals}


@asynccontextmanager
async def two_members(url: str, key: str, channel: str) -> AsyncIterator[tuple[MeteredPeer, MeteredPeer]]:
    """Two peers that see each other; both are closed at the end."""
    async with MeteredPeer(api_key=key, url=url) as first, MeteredPeer(api_key=key, url=url) as second:
        await first.join(channel)
        async with first.events(PeerJoined) as joined:
            await second.join(channel)
            await anext(joined)
        yield first, second


async def exchange_media(sender: MeteredPeer, viewer: MeteredPeer, track: Any) -> None:
    """Send a track and an echo over a data channel; returns when both have been received."""
    (remote,) = viewer.remote_peers
    (other,) = sender.remote_peers
    async with remote.events(Track) as tracks, remote.events(DataChannelOpened) as channels:
        sender.add_track(track)
        ours = DataChannel(other.create_data_channel("hosting"))
        theirs = DataChannel((await anext(channels)).channel)
        async with theirs.events(DCMessage) as heard:
            await opened(ours)
            await ours.send("hello")
            assert (await anext(heard)).data == "hello"
        await (await anext(tracks)).track.recv()


async def opened(channel: DataChannel) -> None:
    while channel.ready_state != "open":
        await asyncio.sleep(0.005)
