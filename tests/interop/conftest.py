"""One hub and one Chromium for the whole folder; programs of both Python SDKs and pages of the browser SDK in rooms."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from scripts.lib import peers
from scripts.lib.browser import Browser, Page, PageError
from scripts.lib.child import ROOT, Child

HERE = Path(__file__).parent
SDKS = ("official", "ours")
PYTHONS = {"official": ROOT / ".venv-official/bin/python", "ours": Path(sys.executable)}
VERSIONS = {"official": "1.0.2", "ours": "1.1.0"}


@dataclass(frozen=True, slots=True)
class Room:
    """Where one test's peers meet: the hub and a channel of its own."""

    url: str
    key: str
    channel: str

    @property
    def address(self) -> dict[str, str]:
        return {"url": self.url, "key": self.key, "channel": self.channel}


RunProgram = Callable[..., Awaitable[Child]]
OpenPage = Callable[[], Awaitable[Page]]

_rooms = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hub() -> AsyncIterator[peers.Hub]:
    async with peers.hub() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as running:
        yield running


@pytest.fixture
def room(hub: peers.Hub) -> Room:
    return Room(hub.url, hub.key, f"room-{next(_rooms)}")


@pytest_asyncio.fixture(loop_scope="session")
async def run_program(room: Room) -> AsyncIterator[RunProgram]:
    """Start tests/interop/programs/NAME.py under an SDK: `await run_program("peer", "official", video=True)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(name: str, sdk: str, *, expect: str = "ready", **options: Any) -> Child:
            argv = [PYTHONS[sdk], HERE / "programs" / f"{name}.py", json.dumps({**room.address, **options})]
            env = peers.tree_environment() if sdk == "ours" else {"PYTHONPATH": ""}
            child = await stack.enter_async_context(Child(f"{name} ({sdk})", argv, env=env))
            first = await child.event(expect, timeout_s=20)
            assert first["version"] == VERSIONS[sdk]
            return child

        yield run


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Open a page with the helpers of page.html; a JavaScript error in it fails the test."""
    pages: list[Page] = []

    async def open_one() -> Page:
        page = await browser.open(html=(HERE / "page.html").read_text())
        pages.append(page)
        await page.wait_for("return globalThis.ready")
        return page

    yield open_one
    for page in pages:
        await page.close()
        browser.forget(page)
    assert [error for page in pages for error in page.errors] == []


async def page_event(page: Page, event: str, /, *, timeout_s: float = 20.0, **fields: Any) -> dict[str, Any]:
    """Wait for an event of page.html whose fields have these values."""
    wanted = {"event": event, "fields": fields}
    try:
        found: dict[str, Any] = await page.wait_for("return has(arg.event, arg.fields)", wanted, timeout_s=timeout_s)
    except PageError as error:
        error.add_note(f"wanted {wanted}, the page had {await page.evaluate('return events')}")
        raise
    return found


async def join_page(page: Page, room: Room, **options: Any) -> str:
    """Let the page join the room; returns its peer id."""
    peer_id: str = await page.evaluate("return await joinRoom(arg)", {**room.address, **options})
    return peer_id


@pytest.fixture
def no_crossing_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our side lets a page offer first, however slow the machine is: crossing offers are test_glare's, and Chromium may
    not survive one that it has to take back at once."""
    monkeypatch.setattr("metered_realtime.negotiation.FIRST_OFFER_GRACE_S", 1.0)
