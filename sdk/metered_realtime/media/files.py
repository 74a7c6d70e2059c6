"""Sources by name: a file, an RTSP address, a camera, a microphone, a screen. Each gives a player with two tracks.

None of these opens anything on the network or a device in the event loop: that happens in a thread, at the first read.
A string goes to FFmpeg as it is, which opens files, addresses and pseudo protocols: never pass one from a stranger.
"""

from __future__ import annotations

import errno
import re
import sys
from pathlib import Path

from metered_realtime.media.player import Player, stream_kinds

# What FFmpeg reads as more than a path: `rtsp://`, `concat:` (one letter is a drive), patterns of numbered pictures.
_MORE_THAN_A_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.,-]+:|.*[%*?]")
_RTSP_TRANSPORTS = ("tcp", "udp", "udp_multicast", "http")


def from_file(file: str | Path, *, loop: bool = False) -> Player:
    """Return a player of a media file, or of any address FFmpeg knows; `loop` plays it again and again.

    For a local file `audio` or `video` is None where the file has none. Raises FileNotFoundError where there is no such
    local file, av.FFmpegError for one that cannot be read as media.
    """
    name = str(file)
    if Path(name).is_file():
        return Player(name, loop=loop, kinds=stream_kinds(name))
    if not _MORE_THAN_A_PATH.match(name) and not Path(name).exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such media file", name)
    return Player(name, loop=loop, is_live="://" in name and not loop)


def from_rtsp(url: str, *, transport: str = "tcp") -> Player:
    """Return a player of an RTSP camera over `tcp`, `udp`, `udp_multicast` or `http`. It ends when the camera goes.

    For pictures without decoding, and a source that comes back, see `metered_realtime.media.rtsp` and `encoded`.
    Raises ValueError for another transport.
    """
    if transport not in _RTSP_TRANSPORTS:
        raise ValueError(f"transport must be one of {', '.join(_RTSP_TRANSPORTS)}, not {transport!r}")
    return Player(url, options={"rtsp_transport": transport}, is_live=True)


def from_camera(device: str | None = None, *, width: int = 640, height: int = 480, fps: int = 30) -> Player:
    """Return a player of a local camera, by default the first; `audio` is None. Raises RuntimeError elsewhere."""
    return _capture("camera", device, _picture_options(width, height, fps))


def from_microphone(device: str | None = None) -> Player:
    """Return a player of a local microphone, by default the system's. `video` is None. Raises as `from_camera`."""
    return _capture("microphone", device, {})


def screen_share(device: str | None = None, *, width: int = 0, height: int = 0, fps: int = 30) -> Player:
    """Return a player of a screen, by default the first; width and height 0 take all of it. Raises as `from_camera`."""
    return _capture("screen", device, _picture_options(width, height, fps))


def _picture_options(width: int, height: int, fps: int) -> dict[str, str]:
    options = {"video_size": f"{width}x{height}"} if width and height else {}
    return options | ({"framerate": str(fps)} if fps else {})


# What FFmpeg calls the device and how it reads it: (default device, format), by system and source.
_DEVICES = {
    ("linux", "camera"): ("/dev/video0", "v4l2"),
    ("linux", "microphone"): ("default", "alsa"),
    ("linux", "screen"): (":0.0", "x11grab"),
    ("darwin", "camera"): ("default:none", "avfoundation"),
    ("darwin", "microphone"): (":default", "avfoundation"),
    ("darwin", "screen"): ("Capture screen 0:none", "avfoundation"),
    ("win32", "camera"): ("Integrated Camera", "dshow"),
    ("win32", "microphone"): ("Microphone", "dshow"),
    ("win32", "screen"): ("desktop", "gdigrab"),
}


def _capture(kind: str, device: str | None, options: dict[str, str], system: str = sys.platform) -> Player:
    if (system, kind) not in _DEVICES:
        raise RuntimeError(f"there is no {kind} capture for the system {system!r}; pass a track of your own instead")
    default, input_format = _DEVICES[system, kind]
    name = device or default
    if input_format == "dshow":
        name = f"{'audio' if kind == 'microphone' else 'video'}={name}"
    kinds = ("audio",) if kind == "microphone" else ("video",)
    return Player(name, format=input_format, options=options, is_live=True, kinds=kinds)
