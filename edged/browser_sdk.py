"""Gets the browser SDK that the viewer page needs, with npm, into the user's cache: once, pinned, checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from edged.errors import EdgedError
from edged.hub.pages import SDK_NAME

PACKAGE = "@metered-ca/realtime@1.2.0"
_MEMBER = "package/dist/index.mjs"
_SHA256 = "c8292af8078b703d531ffe06a0b01af262100aa5f31c18140a2467072827d597"
_MAX_BYTES = 4 << 20
_TIMEOUT_S = 120.0


class BrowserSdkError(EdgedError):
    """The browser SDK is not there and cannot be fetched; the text says what to do."""


def cached_file() -> Path:
    """Return where the file is kept, which is where the hub looks for it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "edged" / SDK_NAME


def fetch(say: Callable[[str], None]) -> Path:
    """Fetch the file into the cache and return it. Raises BrowserSdkError."""
    npm = shutil.which("npm")
    if npm is None:
        raise BrowserSdkError(
            f"the viewer page needs the browser SDK ({PACKAGE}) and there is no npm to fetch it with:"
            " install npm, or name the file with --browser-sdk FILE"
        )
    target = cached_file()
    say(f"fetching the browser SDK {PACKAGE} with npm into {target.parent} (once)")
    with tempfile.TemporaryDirectory(prefix="edged-") as folder:
        content = _member(_pack(npm, Path(folder)))
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise BrowserSdkError(f"npm gave a file that is not the one of {PACKAGE}; it is not used. Check npm's registry")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        part.write_bytes(content)
        part.replace(target)
    except OSError as err:
        raise BrowserSdkError(f"{target} cannot be written: {err.strerror or err}; set XDG_CACHE_HOME") from None
    return target


def _pack(npm: str, folder: Path) -> Path:
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command line
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise BrowserSdkError(f"npm did not fetch {PACKAGE} within {_TIMEOUT_S:.0f} s; is there a network?") from None
    found = next(folder.glob("*.tgz"), None)
    if done.returncode != 0 or found is None:
        why = next((line for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")
        raise BrowserSdkError(f"npm could not fetch {PACKAGE}: {why}; or name the file with --browser-sdk FILE")
    return found


def _member(archive: Path) -> bytes:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            stream = tar.extractfile(_MEMBER)
            return stream.read(_MAX_BYTES) if stream is not None else b""
    except (tarfile.TarError, KeyError, OSError) as err:
        raise BrowserSdkError(f"npm gave a package without {_MEMBER}: {err}") from None
