"""Real cameras for tests: gst-rtsp-server in a process of its own, started on a free port, killed at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

SYSTEM_PYTHON = "/usr/bin/python3"
PROGRAM = Path(__file__).parents[3] / "scripts" / "lib" / "rtsp_camera.py"
# A small picture: these tests are about the road, not about the encoder.
SMALL = ("--width", "320", "--height", "240", "--kbps", "300", "--gop", "10")


class CameraProcess:
    """One server. `url(path)` is valid from `start()` on; a restart keeps the port, as a rebooted camera would."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._scheme = "rtsps" if "--tls" in options else "rtsp"
        self.port = 0

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(PROGRAM), str(self.port), "--until-stdin-closes", *SMALL, *self._options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.port = int(ready["url"].rpartition(":")[2])

    def url(self, path: str = "/cam", *, login: str = "") -> str:
        return f"{self._scheme}://{login}{'@' if login else ''}127.0.0.1:{self.port}{path}"

    def freeze(self) -> None:
        """Make it hang with its connections open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@contextmanager
def camera(*options: str) -> Iterator[CameraProcess]:
    """Run a camera for the length of a block."""
    with CameraProcess(*options) as process:
        yield process
