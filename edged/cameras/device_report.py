"""What a local camera can do, format by format: which of it can be used, and which would be taken. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from metered_realtime.media.v4l2_formats import GREY, H264, JPEG_FORMATS, RAW_FORMATS, CameraMode

if TYPE_CHECKING:
    from metered_realtime.media.v4l2_controls import CameraControl

_UNUSABLE = {
    "HEVC": "not used: browsers get no H.265 from here",
    "H265": "not used: browsers get no H.265 from here",
    "MPG4": "not used: browsers have no MPEG-4 video",
    "VP80": "not used: only H.264 is passed through",
    "Y16": "not used: depth or heat, no picture",
    "Z16": "not used: depth or heat, no picture",
}
_BAYER = ("BA", "GB", "RG", "GR", "pB", "pG", "pR", "BG")


def device_facts(
    name: str,
    driver: str,
    modes: Iterable[CameraMode],
    controls: Iterable[CameraControl],
    taken: CameraMode | None,
    *,
    fault: str = "",
) -> dict[str, Any]:
    """Return what a local camera can do, as plain values. `fault`: why nothing of it can be read at all."""
    known = [*modes]
    return {
        "name": name,
        "driver": driver,
        "fault": fault,
        "modes": [_mode(mode) for mode in known],
        "formats": {fourcc: format_use(fourcc) for fourcc in dict.fromkeys(mode.fourcc for mode in known)},
        "taken": None if taken is None else _mode(taken),
        "controls": [
            {
                "key": control.key,
                "kind": control.kind,
                "minimum": control.minimum,
                "maximum": control.maximum,
                "default": control.default,
                "value": control.value,
            }
            for control in controls
        ],
    }


def format_use(fourcc: str) -> str:
    """Return what would be done with pictures of this format, or why nothing."""
    if fourcc == H264:
        return "passed through as it is"
    if fourcc in RAW_FORMATS:
        return "encoded here"
    if fourcc in JPEG_FORMATS:
        return "decoded and encoded here"
    if fourcc in GREY:
        return "encoded here, without colours"
    if fourcc in _UNUSABLE:
        return _UNUSABLE[fourcc]
    if fourcc.startswith(_BAYER):
        return "not used: raw of the sensor, for a camera processor (try libcamera:)"
    return "not used: this format is not read here"


def device_lines(device: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return lines for people."""
    yield "device", f"{device['name']} ({device['driver']})"
    if device["fault"]:
        yield "fault", device["fault"]
    by_format: dict[str, list[str]] = {}
    for mode in device["modes"]:
        rate = f"@{mode['max_fps']:g}" if mode["max_fps"] else ""
        by_format.setdefault(mode["format"], []).append(f"{mode['width']}x{mode['height']}{rate}")
    for name, sizes in by_format.items():
        yield name, f"{device['formats'][name]}: {' '.join(sizes)}"
    if taken := device["taken"]:
        yield "taken", f"{taken['format']} {taken['width']}x{taken['height']}"
    for control in device["controls"]:
        value = "" if control["value"] is None else f" now {control['value']},"
        bounds = f"{control['minimum']} to {control['maximum']}, default {control['default']}"
        yield (
            "control",
            f"{control['key']}:{value} {control['kind']}" + ("" if control["kind"] == "button" else f" {bounds}"),
        )


def _mode(mode: CameraMode) -> dict[str, Any]:
    rate = None if mode.max_fps is None else round(mode.max_fps, 2)
    return {"format": mode.fourcc, "width": mode.width, "height": mode.height, "max_fps": rate}
