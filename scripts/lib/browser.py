"""Chromium for the demo and the tests, driven through scripts/node/browser.mjs: open pages, run JavaScript, look."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.lib.child import ROOT, Child, ChildError, Event

KEPT_CONSOLE_LINES = 1000

# A page with the real browser SDK as `sdk`, for tests that write their own JavaScript.
SDK_PAGE = """<!doctype html><meta charset="utf-8"><title>interop</title>
<script type="module">import * as sdk from "/sdk/index.mjs"; globalThis.sdk = sdk;</script>"""


class PageError(Exception):
    """JavaScript of the page, or of the test in it, failed."""


@dataclass(frozen=True, slots=True)
class ConsoleLine:
    """One line of a page's console; `type` as Chromium names it (log, warning, error)."""

    type: str
    text: str


class Page:
    """One open page, in a browser context of its own."""

    def __init__(self, browser: Browser, number: int) -> None:
        self.console: deque[ConsoleLine] = deque(maxlen=KEPT_CONSOLE_LINES)
        self.errors: list[str] = []
        self._browser = browser
        self._number = number

    async def evaluate(self, script: str, arg: Any = None, *, timeout_s: float = 30.0) -> Any:
        """Run the body of an async function (its argument is `arg`) and give back what it returns, as JSON."""
        return await self._browser.request("evaluate", timeout_s, page=self._number, script=script, arg=arg)

    async def wait_for(self, script: str, arg: Any = None, *, timeout_s: float = 15.0) -> Any:
        """Run the body of an async function again and again until it returns something true; return that."""
        return await self._browser.request(
            "wait", timeout_s + 5, page=self._number, script=script, arg=arg, timeout_ms=round(timeout_s * 1000)
        )

    async def screenshot(self, path: Path, *, full: bool = False) -> Path:
        """Save what the page shows as PNG; `full`: the whole page, not only the window."""
        await self._browser.request("screenshot", 30, page=self._number, path=str(path.absolute()), full=full)
        return path

    async def reload(self) -> None:
        await self._browser.request("reload", 30, page=self._number)

    async def close(self) -> None:
        await self._browser.request("shut", 10, page=self._number)


class Browser:
    """A headless Chromium with a fresh profile. Leaving the block ends it, and fails if a page had an error."""

    def __init__(self) -> None:
        self.pages: dict[int, Page] = {}
        self._child = Child("chromium", ["node", ROOT / "scripts/node/browser.mjs"], on_event=self._take)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._child.start()
        try:
            await self._child.until(self._ready.is_set, "Chromium", timeout_s=60)
        except BaseException:
            await self._child.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close_stdin()
        with contextlib.suppress(ChildError):
            await self._child.exited(timeout_s=10)
        await self._child.stop()
        failures = [text for page in self.pages.values() for text in page.errors]
        consoles = [f"{line.type}: {line.text}" for page in self.pages.values() for line in page.console]
        if error is None and failures:
            raise PageError("\n".join(failures))
        if error is not None and (failures or consoles):
            error.add_note("--- console of Chromium ---\n" + "\n".join([*failures, *consoles[-40:]]))

    async def open(self, url: str | None = None, *, html: str = SDK_PAGE, width: int = 1280, height: int = 800) -> Page:
        """Open `url`, or a page made of `html`; returns when it has loaded."""
        source = {"html": html} if url is None else {"url": url}
        # Errors of a page can arrive before the answer that names it, so pages are numbered on this side.
        number = next(self._numbers)
        page = self.pages[number] = Page(self, number)
        await self.request("open", 30, page=number, width=width, height=height, **source)
        if url is None and html is SDK_PAGE:
            await page.wait_for("return globalThis.sdk !== undefined")
        return page

    def forget(self, page: Page) -> None:
        """Take over the errors of a page: leaving the browser's block no longer fails for them."""
        self.pages = {number: one for number, one in self.pages.items() if one is not page}

    async def request(self, operation: str, timeout_s: float, **fields: Any) -> Any:
        """Ask the driver for one operation and return its answer; PageError if it failed."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._child.tell({"id": number, "op": operation, **fields})
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise PageError(f"{operation}: no answer within {timeout_s} s\n{self._child.log}") from None
        finally:
            del self._waiting[number]

    def _take(self, event: Event) -> None:
        match event["event"]:
            case "ready":
                self._ready.set()
            case "answer":
                waiting = self._waiting.get(event["id"])
                if waiting is None or waiting.done():
                    return
                if "error" in event:
                    waiting.set_exception(PageError(event["error"]))
                else:
                    waiting.set_result(event["value"])
            case "console" if event["page"] in self.pages:
                self.pages[event["page"]].console.append(ConsoleLine(event["type"], event["text"]))
            case "page_error" if event["page"] in self.pages:
                self.pages[event["page"]].errors.append(event["text"])
