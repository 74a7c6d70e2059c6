"""Sources by name: a file, an RTSP address, a camera, a microphone, a screen. Each gives a player with its tracks.

None of these opens anything on the network or a device in the event loop: that happens beside it, at the first read.
A string goes to FFmpeg as it is, which opens files, addresses and pseudo protocols: never pass one from a stranger.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

from metered_realtime.backoff import delays
from metered_realtime.media.camera_source import CameraSource
from metered_realtime.media.ffmpeg_input import FfmpegInput
from metered_realtime.media.ffmpeg_source import FfmpegSource
from metered_realtime.media.file_probe import FileProbe
from metered_realtime.media.live_player import LivePlayer
from metered_realtime.media.player import Player
from metered_realtime.media.rtsp_source import RtspSource, shown_address
from metered_realtime.media.rtsp_tls import RtspTls
from metered_realtime.media.source_state import SourceLife

# What FFmpeg reads as more than a path: `rtsp://`, `concat:` (one letter is a drive), patterns of numbered pictures.
_MORE_THAN_A_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.,-]+:|.*[%*?]")
# To look for a device costs nothing, and whoever plugs it in waits for its picture.
_DEVICE_DELAY_S = 2.0
_SYSTEM: str = sys.platform
_OUR_TRANSPORTS = ("auto", "tcp", "udp")
_RTSP_TRANSPORTS = (*_OUR_TRANSPORTS, "udp_multicast", "http")


def from_file(file: str | Path, *, loop: bool = False) -> Player:
    """Return a player of a media file, or of any address FFmpeg knows; `loop` plays it again and again, without a gap.

    For a local file `audio` or `video` is None where the file has none; a file that cannot be looked at within 0.25 s,
    as an address, has both, and the one it lacks ends at the first read. Raises FileNotFoundError where there is no
    such local file, av.FFmpegError for one that cannot be read as media.
    """
    name = str(file)
    probe = FileProbe(name)
    probe.look()
    if probe.kinds is not None:
        return Player(name, loop=loop, kinds=probe.kinds)
    if probe.is_known and not probe.exists and not _MORE_THAN_A_PATH.match(name):
        raise FileNotFoundError(errno.ENOENT, "there is no such media file", name)
    return Player(name, loop=loop, is_live="://" in name and not loop)


def from_rtsp(
    url: str,
    *,
    transport: str = "tcp",
    passthrough: bool = False,
    timeout_s: float = 10.0,
    tls_verify: bool = True,
    tls_ca_file: str | None = None,
) -> LivePlayer:
    """Return a player of an RTSP camera over `tcp`, `udp`, `auto` (UDP where it refuses TCP), `udp_multicast` or
    `http`, at once.

    The camera is opened beside the loop at the first read, and again whenever it fails or goes: its tracks go on, and
    `SourceStateChange` events tell. `timeout_s` bounds each connection, answer, and the time without a picture. `audio`
    ends at the first read from a camera that is up and sends no sound that can be used.

    With `passthrough` the camera's H.264 goes to every viewer as it is: `video` is an `EncodedVideoSource`, which
    needs no decoder and no encoder. The certificate of an `rtsps://` camera is judged by `tls_ca_file` (PEM), else by
    what this machine trusts, or with `tls_verify` False not at all.

    Raises ValueError for another transport, or passthrough over the last two.
    """
    if transport not in _RTSP_TRANSPORTS:
        raise ValueError(f"transport must be one of {', '.join(_RTSP_TRANSPORTS)}, not {transport!r}")
    if passthrough and transport not in _OUR_TRANSPORTS:
        raise ValueError(f"passthrough needs one of the transports {', '.join(_OUR_TRANSPORTS)}, not {transport!r}")
    tls = RtspTls(verify=tls_verify, ca_file=tls_ca_file)
    source = RtspSource(url, transport=transport, timeout_s=timeout_s, passthrough=passthrough, tls=tls)
    return LivePlayer(source, name=f"the camera at {shown_address(url)}", passthrough=passthrough)


def from_camera(
    device: str | None = None, *, width: int = 640, height: int = 480, fps: int = 30, passthrough: bool = False
) -> LivePlayer:
    """Return a player of a local camera, by default the first; `audio` is None.

    It survives being unplugged, as `from_rtsp` does; name it by its path in `/dev/v4l/by-id` where there are several.
    A size or rate the camera does not have becomes the nearest it has. With `passthrough` a camera that gives H.264 is
    sent as it is (Linux only). Raises RuntimeError on a system without capture, ValueError for a size below 1.
    """
    if width < 1 or height < 1 or fps < 0:
        raise ValueError(f"a camera picture of {width}x{height} at {fps} fps cannot be")
    if _SYSTEM == "linux":
        camera = CameraSource(device, width=width, height=height, fps=fps, passthrough=passthrough)
        life = SourceLife(lambda: delays(max_s=_DEVICE_DELAY_S))
        return LivePlayer(camera, name=camera.name, kinds=("video",), passthrough=passthrough, life=life)
    if passthrough:
        raise RuntimeError("a camera is passed through on Linux only")
    return _capture("camera", device, _picture_options(width, height, fps))


def from_microphone(device: str | None = None) -> LivePlayer:
    """Return a player of a local microphone, by default the system's; `video` is None. As `from_camera` otherwise."""
    return _capture("microphone", device, {})


def screen_share(device: str | None = None, *, width: int = 0, height: int = 0, fps: int = 30) -> LivePlayer:
    """Return a player of a screen, by default the first; width and height 0 take all of it. Raises as `from_camera`."""
    return _capture("screen", device, _picture_options(width, height, fps))


def _picture_options(width: int, height: int, fps: int) -> dict[str, str]:
    options = {"video_size": f"{width}x{height}"} if width and height else {}
    return options | ({"framerate": str(fps)} if fps else {})


# A device tells at once what it gives: FFmpeg need not read some seconds of it to find out.
_NO_PROBE = (("analyzeduration", "0"), ("probesize", "32"), ("fpsprobesize", "0"))
# What FFmpeg calls the device and how it reads it: (default device, format), by system and source.
_DEVICES = {
    ("linux", "microphone"): ("default", "alsa"),
    ("linux", "screen"): (":0.0", "x11grab"),
    ("darwin", "camera"): ("default:none", "avfoundation"),
    ("darwin", "microphone"): (":default", "avfoundation"),
    ("darwin", "screen"): ("Capture screen 0:none", "avfoundation"),
    ("win32", "camera"): ("Integrated Camera", "dshow"),
    ("win32", "microphone"): ("Microphone", "dshow"),
    ("win32", "screen"): ("desktop", "gdigrab"),
}


def _capture(kind: str, device: str | None, options: dict[str, str], system: str = _SYSTEM) -> LivePlayer:
    what = _capture_input(kind, device, options, system)
    kinds = ("audio",) if kind == "microphone" else ("video",)
    life = SourceLife(lambda: delays(max_s=_DEVICE_DELAY_S))
    return LivePlayer(FfmpegSource(what), name=what.what, kinds=kinds, life=life)


def _capture_input(kind: str, device: str | None, options: dict[str, str], system: str) -> FfmpegInput:
    if (system, kind) not in _DEVICES:
        raise RuntimeError(f"there is no {kind} capture for the system {system!r}; pass a track of your own instead")
    default, input_format = _DEVICES[system, kind]
    if input_format == "x11grab":
        default = os.environ.get("DISPLAY") or default
    name = device or default
    what = f"the {kind} {name}"
    if input_format == "dshow":
        name = f"{'audio' if kind == 'microphone' else 'video'}={name}"
    return FfmpegInput(name, what, input_format, (*_NO_PROBE, *options.items()))
