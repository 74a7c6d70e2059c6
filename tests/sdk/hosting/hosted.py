"""A program with a loop of its own in which peers come and go; reports what they changed of it.

Argument: one JSON object with url, key, channel, loop ("asyncio", "uvloop"), in_thread (the loop runs in another
thread than the main one).
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

from tests.sdk.hosting.room import (
    LOOPS,
    descriptors,
    exchange_media,
    say,
    signal_handlers,
    tasks,
    threads,
    two_members,
)
from tests.sdk.wired import SmallPictures


def name_of_thread() -> str:
    return threading.current_thread().name


def surroundings() -> dict[str, Any]:
    """Return what belongs to the host and is not a peer's to change."""
    loop = asyncio.get_running_loop()
    return {
        "signals": signal_handlers(),
        "exception_handler": loop.get_exception_handler(),
        "task_factory": loop.get_task_factory(),
        "debug": loop.get_debug(),
        "excepthook": threading.excepthook,
        "tasks": tasks(),
        "threads": [name for name in threads() if name != "host"],
    }


async def main(options: dict[str, Any]) -> None:
    address = (options["url"], options["key"], options["channel"])
    before = surroundings()
    async with asyncio.timeout(30):
        async with two_members(*address):
            pass  # a loop keeps descriptors of its own from its first connection on
        fds = descriptors()
        async with two_members(*address) as (first, second):
            await exchange_media(first, second, SmallPictures())
    after = surroundings()
    say("changed", values={name: str(after[name]) for name in before if before[name] != after[name]})
    # The loop is still the host's to use: its executor works, and so does a task.
    thread = await asyncio.get_running_loop().run_in_executor(None, name_of_thread)
    say("alive", thread=thread, fds=[fds, descriptors()])


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    run = LOOPS[arguments["loop"]]
    if arguments["in_thread"]:
        host = threading.Thread(target=run, args=[main(arguments)], name="host")
        host.start()
        host.join()
    else:
        run(main(arguments))
    say("ended", threads=[thread.name for thread in threading.enumerate() if thread is not threading.main_thread()])
