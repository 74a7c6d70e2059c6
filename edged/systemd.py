"""The door to the service manager (sd_notify): ready, one status line, watchdog, stopping. Without a service
manager every call does nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MAX_STATUS = 400


def watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between signs of life, a third of what the unit allows; None where the unit asks for none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        limit_us = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit_us / 3_000_000 if limit_us > 0 else None


def status_text(text: str) -> str:
    """Cut a status to one line of bounded length; a line break would start another assignment."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_STATUS else line[: _MAX_STATUS - 3] + "..."


def _is_there(address: str) -> bool:
    """Say whether there is a service manager to talk to; `@name` is an abstract socket, which has no file."""
    return address.startswith("@") or (bool(address) and Path(address).exists())


class Notifier:
    """Tells the service manager how the daemon is; says nothing twice."""

    def __init__(self) -> None:
        self.watchdog_interval_s = watchdog_interval_s(os.environ, os.getpid())
        self._status = ""
        self._sender: Any = None
        if _is_there(os.environ.get("NOTIFY_SOCKET", "")):
            from sdnotify import SystemdNotifier  # noqa: PLC0415 - loaded only under a service manager

            self._sender = SystemdNotifier()
            if self._sender.socket is not None:
                self._sender.socket.setblocking(False)

    def ready(self) -> None:
        """Every part has been started."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        line = status_text(text)
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon ends on purpose."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Give the socket back."""
        if self._sender is not None and self._sender.socket is not None:
            self._sender.socket.close()
        self._sender = None

    def _send(self, assignment: str) -> None:
        if self._sender is not None:
            # The library encodes Latin-1; the service manager reads UTF-8.
            self._sender.notify(assignment.encode("utf-8", "replace").decode("latin-1"))
