"""The connections of one client: dialled, read, replaced and closed as its session says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import TYPE_CHECKING, Any

from metered_realtime.logger import Logger
from metered_realtime.renewing_session import RenewingSession
from metered_realtime.session_actions import Action, HangUp, Line

if TYPE_CHECKING:
    from metered_realtime.link import Link

# The closing handshake has its own limit of 1 s; this one is for a token provider that swallows its cancellation.
STOP_LIMIT_S = 2.0


class Lines:
    """One task dials the main connection whenever it is asked to; each renewal has another one.

    `carry_out` gets the session's answer to everything that happens, `failed` what a library or a logger raised.
    """

    def __init__(
        self,
        session: RenewingSession,
        find_url: Callable[[], Awaitable[str]],
        carry_out: Callable[[list[Action]], None],
        failed: Callable[[str, BaseException], None],
        *,
        ssl: SSLContext | None,
        dead_after_s: float,
        connect: Callable[..., Any] | None,
        log: Logger,
    ) -> None:
        self._session = session
        self._find_url = find_url
        self._carry_out = carry_out
        self._failed = failed
        self._options: dict[str, Any] = {"ssl": ssl, "dead_after_s": dead_after_s}
        if connect is not None:
            self._options["connect"] = connect
        self._log = log
        self._links: dict[Line, Link] = {}
        self._dial = asyncio.Event()
        self._ended = True
        self._supervisor: asyncio.Task[None] | None = None
        self._renewals: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._living: set[asyncio.Task[Any] | None] = set()

    # Orders of the session -------------------------------------------------------------------------

    def dial(self, line: Line) -> None:
        """Get a credential and open a connection."""
        if line == "main":
            self._dial.set()
            return
        self._renewing = asyncio.get_running_loop().create_task(self._renew(), name="signalling renewal")
        self._renewals.add(self._renewing)
        self._renewing.add_done_callback(self._renewals.discard)

    def adopt(self) -> None:
        """The connection beside is the main one from now on."""
        if "main" in self._links:
            self._links["old"] = self._links.pop("main")
        self._links["main"] = self._links.pop("beside")
        self._renewing = None

    def abandon(self) -> None:
        """Give up the connection beside, however far it has come."""
        link, task = self._links.pop("beside", None), self._renewing
        self._renewing = None
        if task in self._living and link is not None:
            link.hang_up(1000, "not needed")
        elif task is not None and task is not asyncio.current_task():
            task.cancel()

    def hang_up(self, order: HangUp) -> None:
        """Close a connection, if there is one."""
        link = self._links.get(order.line)
        if link is not None:
            link.hang_up(order.code, order.reason)

    def send(self, text: str) -> None:
        """Send on the main connection, if there is one. Raises SignallingError when too much already waits."""
        link = self._links.get("main")
        if link is not None:
            link.send(text)

    # Life ------------------------------------------------------------------------------------------

    @property
    def life(self) -> object:
        """Something that is another one after each `start`."""
        return self._supervisor

    def start(self) -> None:
        """Be ready to dial."""
        self._ended = False
        self._dial = asyncio.Event()
        supervise = self._supervise(self._tasks())
        self._supervisor = asyncio.get_running_loop().create_task(supervise, name="signalling client")

    def end(self) -> None:
        """Dial no more."""
        self._ended = True
        self._dial.set()

    async def stop(self) -> None:
        """Wait for the end of every connection, STOP_LIMIT_S at most. A life that began meanwhile is left alone."""
        life, tasks = self.life, self._tasks()
        for task in tasks - self._living:
            task.cancel()  # it dials, or waits for a token: there is nothing to say goodbye to
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=STOP_LIMIT_S)
        finally:
            if life is self.life:
                for task in tasks:
                    task.cancel()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        """Return the tasks that may have a connection, without the one that asks."""
        tasks: set[asyncio.Task[Any]] = {*self._renewals}
        if self._supervisor is not None:
            tasks.add(self._supervisor)
        return {task for task in tasks if task is not asyncio.current_task() and not task.done()}

    # Tasks -----------------------------------------------------------------------------------------

    async def _supervise(self, previous: set[asyncio.Task[Any]]) -> None:
        """Open one connection after the other, whenever the session asks for one."""
        if previous:
            await asyncio.wait(previous)
        while not self._ended:
            await self._dial.wait()
            self._dial.clear()
            if not self._ended:
                await self._one_connection()

    async def _one_connection(self) -> None:
        try:
            url = await self._find_url()
        except Exception as error:  # noqa: BLE001 - the application's token provider; the session reports it
            self._carry_out(self._session.token_failed(error, _now_s()))
            return
        if self._ended:
            return  # the token provider itself closed the client
        self._session.token_obtained()
        await self._one_link(url, "main")

    async def _renew(self) -> None:
        """Open a connection with a fresh token beside the one there is, which the session may let it replace."""
        try:
            url = await self._find_url()
        except Exception as error:  # noqa: BLE001 - as above
            self._carry_out(self._session.token_failed(error, _now_s(), "beside"))
            return
        in_use = self._links.get("main")
        is_new = in_use is None or in_use.credential != hash(url)
        wanted = not self._ended and self._session.token_for_renewal(_now_s(), is_new=is_new)
        self._carry_out([])
        if wanted:
            await self._one_link(url, "beside")

    async def _one_link(self, url: str, line: Line) -> None:
        # websockets, with the first connection: a program that may never connect does not pay for it.
        from metered_realtime.link import Link  # noqa: PLC0415

        link = Link(self._log, credential=hash(url))
        self._links[line] = link
        try:
            refused = await link.open(url, **self._options)
            code, reason = await self._live(link, line) if refused is None else refused
        except Exception as error:  # noqa: BLE001 - a fault in a logger or a library costs this connection, not the client
            self._failed("a connection", error)
            code, reason = 1006, type(error).__name__
        finally:
            at_last = self._line_of(link)
            if at_last is not None:
                del self._links[at_last]
        if at_last is not None:  # else the session has given it up already
            self._carry_out(self._session.socket_closed(code, reason, _now_s(), at_last))

    async def _live(self, link: Link, line: Line) -> tuple[int, str]:
        own = asyncio.current_task()
        self._living.add(own)
        try:
            self._carry_out(self._session.socket_opened(_now_s(), line))
            return await link.live(lambda text: self._receive(link, text))
        finally:
            self._living.discard(own)

    def _receive(self, link: Link, text: str) -> None:
        line = self._line_of(link)
        if line is not None:
            self._carry_out(self._session.receive_text(text, _now_s(), line))

    def _line_of(self, link: Link) -> Line | None:
        return next((line for line, known in self._links.items() if known is link), None)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
