"""The other side of a recovery: a member under our SDK, under the official Python one, or in Chromium, on a road of its
own. Each sends a small picture and tells what it sees of ours."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from metered_realtime import MediaStream, events
from scripts.lib.browser import Browser, Page
from scripts.lib.child import Child
from tests.edged.hub.conftest import KEY
from tests.interop.conftest import PYTHONS, VERSIONS
from tests.sdk.defects.room import Member, Road, Room, token, until
from tests.sdk.wired import SmallPictures

SEEN = 8
PATIENCE_S = 25.0
_numbers = count(1)


class Other(ABC):
    """One member of a room beside ours."""

    kind: str

    def __init__(self, room: Room, road: Road, peer_id: str | None) -> None:
        self.room, self.road, self.peer_id = room, road, peer_id
        self.name = f"{self.kind}-{next(_numbers)}"

    @property
    def access(self) -> dict[str, Any]:
        """How a program of another process or language comes in."""
        return {"token": token(self.peer_id)} if self.peer_id else {"key": KEY}

    @abstractmethod
    async def join(self) -> None:
        """Become a member, with a picture."""

    @abstractmethod
    async def show(self, width: int) -> bool:
        """Send pictures of another width; False where there is only one."""

    @abstractmethod
    async def sees(self, width: int) -> None:
        """Wait for several pictures of this width."""

    @abstractmethod
    async def knows_that_ours_left(self, times: int) -> None:
        """Wait until it has been told so often that somebody left."""

    @abstractmethod
    async def joined_times(self) -> int:
        """Return how often it has been told that somebody joined."""

    @abstractmethod
    async def leave(self) -> None:
        """Close the member."""


class OursAsOther(Other):
    """A member under our SDK, in this process."""

    kind = "ours"

    async def join(self) -> None:
        self.member = await self.room.member(self.peer_id, road=self.road)
        self.pictures = SmallPictures()
        self.member.peer.add_track(self.pictures, MediaStream(id="camera"))
        await self.member.peer.join(self.room.channel)

    async def show(self, width: int) -> bool:
        self.pictures.width = width
        return True

    async def sees(self, width: int) -> None:
        await self.member.sees(width, SEEN)

    async def knows_that_ours_left(self, times: int) -> None:
        await self.member.told_of(events.PeerLeft, times - 1)

    async def joined_times(self) -> int:
        return len(self.member.all(events.PeerJoined))

    async def leave(self) -> None:
        await self.member.aclose()


class OfficialPython(Other):
    """A member under the official Python SDK, in a process that several share."""

    kind = "official"

    def __init__(self, room: Room, road: Road, peer_id: str | None, child: Child) -> None:
        super().__init__(room, road, peer_id)
        self.child = child

    async def join(self) -> None:
        await self._tell("join", url=self.road.url, channel=self.room.channel, **self.access)
        await self.child.event("here", name=self.name)

    async def show(self, width: int) -> bool:
        await self._tell("show", width=width)
        return True

    async def sees(self, width: int) -> None:
        def seen() -> bool:
            return any(event["frames"] >= SEEN for event in self._events("pictures", width=width))

        await self.child.until(seen, f"pictures {width} wide for {self.name}", timeout_s=PATIENCE_S)

    async def knows_that_ours_left(self, times: int) -> None:
        await self.child.until(lambda: len(self._events("left")) >= times, "to be told", timeout_s=PATIENCE_S)

    async def joined_times(self) -> int:
        return len(self._events("joined"))

    async def leave(self) -> None:
        await self._tell("leave")
        await self.child.event("gone", name=self.name)

    def _events(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.child.events_of(kind, name=self.name, **fields)

    async def _tell(self, what: str, **fields: Any) -> None:
        await self.child.tell({"do": what, "name": self.name, **fields})


class InChromium(Other):
    """A member with the browser's own SDK, in a page that several share."""

    kind = "chromium"

    def __init__(self, room: Room, road: Road, peer_id: str | None, page: Page) -> None:
        super().__init__(room, road, peer_id)
        self.page = page

    async def join(self) -> None:
        arg = {"name": self.name, "url": self.road.url, "channel": self.room.channel, **self.access}
        await self.page.evaluate("await join(arg)", arg)

    async def show(self, width: int) -> bool:
        return False

    async def sees(self, width: int) -> None:
        wanted = {"name": self.name, "width": width, "frames": 1}
        now = await self.page.wait_for("return await seen(arg)", wanted, timeout_s=PATIENCE_S)
        wanted["frames"] = now + SEEN
        await self.page.wait_for("return await seen(arg)", wanted, timeout_s=PATIENCE_S)

    async def knows_that_ours_left(self, times: int) -> None:
        arg = {"name": self.name, "times": times}
        await self.page.wait_for("return members.get(arg.name).left >= arg.times", arg, timeout_s=PATIENCE_S)

    async def joined_times(self) -> int:
        return await self.page.evaluate("return members.get(arg).joined", self.name)

    async def leave(self) -> None:
        await self.page.evaluate("await leave(arg)", self.name)


class Others:
    """Makes the other sides of one kind; they share a process or a page."""

    def __init__(self, kind: str, host: Any = None) -> None:
        self.kind = kind
        self._host = host

    async def one(self, room: Room, peer_id: str | None) -> Other:
        road = await room.road()
        match self.kind:
            case "official":
                return OfficialPython(room, road, peer_id, self._host)
            case "chromium":
                return InChromium(room, road, peer_id, self._host)
        return OursAsOther(room, road, peer_id)


@asynccontextmanager
async def others(kind: str, browser: Browser) -> AsyncIterator[Others]:
    """Start what members of this kind live in."""
    async with AsyncExitStack() as stack:
        host: Any = None
        if kind == "official":
            argv = [PYTHONS[kind], Path(__file__).parent / "programs/members.py"]
            host = await stack.enter_async_context(Child("members (official)", argv, env={"PYTHONPATH": ""}))
            assert (await host.event("ready", timeout_s=30))["version"] == VERSIONS[kind]
        elif kind == "chromium":
            host = await browser.open(html=(Path(__file__).parent / "members.html").read_text())
            stack.push_async_callback(_close, browser, host)
            await host.wait_for("return globalThis.ready")
        yield Others(kind, host)


async def _close(browser: Browser, page: Page) -> None:
    await page.close()
    browser.forget(page)


class Pair:
    """Ours and the other in one room, seeing each other."""

    def __init__(self, ours: Member, other: Other) -> None:
        self.ours, self.other = ours, other
        self.pictures = SmallPictures()
        ours.peer.add_track(self.pictures, MediaStream(id="camera"))
        self.was_polite = False
        self._width = self.pictures.width

    @property
    def remote(self) -> Any:
        """The other, as ours knows it now; who it was before may still be listed."""
        return self.ours.peer.remote_peers[-1]

    async def meet(self, room: Room) -> None:
        await self.other.join()
        await self.ours.peer.join(room.channel)
        await self.see_each_other()
        self.was_polite = self.remote.polite

    async def leave(self) -> None:
        await asyncio.gather(self.ours.aclose(), self.other.leave())

    async def pictures_arrive(self) -> None:
        """Pictures made from now on arrive, both ways."""
        self._width += 32
        self.pictures.width = self._width
        await asyncio.gather(self._ours_sees(), self.other.sees(self._width))

    async def see_each_other(self) -> None:
        """Pictures arrive, and ours says so."""
        await self.pictures_arrive()
        await until(lambda: self.remote.state == "connected", PATIENCE_S)

    async def _ours_sees(self) -> None:
        if await self.other.show(self._width):
            await until_seen(self.ours, self._width)
        else:
            received = self.ours.received
            await until(lambda: self.ours.received >= received + SEEN, PATIENCE_S)


async def until_seen(member: Member, width: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await member.sees(width, SEEN)
