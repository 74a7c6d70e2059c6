"""What was found out about a camera, as values, as text for people, and as JSON. Nothing in it shows a login. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edged.cameras.browsers import BrowserRoad, Verdict, browser_roads
from edged.cameras.device_report import device_lines
from edged.cameras.measure import Rates
from metered_realtime.media.browser_video import browser_fault
from metered_realtime.media.rtsp_errors import RtspUrlError
from metered_realtime.media.rtsp_handshake import shown
from metered_realtime.media.rtsp_url import parse_rtsp_url
from metered_realtime.media.video_description import VideoDescription

# With key frames further apart a viewer who lost pictures waits, and so does one the gateway kept no pictures for.
_LONG_GOP_S = 4.0
_BROWSER_AUDIO = frozenset({"OPUS", "PCMA", "PCMU"})
_TEXTS: Mapping[Verdict, str] = {
    "as it is": "get it as the camera sends it, with no work here",
    "encoded": "get it decoded and encoded again, once for all viewers, which costs CPU here",
    "refused": "get nothing",
    "unreachable": "get nothing: the camera cannot be read",
}

_ENCODED_FOR_SOME = "it sends H.265; for browsers that do not take it, it is encoded again, which costs CPU here"
_REFUSED_FOR_SOME = "it sends H.265; browsers that do not take it get its sub, if that is H.264, or nothing"


@dataclass(frozen=True, slots=True)
class Report:
    """`facts` hold plain values for JSON; `reason` is empty where all is well for every browser. `others`: what becomes
    of browsers without H.265 where that is sent as it is."""

    source: str
    facts: Mapping[str, Any]
    browsers: Verdict
    reason: str = ""
    others: Verdict = "refused"

    @property
    def roads(self) -> tuple[BrowserRoad, ...]:
        """What each browser gets."""
        return browser_roads(
            self.browsers, codec=self.facts.get("codec"), profile=self.facts.get("profile"), others=self.others
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        roads = [asdict(road) for road in self.roads]
        return {
            "source": self.source, "browsers": self.browsers, "reason": self.reason, "browser_roads": roads,
            **self.facts,
        }  # fmt: skip

    def as_text(self) -> str:
        """Return lines for people."""
        lines = [self.source, *(f"  {name:<10}{text}" for name, text in _lines(self.facts))]
        lines.append(f"  {'browsers':<10}{_TEXTS[self.browsers]}")
        lines += [f"  {'':<10}{_road_text(road)}" for road in self.roads]
        if self.reason:
            lines.append(f"  {'why':<10}{self.reason}")
        lines += [f"  {'advice':<10}{advice}" for advice in _advice(self.facts)]
        return "\n".join(lines)


def shown_source(source: str) -> str:
    """Return an address that may be shown: no login, no query; of a command only its program."""
    kind, _, rest = source.strip().partition(":")
    if kind.lower() == "exec":
        return f"exec:{rest.split()[0] if rest.split() else ''} ..."
    if kind.lower() not in ("rtsp", "rtsps"):
        return source.strip()
    try:
        url = parse_rtsp_url(source)
    except RtspUrlError:
        return f"{kind.lower()}://..."
    return f"{url.scheme}://{url.address}{shown(url) if url.path else ''}"


def video_facts(video: VideoDescription, rates: Rates, pictures: int) -> dict[str, Any]:
    """Return what is known of the picture."""
    return {
        "pictures": pictures,
        "codec": video.codec,
        "profile": video.profile,
        "level": video.level,
        "profile_level_id": video.profile_level_id,
        "width": video.width,
        "height": video.height,
        "chroma_format": video.chroma_format,
        "bit_depth": video.bit_depth,
        "b_frames": video.has_b_frames,
        **rate_facts(rates),
    }


def rate_facts(rates: Rates) -> dict[str, Any]:
    """Return what was measured."""
    return {
        "fps": _rounded(rates.fps, 2),
        "kbps": _rounded(rates.kbps, 0),
        "gop_pictures": rates.gop_pictures,
        "gop_s": _rounded(rates.gop_s, 2),
    }


def judged(source: str, facts: Mapping[str, Any], video: VideoDescription, *, can_encode: bool) -> Report:
    """Return the report on a camera that could be opened."""
    fault = browser_fault(video)
    if fault is not None:
        return Report(source, facts, "encoded" if can_encode else "refused", fault)
    if not facts["pictures"]:
        return Report(source, facts, "unreachable", "it was opened and gave no key frame in this time")
    if video.codec == "H265":
        if can_encode:
            return Report(source, facts, "as it is", _ENCODED_FOR_SOME, others="encoded")
        return Report(source, facts, "as it is", _REFUSED_FOR_SOME)
    return Report(source, facts, "as it is")


def _lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if device := facts.get("device"):
        yield from device_lines(device)
    if "opened_ms" in facts:
        transport = f", over {facts['transport'].upper()}" if facts.get("transport") else ""
        yield "opened", f"in {facts['opened_ms']} ms{transport}"
    if facts.get("offers"):
        yield "offers", ", ".join(facts["offers"])
    if facts.get("codec"):
        yield "video", _video_line(facts)
    if facts.get("fps"):
        yield "rate", f"{facts['fps']:g} pictures a second, {facts['kbps']:g} kbit/s"
    if facts.get("gop_pictures"):
        yield "key frame", f"every {facts['gop_pictures']} pictures ({facts['gop_s']:g} s)"
    elif facts.get("pictures"):
        yield "key frame", f"only one in {facts['pictures']} pictures"
    if "b_frames" in facts:
        yield "B-frames", {True: "yes", False: "no", None: "none seen; the camera leaves it open"}[facts["b_frames"]]
    if "audio" in facts:
        yield "audio", ", ".join(map(_audio_text, facts["audio"])) or "none"
    if onvif := facts.get("onvif"):
        yield "onvif", _onvif_text(onvif)
    if encoded := facts.get("encoded"):
        yield "road", f"{encoded['road']}, {encoded['width']}x{encoded['height']}, H264 {encoded['profile']}"
    if encoder := facts.get("encoder"):
        yield from _encoder_lines(encoder)


def _video_line(facts: Mapping[str, Any]) -> str:
    level = f"level {facts['level']}" if facts.get("level") else ""
    level += f" ({facts['profile_level_id']})" if facts.get("profile_level_id") else ""
    size = f"{facts['width']}x{facts['height']}" if facts["width"] else "size not told"
    depth = f"{facts['bit_depth']} bits" if facts.get("bit_depth") else ""
    name = f"{facts['codec']} {facts['profile'] or ''}".strip()
    return ", ".join(text for text in (name, level, size, facts.get("chroma_format"), depth) if text)


def _encoder_lines(encoder: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if encoder["asked_for"] != "auto":
        does_not = encoder["asked_for"].startswith("h264_") and encoder["found"] is None
        yield (
            "encoder",
            f"{encoder['asked_for']}, " + ("which does not work here" if does_not else "as the settings say"),
        )
    elif encoder["found"] is None:
        why = "none that was tried works" if encoder["tried"] else "no device of this machine encodes H.264"
        yield "encoder", f"software: {why}"
    for one in encoder["tried"]:
        verdict = f"is not used: {one['reason']}" if one["reason"] else "works"
        yield "encoder", f"{one['encoder']} on {one['device']} {verdict}"
    for sentence in encoder["passed_over"]:
        yield "encoder", sentence


def _onvif_text(onvif: Mapping[str, Any]) -> str:
    if onvif["reason"]:
        return f"of no use: {onvif['reason']}"
    came = "no key frame came of it" if onvif["key_frame_ms"] is None else f"a key frame in {onvif['key_frame_ms']} ms"
    return f"asked for profile {onvif['profile']}: {came}"


def _road_text(road: BrowserRoad) -> str:
    return f"{road.browser:<13}{road.gets}" + (f" ({road.note})" if road.note else "")


def _audio_text(codec: str) -> str:
    if codec in _BROWSER_AUDIO:
        return f"{codec} (sent with audio: {codec.lower()})"
    return f"{codec} (browsers do not play it; encoded with audio: opus)"


def _advice(facts: Mapping[str, Any]) -> Iterator[str]:
    if (facts.get("gop_s") or 0.0) > _LONG_GOP_S or (facts.get("pictures", 0) > 1 and not facts.get("gop_pictures")):
        yield "key frames are far apart: every 2 s is better where pictures get lost on the way"
    if facts.get("lost_packets"):
        yield f"{facts['lost_packets']} packets were lost on the way from the camera: try transport: tcp"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
