"""Asks a running gateway through its control socket, from another process. Without a loop: a command is to be quick."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from edged.errors import EdgedError

SERVICE_SOCKET = Path("/run/edged/control.sock")
_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_READ_BYTES = 65536


class NotAskedError(EdgedError):
    """Nobody answered; the sentence says why and what to do."""


def places(configured: str, environ: Mapping[str, str], state_dir: Path) -> tuple[Path, ...]:
    """Return where the socket of a gateway may be, the likeliest first."""
    if configured:
        return (Path(configured),)
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    beside_state = state_dir / SERVICE_SOCKET.name
    found = [Path(runtime) / SERVICE_SOCKET.name] if runtime else []
    # A user's own gateway before the machine's, where both run.
    return tuple(dict.fromkeys((*found, beside_state, SERVICE_SOCKET)))


def ask(paths: Iterable[Path], request: str) -> bytes:
    """Return the answer of the first socket that somebody listens on. Raises NotAskedError."""
    tried = []
    for path in paths:
        try:
            return _ask(path, request)
        except (FileNotFoundError, ConnectionRefusedError):
            tried.append(str(path))
        except PermissionError:
            raise NotAskedError(f"{path} may not be used by this user: use sudo, or join the group edged") from None
        except OSError as err:
            raise NotAskedError(f"the gateway at {path} does not answer ({err.strerror or err})") from None
    raise NotAskedError(f"no gateway is running: nobody listens on {' or '.join(tried)}")


def _ask(path: Path, request: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
        talk.settimeout(_TIMEOUT_S)
        talk.connect(os.fspath(path))
        talk.sendall(request.encode() + b"\n")
        answer = bytearray()
        while (more := talk.recv(_READ_BYTES)) and len(answer) <= _MAX_ANSWER_BYTES:
            answer += more
    if not answer.endswith(b"\n"):
        raise NotAskedError(f"the gateway at {path} broke off its answer: ask again")
    return bytes(answer)
