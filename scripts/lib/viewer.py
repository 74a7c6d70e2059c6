"""What the viewer page sees, for the demo and the system tests: reads `window.edgedViewer`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from scripts.lib.browser import Page, PageError


@dataclass(frozen=True, slots=True)
class CameraSeen:
    """One tile of the page. `frames`: decoded since the page was loaded."""

    name: str
    state: str
    reason: str
    frames: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ReadingsSeen:
    """All readings since the page was loaded: distinct ones, in the order of their first arrival, and repeats."""

    count: int
    duplicates: int
    topics: tuple[str, ...]
    ids: tuple[str, ...]


class Viewer:
    """The viewer page, opened in Chromium."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def joined(self, *, timeout_s: float = 15.0) -> None:
        """Wait until the page is a member of its channel."""
        await self.page.wait_for("return edgedViewer.state() === 'joined'", timeout_s=timeout_s)

    async def first_frame_ms(self, *, timeout_s: float = 30.0) -> int:
        """Wait for the first picture; return the time from the start of navigation to it."""
        first: float = await self.page.wait_for("return edgedViewer.firstFrameMs", timeout_s=timeout_s)
        return round(first)

    async def cameras(self) -> list[CameraSeen]:
        tiles: list[dict[str, Any]] = await self.page.evaluate("return edgedViewer.cameras()")
        return [
            CameraSeen(
                name=tile["name"],
                state=tile["state"],
                reason=tile["reason"],
                frames=tile["framesDecoded"],
                width=tile["width"],
                height=tile["height"],
            )
            for tile in tiles
        ]

    async def camera_in_state(self, name: str, state: str, *, timeout_s: float = 30.0) -> CameraSeen:
        """Wait until the tile of that camera shows that state."""
        script = "return edgedViewer.cameras().some((one) => one.name === arg.name && one.state === arg.state)"
        await self.page.wait_for(script, {"name": name, "state": state}, timeout_s=timeout_s)
        return next(camera for camera in await self.cameras() if camera.name == name)

    async def frames_above(self, name: str, frames: int, *, timeout_s: float = 15.0) -> CameraSeen:
        """Wait until more than `frames` pictures of that camera were decoded."""
        script = "return edgedViewer.cameras().some((one) => one.name === arg.name && one.framesDecoded > arg.frames)"
        await self.page.wait_for(script, {"name": name, "frames": frames}, timeout_s=timeout_s)
        return next(camera for camera in await self.cameras() if camera.name == name)

    async def readings(self) -> ReadingsSeen:
        seen: dict[str, Any] = await self.page.evaluate("return edgedViewer.readings()")
        return ReadingsSeen(seen["count"], seen["duplicates"], tuple(seen["topics"]), tuple(seen["ids"]))

    async def readings_at_least(self, count: int, *, timeout_s: float = 15.0) -> ReadingsSeen:
        """Wait for so many distinct readings; return what is there when they came or the time was over."""
        with contextlib.suppress(PageError):
            await self.page.wait_for("return edgedViewer.readings().count >= arg", count, timeout_s=timeout_s)
        return await self.readings()
