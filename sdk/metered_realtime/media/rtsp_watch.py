"""When a camera counts as gone although its connection stands: decided by pictures, never by TCP."""

from __future__ import annotations

from dataclasses import dataclass

# No camera needs longer from one key frame to the next, not even with a "smart" codec.
MAX_KEY_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fault` completes "the camera ...", None while all is well; then look again at `next_s`."""

    fault: str | None
    next_s: float


def judge(*, now_s: float, opened_s: float, picture_s: float | None, unit_s: float | None, timeout_s: float) -> Verdict:
    """Judge by the time of the last complete picture and of the last one that could be shown.

    The first key frame may be far. Once pictures were shown, missing ones are a frozen picture: most cameras send a key
    frame to whoever connects anew, sooner than the next one of their own.
    """
    key_wait_s = max(MAX_KEY_WAIT_S, timeout_s) if unit_s is None else timeout_s
    picture_due_s = (opened_s if picture_s is None else picture_s) + timeout_s
    unit_due_s = (opened_s if unit_s is None else unit_s) + key_wait_s
    if now_s >= picture_due_s:
        return Verdict(f"sent no picture for {timeout_s:g} s", now_s)
    if now_s >= unit_due_s:
        return Verdict(f"sent pictures but no key frame with parameter sets for {key_wait_s:g} s", now_s)
    return Verdict(None, min(picture_due_s, unit_due_s))
