"""What each answer of a camera means on the way from DESCRIBE to PLAY: decisions only, no connection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metered_realtime.media.rtp_audio import AudioFormat, audio_format
from metered_realtime.media.rtsp_errors import (
    RtspAuthError,
    RtspError,
    RtspNotFoundError,
    RtspNoVideoError,
    RtspProtocolError,
    RtspTransportError,
    RtspUrlError,
)
from metered_realtime.media.rtsp_message import RtspResponse, UdpPath, parse_interleaved, parse_udp
from metered_realtime.media.rtsp_url import RtspUrl, parse_rtsp_url
from metered_realtime.media.sdp import SdpError, h265_parameter_sets, parameter_sets, parse_sdp, resolve_control

_LOGIN_IN_PATH = re.compile(r"(?i)((?:user|pass|pwd|token|auth|key)[a-z_-]*[=:])[^&/;?]*")
_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})
_INTERLEAVED_MODE = "2"


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The track to set up: where it is controlled, how it is packed, and the parameter sets known so far."""

    control_url: str
    session_url: str
    payload_type: int
    parameter_sets: tuple[bytes, ...]
    codec: str = "H264"


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """The sound beside the picture: where it is controlled and how it is packed."""

    control_url: str
    payload_type: int
    format: AudioFormat


def is_redirect(response: RtspResponse) -> bool:
    """True if the camera sends us to another address."""
    return response.status in _REDIRECTS and bool(response.headers.get("location"))


def shown(url: RtspUrl) -> str:
    """Return the path as it may stand in a log: no query, and no login, which some cameras take in the path."""
    return _LOGIN_IN_PATH.sub(r"\1***", url.path.partition("?")[0])[:120] or "/"


def redirect_target(location: str, url: RtspUrl) -> RtspUrl:
    """Return where a redirect leads; a bare path stays at the same camera. Raises RtspProtocolError."""
    if location.startswith("/"):
        location = f"{url.scheme}://{url.address}{location}"
    try:
        return parse_rtsp_url(location)
    except RtspUrlError as error:
        raise RtspProtocolError(
            f"the camera at {url.address} redirects to an address that cannot be used: {error}"
        ) from None


def refusal(method: str, response: RtspResponse, url: RtspUrl, *, transport: str = "TCP") -> RtspError | None:
    """Return the error an answer means, None if it is a success; `transport` names what was asked for in SETUP."""
    status = response.status
    if 200 <= status < 300:
        return None
    where = f"the camera at {url.address}"
    if status == 404:
        return RtspNotFoundError(f"{where} has no stream at {shown(url)}: check the path")
    if status in (401, 403):
        return RtspAuthError(f"{where} does not let this login see {shown(url)}", login_given=True)
    if status == 461:
        return RtspTransportError(f"{where} does not send its video over {transport}, as it was asked to")
    if status in (453, 503):
        return RtspProtocolError(f"{where} is busy: it allows no further connection ({status})")
    reason = "".join(character for character in response.reason[:60] if character.isprintable())
    return RtspProtocolError(f"{where} answered {method} with {status} {reason}".rstrip())


def offered_codecs(response: RtspResponse) -> tuple[tuple[str, str], ...]:
    """Return (kind, encoding name) of everything in the answer to DESCRIBE, for people."""
    try:
        session = parse_sdp(response.body)
    except SdpError:
        return ()
    found = ((_printable(media.kind), _printable(name)) for media in session.media for name in media.codecs.values())
    return tuple(dict.fromkeys(found))


def choose_video(response: RtspResponse, url: RtspUrl, codecs: Sequence[str] = ("H264",)) -> VideoTrack:
    """Find the track to take in the answer to DESCRIBE: the first of `codecs` there is.

    Raises RtspNoVideoError and RtspProtocolError.
    """
    try:
        session = parse_sdp(response.body)
    except SdpError as error:
        raise RtspProtocolError(f"the camera at {url.address} does not describe its stream: {error}") from None
    base = _base_of(response, url)
    found = ((codec, media, media.payload_type_of(codec)) for codec in codecs for media in session.media)
    for codec, media, payload_type in found:
        if media.kind != "video" or payload_type is None:
            continue
        formats = media.formats.get(payload_type, {})
        if _is_interleaved(codec, formats):
            raise RtspProtocolError(
                f"the camera at {url.address} sends {codec[0]}.{codec[1:]} in interleaved mode: choose another profile"
            )
        session_url = resolve_control(base, session.control)
        control_base = session_url if "://" in session.control[:16] else base
        sets = h265_parameter_sets(formats) if codec == "H265" else parameter_sets(formats)
        return VideoTrack(resolve_control(control_base, media.control), session_url, payload_type, tuple(sets), codec)
    raise _no_video(tuple((media.kind, name) for media in session.media for name in media.codecs.values()), url)


def _is_interleaved(codec: str, formats: Mapping[str, str]) -> bool:
    """Whether units come in another order than they are decoded (RFC 6184 section 5.6, RFC 7798 section 7.1)."""
    if codec == "H265":
        return formats.get("sprop-max-don-diff", "0") != "0"
    return formats.get("packetization-mode") == _INTERLEAVED_MODE


def choose_audio(response: RtspResponse, url: RtspUrl) -> AudioTrack | None:
    """Find sound that can be used in the answer to DESCRIBE, None where there is none."""
    try:
        session = parse_sdp(response.body)
    except SdpError:
        return None
    base = _base_of(response, url)
    session_url = resolve_control(base, session.control)
    control_base = session_url if "://" in session.control[:16] else base
    for media in session.media:
        if media.kind != "audio":
            continue
        for payload_type, codec in media.codecs.items():
            usable = audio_format(codec, media.parameters.get(payload_type, ""), media.formats.get(payload_type, {}))
            if usable is not None:
                return AudioTrack(resolve_control(control_base, media.control), payload_type, usable)
    return None


def agreed_channels(response: RtspResponse, url: RtspUrl, asked: tuple[int, int]) -> tuple[int, int]:
    """Return the channels of the answer to SETUP; what was asked for where the camera leaves them out."""
    transport = response.headers.get("transport")
    if not transport:
        return asked
    channels = parse_interleaved(transport)
    if channels is not None:
        return channels
    if "/tcp" in transport.lower():
        return asked
    raise RtspTransportError(f"the camera at {url.address} does not send its video over TCP, as it was asked to")


def agreed_udp(response: RtspResponse, url: RtspUrl) -> UdpPath:
    """Return what the answer to SETUP over UDP says of the camera's side. Raises RtspTransportError."""
    transport = response.headers.get("transport")
    path = parse_udp(transport) if transport else UdpPath(None, None)
    if path is None:
        raise RtspTransportError(f"the camera at {url.address} does not send its video over UDP, as it was asked to")
    return path


def _base_of(response: RtspResponse, url: RtspUrl) -> str:
    for name in ("content-base", "content-location"):
        value = response.headers.get(name)
        if value.lower().startswith(("rtsp://", "rtsps://")):
            return value
    return url.request_uri


def _no_video(found: tuple[tuple[str, str], ...], url: RtspUrl) -> RtspNoVideoError:
    where = f"the camera at {url.address}"
    names = tuple(dict.fromkeys(_printable(name) for _, name in found))
    videos = list(dict.fromkeys(_printable(name) for kind, name in found if kind == "video"))
    if videos:
        text = f"{where} sends {' and '.join(videos[:4])}, not H264: choose H.264 (AVC) in the camera's settings"
    elif names:
        text = f"{where} sends no video at {shown(url)}, only {' and '.join(names[:4])}"
    else:
        text = f"{where} describes no video at {shown(url)}"
    return RtspNoVideoError(text, names)


def _printable(text: str) -> str:
    return "".join(character for character in text[:24] if character.isprintable())
