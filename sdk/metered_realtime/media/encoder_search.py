"""Which encoders of this machine are worth a trial, in which order, told from the devices it has. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# What our pictures become for an encoder, the cheapest first.
PIXEL_FORMATS = ("yuv420p", "nv12")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An H.264 encoder of FFmpeg and the device it would use."""

    encoder: str
    device: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a candidate: `pixel_format` is what it takes, empty where it failed and `reason` says how."""

    candidate: Candidate
    pixel_format: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EncoderSearch:
    """The end of a search: each candidate that was tried, the last one being the one found, if any was.

    `passed_over`: devices that could not be looked at, and why.
    """

    trials: tuple[Trial, ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def found(self) -> Trial | None:
        """The encoder that gave a picture; None where software has to do it."""
        return next((trial for trial in self.trials if trial.pixel_format), None)


def candidates(nodes: Iterable[str], paths: Iterable[str]) -> tuple[Candidate, ...]:
    """Return what may be tried: `nodes` are V4L2 devices that say they encode H.264, `paths` device files there are.

    A device says more about a board than the board's name.
    """
    found = [Candidate("h264_v4l2m2m", node) for node in nodes][:1]
    known = sorted(paths)
    for begin, encoders in _BY_DEVICE:
        device = next((path for path in known if path.startswith(begin)), None)
        if device is not None:
            found += [Candidate(encoder, device) for encoder in encoders]
    return tuple(found)


_BY_DEVICE = (
    ("/dev/mpp_service", ("h264_rkmpp",)),
    ("/dev/nvidia0", ("h264_nvenc",)),
    ("/dev/dri/renderD", ("h264_vaapi", "h264_qsv")),
)
# Below /dev.
DEVICE_PATTERNS = ("mpp_service", "nvidia0", "dri/renderD*")
HARDWARE_ENCODERS = ("h264_v4l2m2m", *(encoder for _, encoders in _BY_DEVICE for encoder in encoders))
