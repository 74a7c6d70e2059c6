"""Starts `edged` in milliseconds, many times: a process that has loaded everything forks for each start.

    python -m tests.faults.forks        lines of JSON on stdin: {"words": [...], "env": {...}}; or {"kill": pid}

What a child does is what `edged` does from its command line on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn, Self

from scripts.lib.child import Child
from scripts.lib.peers import tree_environment


class ForkServer:
    """The process that forks; `log` is what its children write."""

    def __init__(self) -> None:
        self._child = Child("forks", [sys.executable, "-m", "tests.faults.forks"], env=tree_environment())

    @property
    def log(self) -> str:
        return self._child.log

    async def __aenter__(self) -> Self:
        await self._child.start()
        await self._child.event("ready")
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._child.stop()

    async def start(self, words: list[str], env: dict[str, str]) -> int:
        """Start `edged` with these words; return its process id."""
        before = len(self._child.events)
        await self._child.tell({"words": words, "env": env})
        await self._child.until(lambda: len(self._child.events) > before, "a start", timeout_s=10)
        return int(self._child.events[-1]["pid"])

    async def kill(self, pid: int) -> int:
        """End one with -9; return how it ended, which is another code where it had ended by itself."""
        before = len(self._child.events)
        await self._child.tell({"kill": pid})
        await self._child.until(lambda: len(self._child.events) > before, "an end", timeout_s=10)
        return int(self._child.events[-1]["code"])


def _be_edged(words: list[str], env: dict[str, str]) -> NoReturn:
    from edged.cli import main as edged_main  # noqa: PLC0415

    os.environ.update(env)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        code = edged_main(words)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    # Loaded once, before the first fork. No thread may run yet, no loop may have been made.
    import edged.app  # noqa: PLC0415
    import edged.mqtt  # noqa: PLC0415
    import edged.telemetry.telemetry  # noqa: PLC0415, F401

    _say({"event": "ready"})
    for line in sys.stdin:
        asked = json.loads(line)
        if "kill" in asked:
            pid = asked["kill"]
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            _say({"event": "ended", "pid": pid, "code": os.waitstatus_to_exitcode(status)})
        else:
            pid = os.fork()
            if not pid:
                _be_edged(asked["words"], asked["env"])
            _say({"event": "started", "pid": pid})


def _say(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
