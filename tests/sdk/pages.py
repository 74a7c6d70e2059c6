"""Programs as they stand on the pages of docs/, run as child processes."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.sdk.real_hub import KEY, ROOT, environment

PAGES = ROOT / "docs/sdk"
KEY_SHOWN, HUB_SHOWN = "pk_live_choose_something", "ws://127.0.0.1:7880"


def blocks(page: Path, language: str = "python") -> list[str]:
    """Return the blocks marked as this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@asynccontextmanager
async def running(program: str, url: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program of a page as it stands there, but for the address and the key of the hub."""
    assert HUB_SHOWN in program
    text = program.replace(KEY_SHOWN, KEY).replace(HUB_SHOWN, url)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", text, env=environment(), cwd=folder, stdin=pipe, stdout=pipe
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def next_line(child: asyncio.subprocess.Process) -> str:
    """Return the next line the program writes."""
    assert child.stdout is not None
    async with asyncio.timeout(20):
        return (await child.stdout.readline()).decode().strip()


async def rest(child: asyncio.subprocess.Process) -> list[str]:
    """Wait until the program has ended, and well; return the lines it still wrote."""
    async with asyncio.timeout(20):
        output, _ = await child.communicate()
    assert child.returncode == 0
    return output.decode().splitlines()
