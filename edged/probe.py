"""`edged probe`: what a camera sends, what browsers get of it, and what to change."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from edged.cameras.probe import probe
from edged.cameras.qualities import sub_settings
from edged.cameras.report import Report
from edged.errors import EdgedError
from edged.settings import CameraSettings, Secret, Settings
from edged.settings_checks import camera_source_fault, camera_source_kind, onvif_fault
from edged.settings_file import SettingsError, load

EXIT_FAILED = 1
EXIT_NOT_SHOWN = 3
EXIT_CONFIG = 78
_PASSWORD_VARIABLE = "EDGED_PROBE_PASSWORD"  # noqa: S105 - the name of a variable
_EXIT_CODES = {"as it is": 0, "encoded": 0, "refused": EXIT_NOT_SHOWN, "unreachable": EXIT_FAILED}


class BadTargetError(EdgedError):
    """What is to be looked at cannot be: the sentence says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "target",
        metavar="URL|DEVICE|FILE|NAME",
        help="rtsp://..., /dev/video0, libcamera:, a film, or a camera of the settings",
    )
    parser.add_argument("--config", metavar="FILE", default="/etc/edged.yaml", help="settings file, for a NAME")
    parser.add_argument("--username", default="", help=f"camera user; its password is read from {_PASSWORD_VARIABLE}")
    parser.add_argument("--sub", action="store_true", help="of a NAME its second picture")
    parser.add_argument("--onvif", default="", help="auto, or the address of its ONVIF service: try that too")
    parser.add_argument("--no-tls-verify", action="store_true", help="of rtsps://: take any certificate")
    parser.add_argument("--transport", choices=("auto", "tcp", "udp"), default="auto", help="how RTP is to be sent")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long it is watched at most (12)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Look at a camera: 0 browsers get a picture, 1 it cannot be read, 3 they get none, 78 wrong target."""
    try:
        settings = _settings_of(arguments)
    except (BadTargetError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    report = asyncio.run(probe(settings, within_s=max(0.1, arguments.seconds)))
    sys.stdout.write(_written(report, as_json=arguments.json) + "\n")
    return _EXIT_CODES[report.browsers]


def _written(report: Report, *, as_json: bool) -> str:
    return json.dumps(report.as_json(), ensure_ascii=False, indent=2) if as_json else report.as_text()


def _settings_of(arguments: argparse.Namespace) -> CameraSettings:
    source = _source_of(arguments.target)
    if not source:
        return _configured(arguments.target, arguments.config, second=arguments.sub)
    if arguments.sub:
        raise BadTargetError("--sub goes with the name of a camera of the settings")
    if fault := camera_source_fault(source):
        raise BadTargetError(f"the address is {fault}" if fault.startswith("not ") else f"the address: {fault}")
    if camera_source_kind(source) == "exec":
        raise BadTargetError("a command is taken from the settings file only: name a camera of it")
    if fault := onvif_fault(arguments.onvif):
        raise BadTargetError(f"--onvif is {fault}")
    settings = CameraSettings(
        name="probe",
        source=Secret(source),
        username=arguments.username,
        password=Secret(os.environ.get(_PASSWORD_VARIABLE, "") if arguments.username else ""),
        transport=arguments.transport,
        tls_verify=not arguments.no_tls_verify,
        onvif=arguments.onvif if camera_source_kind(source) in ("rtsp", "rtsps") else "",
    )
    for key, fault in settings.cross_faults():
        raise BadTargetError(f"--{key}: {fault}")
    return settings


def _source_of(target: str) -> str:
    """Return a target as the settings write it; empty where it is the name of a camera."""
    path = Path(target)
    if target and path.is_dir():
        raise BadTargetError(f"{target} is a directory: name one file in it")
    if target.startswith("/dev/") or path.is_char_device():
        return f"v4l2:{path.absolute()}"
    if target.startswith("/") or (":" not in target and path.is_file()):
        return f"file:{path.absolute()}"
    kind, _, rest = target.partition(":")
    if kind.lower() == "file" and rest and not rest.startswith("/"):
        return f"file:{Path(rest).absolute()}"
    return target if ":" in target else ""


def _configured(name: str, file: str, *, second: bool) -> CameraSettings:
    if not Path(file).exists():
        raise BadTargetError(
            f"{name!r} is no address and no file that is here, and there is no {file} with a camera of that name"
        )
    cameras = {camera.name: camera for camera in load(file, Settings).cameras}
    if name not in cameras:
        known = ", ".join(cameras) or "none"
        raise BadTargetError(f"{file} has no camera {name!r}; it has: {known}")
    if not second:
        return cameras[name]
    if (sub := sub_settings(cameras[name])) is None:
        raise BadTargetError(f"the camera {name!r} of {file} has no second picture (sub)")
    return sub
