"""What a session description says, as values: hostile SDP text read with bounds before any library sees it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MAX_SDP_CHARS = 256 * 1024
MAX_SECTIONS = 128
MAX_ID_CHARS = 256

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_SECTION_START = re.compile(r"^(?=m=)", re.MULTILINE)
_MEDIA_LINE = re.compile(r"^m=(\S+) (\d+)(?:/\d+)? ")
_MID = re.compile(r"^a=mid:(\S+)[ \t\r]*$", re.MULTILINE)
_DIRECTION = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)[ \t\r]*$", re.MULTILINE)
_MSID = re.compile(r"^a=(?:ssrc:\d+ )?msid:(\S+) (\S+)", re.MULTILINE)
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)
_FINGERPRINT = re.compile(r"^a=fingerprint:(\S+ \S+)", re.MULTILINE)
_PASSWORD = re.compile(r"^a=ice-pwd:(\S+)", re.MULTILINE)
_ICE_OPTIONS = re.compile(r"^a=ice-options:([^\r\n]*)", re.MULTILINE)
_BUNDLE_ONLY = re.compile(r"^a=bundle-only[ \t\r]*$", re.MULTILINE)


TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_TRANSPORT_SEQUENCE = re.compile(rf"^a=extmap:(\d{{1,2}})(?:/\S+)? {re.escape(TRANSPORT_SEQUENCE)}\b", re.MULTILINE)
_FEEDBACK = re.compile(r"^a=rtcp-fb:\S+ (goog-remb|transport-cc)\b", re.MULTILINE)


class DescriptionError(ValueError):
    """A description that cannot be used; the text is one sentence for a log."""


@dataclass(frozen=True, slots=True)
class Section:
    """One m-section. `direction` is its author's; `stream_id` and `track_id` come from `a=msid`, if there is one.

    `transport_id`: id of the transport-wide sequence number, where its author would report about the link in no other
    way (transport-cc without goog-remb).
    """

    kind: str
    mid: str
    direction: Direction = "sendrecv"
    is_rejected: bool = False
    stream_id: str | None = None
    track_id: str | None = None
    transport_id: int | None = None

    @property
    def is_sending(self) -> bool:
        """The author of the description sends media in this section."""
        return not self.is_rejected and self.kind in ("audio", "video") and self.direction in ("sendrecv", "sendonly")


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The facts of one description that negotiation decides by.

    `trickles`: its author takes candidates after it (RFC 8840); so do browsers, and they can restart ICE in place.
    """

    ufrag: str
    fingerprint: str
    sections: tuple[Section, ...]
    trickles: bool = False

    @property
    def layout(self) -> tuple[tuple[str, str], ...]:
        """Kind and mid of every section, in order: what must stay the same for as long as the session lives."""
        return tuple((section.kind, section.mid) for section in self.sections)

    @property
    def channel_mid(self) -> str | None:
        """The mid of the section for data channels that is not rejected, if there is one."""
        for section in self.sections:
            if section.kind == "application" and not section.is_rejected:
                return section.mid
        return None

    def is_same_session(self, other: SessionFacts) -> bool:
        """Tell whether both come from one connection: a restart or a new connection changes the credentials."""
        return self.ufrag == other.ufrag and self.fingerprint == other.fingerprint

    def continues(self, before: SessionFacts) -> bool:
        """Tell whether every section of `before` is still in its place, as long as it is in use (RFC 8829, 5.2.2)."""
        return len(self.sections) >= len(before.sections) and all(
            (old.kind, old.mid) == (new.kind, new.mid) or old.is_rejected
            for old, new in zip(before.sections, self.sections, strict=False)
        )

    def is_restart_of(self, before: SessionFacts) -> bool:
        """Tell whether this one asks for a new path for the connection of `before`: same keys and sections."""
        return self.ufrag != before.ufrag and self.fingerprint == before.fingerprint != "" and self.continues(before)


def split_sections(sdp: str) -> list[str]:
    """Return the session part and each m-section, with their line ends."""
    return _SECTION_START.split(sdp)


def read_description(sdp: str) -> SessionFacts:
    """Read an SDP text. Raises DescriptionError where it is too large or lacks what every browser writes."""
    if len(sdp) > MAX_SDP_CHARS:
        raise DescriptionError(f"the session description has {len(sdp)} characters; at most {MAX_SDP_CHARS} are read")
    head, *bodies = split_sections(sdp)
    if not bodies:
        raise DescriptionError("the session description has no media section")
    if len(bodies) > MAX_SECTIONS:
        raise DescriptionError(
            f"the session description has {len(bodies)} media sections; at most {MAX_SECTIONS} are read"
        )
    sections = tuple(_section(body) for body in bodies)
    if len({section.mid for section in sections}) != len(sections):
        raise DescriptionError("two media sections of the session description have the same mid")
    return SessionFacts(
        ufrag=_first(_UFRAG, head, bodies),
        fingerprint=_first(_FINGERPRINT, head, bodies).lower(),
        sections=sections,
        trickles=any("trickle" in options.split() for options in _ICE_OPTIONS.findall(sdp)),
    )


def read_credentials(sdp: str) -> tuple[str, str]:
    """Return `ice-ufrag` and `ice-pwd` of a description that `read_description` has accepted."""
    head, *bodies = split_sections(sdp)
    return _first(_UFRAG, head, bodies), _first(_PASSWORD, head, bodies)


def _section(body: str) -> Section:
    media = _MEDIA_LINE.match(body)
    mid = _MID.search(body)
    if media is None or mid is None or len(mid.group(1)) > MAX_ID_CHARS:
        raise DescriptionError("a media section of the session description has no usable mid")
    direction = _DIRECTION.search(body)
    msid = _MSID.search(body)
    stream_id, track_id = msid.groups() if msid is not None else (None, None)
    if any(name is not None and len(name) > MAX_ID_CHARS for name in (stream_id, track_id)):
        stream_id = track_id = None
    return Section(
        kind=media.group(1),
        mid=mid.group(1),
        direction=direction.group(1) if direction is not None else "sendrecv",  # type: ignore[arg-type]
        is_rejected=media.group(2) == "0" and _BUNDLE_ONLY.search(body) is None,
        stream_id=None if stream_id == "-" else stream_id,
        track_id=track_id,
        transport_id=_transport_id(body),
    )


def _transport_id(body: str) -> int | None:
    number = _TRANSPORT_SEQUENCE.search(body)
    if number is None or set(_FEEDBACK.findall(body)) != {"transport-cc"} or not 1 <= int(number.group(1)) <= 14:
        return None
    return int(number.group(1))


def _first(pattern: re.Pattern[str], head: str, bodies: list[str]) -> str:
    for part in (*bodies, head):
        found = pattern.search(part)
        if found is not None:
            return found.group(1)[:MAX_ID_CHARS]
    return ""
