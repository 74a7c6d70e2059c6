"""Every setting of the daemon: its type, its default, its one-line description.

Pure values. The file reader (`settings_file`), `config/edged.yaml`, `edged config` and the docs are all
made from these classes, so a key exists once. Values are frozen: `==` decides what a reload touches.
"""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from edged import settings_checks as checks
from metered_realtime.media.rtsp_url import parse_rtsp_url

DEFAULT_HUB_URL = "wss://rms.metered.ca"
DEFAULT_CHANNEL = "edged"
_RTSP = ("rtsp", "rtsps")


class Secret(str):
    """A string that never shows itself: `repr` and `format` are masked, `reveal()` is the one door."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')" if len(self) else "Secret('')"

    def __str__(self) -> str:
        return "***" if len(self) else ""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return "".join(self)


def setting(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    file_for: str = "",
    keyed_by: str = "",
    is_path: bool = False,
    check: Callable[[Any], str] | None = None,
) -> Any:
    """Declare one setting.

    `file_for` names the field whose value this file holds; `keyed_by` the field that takes the key of a YAML
    mapping whose values are these objects; `is_path` marks a file name that is read relative to the
    settings file; `check` returns what is wrong with a value and what would be right, or "".
    """
    metadata = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "file_for": file_for,
        "keyed_by": keyed_by,
        "is_path": is_path,
        "check": check,
    }
    return field(default=default, metadata=metadata)


def required(doc: str, *, check: Callable[[Any], str] | None = None) -> Any:
    """Declare a setting that has no default."""
    return field(metadata={"doc": doc, "required": True, "check": check})


def section(factory: Callable[[], Any], doc: str) -> Any:
    """Declare a group of settings that may be left out as a whole."""
    return field(default_factory=factory, metadata={"doc": doc})


# A settings class may have a method `cross_faults(self) -> Iterator[tuple[str, str]]`: pairs of a key path
# relative to it and a sentence, for rules that need more than one value.


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Who this gateway is."""

    name: str = setting(
        "",
        "Name shown to viewers and stamped on every reading; empty: the host name.",
        check=checks.optional_name_fault,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLinkSettings:
    """The signalling service that cameras and readings are sent to: the hosted one, or `edged hub`."""

    url: str = setting(
        DEFAULT_HUB_URL, "Origin of the service; ws:// is allowed on this machine only.", check=checks.hub_url_fault
    )
    key: Secret = setting(Secret(""), "Publishable key (pk_live_...); needs subscribe, publish, presence, send.")
    key_file: str = setting("", "File that holds the key, instead of `key`.", file_for="key")
    channel: str = setting(
        DEFAULT_CHANNEL, "Channel for cameras and readings that name none.", check=checks.required_channel_fault
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """The site's MQTT broker. It is used only if `telemetry.routes` has an entry."""

    host: str = setting("127.0.0.1", "Host name or address of the broker.", check=checks.host_fault)
    port: int = setting(1883, "TCP port of the broker (8883 is usual with `tls`).", minimum=1, maximum=65535)
    username: str = setting("", "User name; empty: none.")
    password: Secret = setting(Secret(""), "Password of that user.")
    password_file: str = setting("", "File that holds the password, instead of `password`.", file_for="password")
    client_id: str = setting("", "MQTT client id; empty: edged-<gateway name>. The broker's queue hangs on it.")
    tls: bool = setting(False, "Use TLS.")
    ca_file: str = setting("", "CA certificates for TLS; empty: the system's.", is_path=True)
    keepalive_s: int = setting(30, "Seconds between pings on an idle connection.", minimum=5, maximum=3600)
    session_expiry_s: int = setting(
        86400, "Seconds the broker keeps messages for us while we are away.", minimum=0, maximum=0xFFFFFFFE
    )
    receive_maximum: int = setting(
        500, "Messages the broker may send ahead of our acknowledgement.", minimum=1, maximum=65535
    )

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a password without a user, and a CA file that TLS would never read."""
        if self.password and not self.username:
            yield "username", "a password needs a user; give username too"
        if self.ca_file and not self.tls:
            yield "ca_file", "is read only with TLS; set tls: true, or remove it"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """One camera. The key in the file is its name."""

    name: str = setting("", "Name of the camera (the key in the file).", check=checks.name_fault)
    source: Secret = required(
        'Where the picture comes from: rtsp://host/path or rtsps://host/path, "v4l2:/dev/video0" (better a path in '
        '/dev/v4l/by-id), "libcamera:" for the camera of a Raspberry Pi, "file:/path.mp4" (repeated), "exec:COMMAND" '
        'that writes H.264 to its standard output, or "test:" for a built-in picture.',
        check=checks.camera_source_fault,
    )
    sub: Secret = setting(
        Secret(""),
        "A second, smaller picture of the same camera, for viewers that ask for it: an address as in `source`.",
        check=checks.optional_camera_source_fault,
    )
    username: str = setting("", "Camera user, if it is not in `source`.")
    password: Secret = setting(Secret(""), "Camera password, if it is not in `source`.")
    password_file: str = setting("", "File that holds the password, instead of `password`.", file_for="password")
    audio: str = setting(
        "none",
        "Sound of an RTSP camera, sent as it comes; `edged probe` tells which it has. With opus and transcode: auto "
        "any other sound is encoded.",
        choices=("none", "opus", "pcma", "pcmu"),
    )
    tls_verify: bool = setting(True, "Accept only a certificate that this machine trusts (rtsps://).")
    tls_ca_file: str = setting(
        "",
        "Certificates (PEM) that a camera's is judged by, or its own; empty: those this machine trusts.",
        is_path=True,
    )
    onvif: str = setting(
        "",
        'Ask the camera by ONVIF for a key frame when a viewer needs one, with its login: "auto" for '
        "http://HOST/onvif/device_service, or that address. Empty: never.",
        check=checks.onvif_fault,
    )
    transport: str = setting(
        "auto",
        "How an RTSP camera sends: inside its TCP connection, over UDP, or auto (UDP where it refuses TCP).",
        choices=("auto", "tcp", "udp"),
    )
    transcode: str = setting(
        "auto",
        "What browsers cannot show (H.265 where they lack it, MJPEG, B-frames ...) is decoded and encoded once for all "
        "of them (auto), or refused with a reason (never).",
        choices=("auto", "never"),
    )
    width: int = setting(
        1280, "Width asked of a local camera, and the most that is encoded here.", minimum=16, maximum=8192
    )
    height: int = setting(
        720, "Height asked of a local camera, and the most that is encoded here.", minimum=16, maximum=8192
    )
    fps: int = setting(30, "Pictures a second asked of a local camera.", minimum=1, maximum=240)
    controls: Mapping[str, Any] = section(
        lambda: MappingProxyType({}),
        "Controls of a local camera, set when it is opened, for example {brightness: 128}; `edged probe DEVICE` "
        "lists them. With libcamera: options of rpicam-vid, for example {rotation: 180}.",
    )
    bitrate_kbps: int = setting(
        2000,
        "Bit rate of what is encoded here, and asked of a local camera's own encoder.",
        minimum=10,
        maximum=200_000,
    )
    encoder: str = setting(
        "auto",
        "What encodes here: auto (hardware that proves to work, else software), software, or the name of an encoder "
        "of FFmpeg to try first, for example h264_v4l2m2m.",
        check=checks.encoder_fault,
    )
    channel: str = setting("", "Channel the camera is shown in; empty: `hub.channel`.", check=checks.channel_fault)
    linger_s: float = setting(10.0, "Seconds the camera stays open after its last viewer.", minimum=0, maximum=3600)
    keep_warm: bool = setting(False, "Keep the camera open with no viewer (faster first picture, more traffic).")
    timeout_s: float = setting(
        10.0, "Seconds without a frame or an answer after which the camera counts as lost.", minimum=1, maximum=120
    )
    metadata: Mapping[str, Any] = section(
        lambda: MappingProxyType({}), "Further facts shown to viewers with the stream, for example {role: yard}."
    )

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a camera user given twice, a password without a user, and what nobody would ask for."""
        kind, sub_kind = (checks.camera_source_kind(one.reveal()) for one in (self.source, self.sub))
        for control, value in self.controls.items():
            if fault := checks.control_fault(control, value, kinds=(kind, sub_kind)):
                yield f"controls.{control}", fault
        if self.controls and not {"v4l2", "libcamera"} & {kind, sub_kind}:
            yield "controls", "are of use with a v4l2: or libcamera: source only; remove them"
        if self.onvif and not {*_RTSP} & {kind, sub_kind}:
            yield "onvif", "is of use with an rtsp:// source only; remove it"
        if self.sub and self.sub.reveal().strip() == self.source.reveal().strip() and kind != "test":
            yield "sub", "is the same as source; give the camera's smaller stream, or remove it"
        if self.audio != "none" and kind not in _RTSP:
            yield "audio", "comes with an rtsp:// source only; remove it"
        yield from self._login_faults([one for one in ("source", "sub") if getattr(self, one)])

    def _login_faults(self, addresses: list[str]) -> Iterator[tuple[str, str]]:
        rtsp = {
            one: text for one in addresses if checks.camera_source_kind(text := getattr(self, one).reveal()) in _RTSP
        }
        if not rtsp:
            if self.username or self.password:
                yield "username" if self.username else "password", "is of use with an rtsp:// source only; remove it"
            return
        holder = next((one for one, text in rtsp.items() if parse_rtsp_url(text).username is not None), None)
        if holder is not None and (self.username or self.password):
            key = "username" if self.username else "password"
            yield key, f"the camera user is already part of {holder}; keep one of the two"
        elif self.password and not self.username:
            yield "username", "a password needs a user; give username too"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """From MQTT topics to a channel."""

    topic: str = required("MQTT topic filter; + is one level, # is all that follow.", check=checks.topic_filter_fault)
    channel: str = setting(
        "", "Channel the readings are published to; empty: `hub.channel`.", check=checks.channel_fault
    )
    qos: int = setting(
        1, "Quality of service of the subscription; 0 only where a lost reading does not matter.", minimum=0, maximum=1
    )
    payload: str = setting(
        "auto",
        "How the payload is read: number, json, text, or auto (json where it parses, else text).",
        choices=("auto", "json", "number", "text"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """Where readings wait while the uplink is down."""

    path: str = setting("", "SQLite file; empty: outbox.db in the state directory (/var/lib/edged).")
    max_bytes: int = setting(
        268435456, "Bytes of readings kept; beyond it the oldest is dropped and counted.", minimum=65536
    )
    memory_bytes: int = setting(4194304, "Bytes of readings held in memory before they go to disk.", minimum=4096)
    spill_after_s: float = setting(
        3.0, "Seconds a reading waits for the uplink in memory before it goes to disk.", minimum=0, maximum=3600
    )
    window: int = setting(256, "Readings sent ahead of the hub's acknowledgement.", minimum=1, maximum=10000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """The sensor road: MQTT topics to channels."""

    routes: tuple[RouteSettings, ...] = setting((), "List of routes; the first whose topic matches is taken.")
    outbox: OutboxSettings = section(OutboxSettings, "Store for readings the hub has not acknowledged.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find routes that an earlier one with the same filter always takes from."""
        first: dict[str, int] = {}
        for index, route in enumerate(self.routes):
            earlier = first.setdefault(route.topic, index)
            if earlier != index:
                yield f"routes[{index}].topic", f"routes[{earlier}] has the same filter and takes all; remove one"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is written to standard error (the journal, under systemd)."""

    level: str = setting(
        "info", "Least important level that is written.", choices=("debug", "info", "warning", "error")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file."""

    gateway: GatewaySettings = section(GatewaySettings, "This gateway.")
    hub: HubLinkSettings = section(HubLinkSettings, "The signalling service.")
    mqtt: MqttSettings = section(MqttSettings, "The MQTT broker.")
    cameras: tuple[CameraSettings, ...] = setting((), "Cameras by name.", keyed_by="name")
    telemetry: TelemetrySettings = section(TelemetrySettings, "Readings from MQTT.")
    log: LogSettings = section(LogSettings, "Logging.")

    def cross_faults(self) -> Iterator[tuple[str, str]]:
        """Find a hub without the key that cameras and routes need."""
        if (self.cameras or self.telemetry.routes) and not self.hub.key:
            yield "hub.key", "is needed to reach the hub; give a publishable key (pk_live_...), or key_file"


def secrets_in(value: object) -> Iterator[str]:
    """Yield every secret of a settings tree, for the redaction of logs."""
    if isinstance(value, Secret):
        if value:
            yield value.reveal()
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from secrets_in(getattr(value, item.name))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from secrets_in(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from secrets_in(part)
