"""What a single value may look like: each function takes the value and returns what is wrong with it and
what would be right, or an empty string. They never repeat a value that may hold a secret."""

from __future__ import annotations

import re
import shlex
from urllib.parse import SplitResult, urlsplit

from metered_realtime.media.rtsp_errors import RtspUrlError
from metered_realtime.media.rtsp_url import parse_rtsp_url

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_RESERVED_CHANNELS = ("_metered/", "_internal/", "_system/")
_MAX_CHANNEL = 256
_MAX_TOPIC_BYTES = 65535
_MAX_PUBLISHED_TOPIC_BYTES = 1024
_MAX_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_CAMERA_SCHEMES = frozenset({"rtsp", "rtsps"})
_LIBCAMERA = re.compile(r"[0-9]?\Z")
_OPTION_VALUE = re.compile(r"[A-Za-z0-9.,+-]{1,64}\Z")
# Options of rpicam-vid that change the picture. Those that name files, or where it goes, are not among them.
RPICAM_OPTIONS = frozenset({
    "autofocus-mode", "autofocus-range", "autofocus-speed", "autofocus-window", "awb", "awbgains", "brightness",
    "contrast", "denoise", "ev", "exposure", "flicker-period", "gain", "hdr", "hflip", "lens-position", "level",
    "low-latency", "metering", "mode", "profile", "roi", "rotation", "saturation", "sharpness", "shutter", "vflip",
})  # fmt: skip
_PATH_EXAMPLES = {"v4l2": "v4l2:/dev/video0", "file": "file:/srv/clip.mp4"}
_ENCODER = re.compile(r"(auto|software|h264_[a-z0-9]{2,20}|libx264|libopenh264)\Z")
# The first / ? or # ends the host; an '@' behind it is most likely the end of a login.
_CUT_LOGIN = re.compile(r"[^/?#]*(/[^?]*@|[?#].*@)")


def _has_control_characters(text: str) -> bool:
    return any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)


def _split(url: str) -> SplitResult | None:
    """Take an address apart; None where even its port or brackets are malformed."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def is_loopback_host(host: str) -> bool:
    """Say whether a host name means this machine (the three names both official clients accept)."""
    return host.lower() in _LOOPBACK_HOSTS


def hub_url_fault(url: str) -> str:
    """Check the origin of a signalling service (protocol.md section 1.1)."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"ws", "wss"} or not parts.hostname:
        return "not the address of a signalling service; it looks like wss://hub.example.org or ws://127.0.0.1:8080"
    if parts.username is not None or parts.password is not None:
        return "an address must not hold a user name or a password; the key belongs in hub.key"
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return f"only scheme, host and port are given, the path is added by itself: {parts.scheme}://{parts.netloc}"
    if parts.scheme == "ws" and not is_loopback_host(parts.hostname):
        return f"ws:// is not encrypted and allowed to this machine only; write wss://{parts.netloc}"
    return ""


def camera_source_kind(source: str) -> str:
    """Return what stands before the first colon, in lower case: rtsp, rtsps, v4l2, file, exec, test or anything."""
    return source.strip().partition(":")[0].lower()


def camera_source_fault(source: str) -> str:
    """Check where a camera's picture comes from."""
    if source == "test:":
        return ""
    kind, _, rest = source.strip().partition(":")
    kind = kind.lower()
    if kind in _PATH_EXAMPLES:
        return "" if rest.startswith("/") else f"names no file by its whole path; for example {_PATH_EXAMPLES[kind]}"
    if kind == "exec":
        return _command_fault(rest)
    if kind == "libcamera":
        return "" if _LIBCAMERA.match(rest) else "names no camera of libcamera; write libcamera: or libcamera:1"
    if kind not in _CAMERA_SCHEMES or not rest.startswith("//"):
        return (
            "not a camera source; give rtsp://host/path, rtsps://host/path, v4l2:/dev/video0, libcamera:, "
            'file:/path.mp4, exec:COMMAND, or "test:" for a built-in picture'
        )
    if _CUT_LOGIN.match(rest.removeprefix("//")):
        return "a password with / ? or # cuts the address short; give it as `password`, its user as `username`"
    try:
        parse_rtsp_url(source)
    except RtspUrlError as err:
        return str(err)
    return ""


def optional_camera_source_fault(source: str) -> str:
    """Check an address of a camera that may be left empty."""
    return camera_source_fault(source) if source else ""


def _command_fault(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        return "the command cannot be read: a quotation mark is not closed"
    if not words:
        return "names no command; for example exec:rpicam-vid -n -t 0 --codec h264 --inline -o -"
    return ""


def control_fault(control: str, value: object, *, kinds: tuple[str, ...]) -> str:
    """Check a control of a local camera (a whole number), or an option of rpicam-vid."""
    if "libcamera" not in kinds:
        return "" if isinstance(value, int) else "is no whole number; give one, or true or false"
    option = control.replace("_", "-")
    if option not in RPICAM_OPTIONS:
        return f"no option that changes the picture of rpicam-vid; those are {', '.join(sorted(RPICAM_OPTIONS))}"
    if isinstance(value, bool | int | float) or (isinstance(value, str) and _OPTION_VALUE.match(value)):
        return ""
    return "is no value for an option of rpicam-vid; give a number, a word, or true"


def onvif_fault(onvif: str) -> str:
    """Check the address of a camera's ONVIF service: empty, "auto", or http(s)://HOST[:PORT][/PATH]."""
    if onvif in {"", "auto"}:
        return ""
    parts = _split(onvif)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return "not the address of an ONVIF service; write auto, or http://HOST/onvif/device_service"
    if parts.username is not None or parts.password is not None:
        return "an address must not hold a login; the camera's username and password are used"
    if _has_control_characters(onvif) or " " in onvif or parts.query or parts.fragment:
        return "only scheme, host, port and path are given; for example http://HOST/onvif/device_service"
    return ""


def encoder_fault(encoder: str) -> str:
    """Check how is encoded: auto, software, or the name of an H.264 encoder as FFmpeg writes it."""
    if encoder and not _ENCODER.match(encoder):
        return "not the name of an H.264 encoder; write auto, software, or a name like h264_v4l2m2m or h264_vaapi"
    return ""


def channel_fault(channel: str) -> str:
    """Check a channel name (protocol.md section 2, client-side limits). Empty means the default channel."""
    if len(channel) > _MAX_CHANNEL:
        return f"a channel name has at most {_MAX_CHANNEL} characters, this one has {len(channel)}"
    if _has_control_characters(channel):
        return "a channel name holds no control characters"
    if channel.lower().startswith(_RESERVED_CHANNELS):
        return "names that begin with _metered/, _internal/ or _system/ are reserved; choose another"
    return ""


def required_channel_fault(channel: str) -> str:
    """Check a channel name that has nothing to fall back on."""
    return channel_fault(channel) if channel else "a channel name must not be empty; for example: edged"


def name_fault(name: str) -> str:
    """Check a name that people type and that becomes part of an id."""
    if not name:
        return "a name must not be empty"
    if len(name) > _MAX_NAME:
        return f"a name has at most {_MAX_NAME} characters, this one has {len(name)}"
    if not _NAME.match(name):
        return "a name holds letters, digits, '.', '_' and '-' only, and begins with a letter or digit"
    return ""


def optional_name_fault(name: str) -> str:
    """Check a name that may be left empty."""
    return name_fault(name) if name else ""


def topic_filter_fault(topic: str) -> str:
    """Check an MQTT topic filter (MQTT 5 section 4.7)."""
    if not topic:
        return "a topic filter must not be empty; for example: greenhouse/# or +/temperature"
    if "\x00" in topic or len(topic.encode("utf-8", "replace")) > _MAX_TOPIC_BYTES:
        return "a topic filter holds no zero character and at most 65535 bytes"
    if topic.startswith("$share/"):
        return "shared subscriptions are not supported; write the filter without $share/GROUP/"
    levels = topic.split("/")
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        return "'#' stands alone as the last level, as in greenhouse/#"
    if any("+" in level and level != "+" for level in levels):
        return "'+' stands alone in its level, as in greenhouse/+/temperature"
    return ""


def host_fault(host: str) -> str:
    """Check a host name or address that is given without a scheme and a port."""
    if not host:
        return "a host name must not be empty; for example: 127.0.0.1"
    if "://" in host or "/" in host or "@" in host or any(char.isspace() for char in host):
        return "only a host name or an address is given here, without scheme, user and path; for example: 127.0.0.1"
    if host.count(":") == 1:
        return "the port does not belong here; give it as `port`"
    return ""


def plain_topic_fault(topic: str) -> str:
    """Check the beginning of topics that are published to (MQTT 5 section 4.7): no wildcards, no empty levels."""
    if not topic or any(not level for level in topic.split("/")):
        return "a topic has no empty level; for example: edged/farm"
    if "+" in topic or "#" in topic or topic.startswith("$"):
        return "a topic that is published to holds no '+' and '#', and does not begin with '$'"
    if _has_control_characters(topic) or len(topic.encode("utf-8", "replace")) > _MAX_PUBLISHED_TOPIC_BYTES:
        return f"a topic holds no control characters and at most {_MAX_PUBLISHED_TOPIC_BYTES} bytes"
    return ""


def site_topic_fault(topic: str) -> str:
    """Check the topic that the gateway's state is published under; {gateway} stands for the gateway's name."""
    rest = topic.replace("{gateway}", "gateway")
    if "{" in rest or "}" in rest:
        return "only {gateway} is filled in; for example: edged/{gateway}"
    return plain_topic_fault(rest)


def loopback_listen_fault(address: str) -> str:
    """Check an address of this machine that is listened on; empty means none."""
    if not address:
        return ""
    parts = _split(f"//{address}")
    if parts is None or not parts.hostname or not parts.port or parts.netloc != address or parts.username is not None:
        return "not an address to listen on; for example: 127.0.0.1:9555"
    if not is_loopback_host(parts.hostname):
        return "it is served to this machine only, for there is no login; write 127.0.0.1:PORT"
    return ""


def socket_path_fault(path: str) -> str:
    """Check where a Unix socket is made; empty means the usual place."""
    if path and (not path.startswith("/") or path.endswith("/") or _has_control_characters(path)):
        return "not the whole path of a socket; for example: /run/edged/control.sock"
    return ""
