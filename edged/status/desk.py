"""Who answers when somebody asks how the gateway is: reads board, figures and clocks at that moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from edged import __version__
from edged.status.board import Board
from edged.status.document import Account, Document, Identity, account_of, document, short_account


class Desk:
    """One per gateway. `mask` hides secrets in what the parts say."""

    def __init__(
        self,
        board: Board,
        gateway: str,
        *,
        mask: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._board = board
        self._mask = mask
        self._clock = clock
        self._wall_ms = wall_ms
        self._identity = Identity(gateway, __version__, os.getpid(), clock())

    def document(self) -> Document:
        """Return everything there is to say now."""
        return document(
            self._identity,
            self._board.parts(),
            self._board.figures(),
            now_s=self._clock(),
            now_ms=self._wall_ms(),
            mask=self._mask,
        )

    def account(self) -> Account | None:
        """Return the account of the sensor road, if there is one."""
        return account_of(self._board.figures())

    def line(self) -> str:
        """Return one line for the service manager: every part, and of telemetry its account while it is live."""
        account = self.account()
        return self._board.line({} if account is None else {"telemetry": short_account(account)})
