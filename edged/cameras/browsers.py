"""What each browser gets of a camera, in words for its owner. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["as it is", "encoded", "refused", "unreachable"]

_CHROME, _FIREFOX, _SAFARI, _ANDROID = "Chrome, Edge", "Firefox", "Safari", "Android"
_BASELINE = frozenset({"Baseline", "Constrained Baseline"})
# What of H.264 as it is has to be known of a browser.
_H264_NOTES = {
    _CHROME: "",
    _FIREFOX: "with its OpenH264 plug-in, which it fetches by itself soon after its first start",
    _SAFARI: "",
    _ANDROID: "where the phone decodes H.264 in hardware, as nearly all do",
}
_NOT_BASELINE = "; it promises Baseline only, and usually plays this profile too"
# Which browsers show the camera's own H.265.
_H265_NOTES = {
    _CHROME: "has H.265 from version 136 on, with a decoder in hardware",
    _FIREFOX: "has no H.265",
    _SAFARI: "has H.265 from version 18 on",
    _ANDROID: "has H.265 where the phone decodes it in hardware",
}


@dataclass(frozen=True, slots=True)
class BrowserRoad:
    """`gets` is "H.264 as it is", "H.264 encoded here" or "nothing"; `note` may be empty."""

    browser: str
    gets: str
    note: str


def browser_roads(
    verdict: Verdict, *, codec: str | None, profile: str | None, others: Verdict = "refused"
) -> tuple[BrowserRoad, ...]:
    """Return a line for each browser; `codec` and `profile` are the camera's own, `others` what becomes of browsers
    without H.265 where that is sent as it is."""
    if verdict == "unreachable":
        return ()
    if verdict == "as it is" and codec == "H265":
        second = "H.264 encoded here" if others == "encoded" else "sub, if that is H.264"
        return tuple(
            BrowserRoad(browser, second, note)
            if browser == _FIREFOX
            else BrowserRoad(browser, "H.265 as it is", f"{note}; else {second}")
            for browser, note in _H265_NOTES.items()
        )
    gets = {"as it is": "H.264 as it is", "encoded": "H.264 encoded here"}.get(verdict, "nothing")
    return tuple(BrowserRoad(browser, gets, _note(browser, verdict, codec, profile)) for browser in _H264_NOTES)


def _note(browser: str, verdict: Verdict, codec: str | None, profile: str | None) -> str:
    if codec == "H265":
        return f"{_H265_NOTES[browser]}; it is not sent as it is"
    if verdict == "refused":
        return ""
    note = _H264_NOTES[browser]
    if verdict == "as it is" and browser == _FIREFOX and profile is not None and profile not in _BASELINE:
        note += _NOT_BASELINE
    return note
