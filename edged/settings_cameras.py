"""The settings of a camera. Pure."""

# ruff: noqa: RUF009 - `setting`, `required` and `section` return dataclass fields, not shared defaults.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edged import settings_checks as checks
from edged.settings_fields import Secret, required, section, setting
from metered_realtime.media.rtsp_url import parse_rtsp_url

_RTSP = ("rtsp", "rtsps")


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
