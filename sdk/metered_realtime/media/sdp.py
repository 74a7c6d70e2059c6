"""Session descriptions as RTSP servers write them: as much of RFC 8866 as finding a camera's video takes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

_MAX_BYTES = 64 * 1024
_MAX_MEDIA = 32
_MAX_PARAMETER_SETS = 16
# RFC 3551 tables 4 and 5: payload types that need no rtpmap.
_STATIC_CODECS = {
    0: "PCMU", 3: "GSM", 8: "PCMA", 9: "G722", 10: "L16", 11: "L16", 14: "MPA",
    26: "JPEG", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263",
}  # fmt: skip


class SdpError(ValueError):
    """The text is not a session description."""


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One `m=` section. `codecs` maps payload type to encoding name in upper case, `formats` to its fmtp.

    `parameters` maps it to what follows the name: clock rate, and channels of sound ("48000/2").
    """

    kind: str
    protocol: str
    codecs: Mapping[int, str]
    formats: Mapping[int, Mapping[str, str]]
    control: str
    parameters: Mapping[int, str] = field(default_factory=dict)

    def payload_type_of(self, codec: str) -> int | None:
        """Return the first payload type of that encoding name, None if the section has none."""
        return next((pt for pt, name in self.codecs.items() if name == codec), None)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description: the session's own control attribute and its media sections in order."""

    control: str
    media: tuple[MediaDescription, ...]


@dataclass(slots=True)
class _Section:
    kind: str = ""
    protocol: str = ""
    payload_types: list[int] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    formats: dict[int, Mapping[str, str]] = field(default_factory=dict)
    control: str = ""


def parse_sdp(body: bytes) -> SessionDescription:
    """Read a description. Raises SdpError; lines and attributes of no use here are passed over."""
    if len(body) > _MAX_BYTES:
        raise SdpError(f"the session description is larger than {_MAX_BYTES} bytes")
    session = section = _Section()
    media: list[_Section] = []
    seen_any = False
    for raw in body.decode("utf-8", "replace").splitlines():
        line = raw.strip()
        kind, separator, value = line[:1], line[1:2], line[2:].strip()
        if separator != "=":
            continue
        seen_any = True
        if kind == "m":
            section = _read_media(value)
            media.append(section)
            if len(media) > _MAX_MEDIA:
                raise SdpError(f"the session description has more than {_MAX_MEDIA} media sections")
        elif kind == "a":
            _read_attribute(section, value)
    if not seen_any:
        raise SdpError("the answer holds no session description")
    return SessionDescription(session.control, tuple(_finish(item) for item in media))


def resolve_control(base: str, control: str) -> str:
    """Return the URL that a control attribute means (RFC 2326 section C.1.1).

    Relative ones are appended to the base with one slash between, as servers and players have always done,
    also where RFC 3986 would replace the base's last segment.
    """
    if not control or control == "*":
        return base
    if "://" in control[:16]:
        return control
    if control.startswith("/"):
        scheme, _, rest = base.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}{control}"
    return f"{base}{control}" if base.endswith("/") else f"{base}/{control}"


def parameter_sets(formats: Mapping[str, str]) -> list[bytes]:
    """Return the NAL units of `sprop-parameter-sets` (RFC 6184 section 8.1); what is not base64 is left out."""
    return _decoded_sets(formats.get("sprop-parameter-sets", ""))


def h265_parameter_sets(formats: Mapping[str, str]) -> list[bytes]:
    """Return the NAL units of `sprop-vps`, `sprop-sps` and `sprop-pps` (RFC 7798 section 7.1), as `parameter_sets`."""
    return [nal for kind in ("vps", "sps", "pps") for nal in _decoded_sets(formats.get(f"sprop-{kind}", ""))]


def _decoded_sets(listed: str) -> list[bytes]:
    nals: list[bytes] = []
    for text in listed.split(",")[:_MAX_PARAMETER_SETS]:
        bare = text.strip().rstrip("=")
        try:
            nal = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        # Some cameras put the start code in front.
        nal = nal.removeprefix(b"\x00\x00\x00\x01").removeprefix(b"\x00\x00\x01")
        if nal:
            nals.append(nal)
    return nals


def _read_media(value: str) -> _Section:
    fields = value.split()
    if len(fields) < 3:
        raise SdpError("a media line of the session description is cut short")
    section = _Section(kind=fields[0].lower(), protocol=fields[2].upper())
    section.payload_types = [int(text) for text in fields[3:35] if _is_payload_type(text)]
    return section


def _read_attribute(section: _Section, value: str) -> None:
    name, _, text = value.partition(":")
    name, text = name.strip().lower(), text.strip()
    if name == "control":
        section.control = text
        return
    payload_type, _, rest = text.partition(" ")
    if name not in ("rtpmap", "fmtp") or not _is_payload_type(payload_type):
        return
    if name == "rtpmap":
        name, _, parameters = rest.strip().partition("/")
        section.names[int(payload_type)] = name.strip().upper()
        section.parameters[int(payload_type)] = parameters.strip()
        return
    pairs = (item.partition("=") for item in rest.split(";"))
    section.formats[int(payload_type)] = {key.strip().lower(): val.strip() for key, _, val in pairs if key.strip()}


def _is_payload_type(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) < 128


def _finish(section: _Section) -> MediaDescription:
    # A few cameras describe a payload type they forget to list on the media line.
    payload_types = dict.fromkeys((*section.payload_types, *section.names))
    codecs = {pt: section.names.get(pt) or _STATIC_CODECS.get(pt, f"payload type {pt}") for pt in payload_types}
    return MediaDescription(
        section.kind, section.protocol, codecs, section.formats, section.control, section.parameters
    )
