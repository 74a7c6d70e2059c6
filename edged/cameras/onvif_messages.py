"""What is said to a camera by ONVIF, and what its answers mean: SOAP 1.2 with a WS-Security login. Pure.

ONVIF Core 5.12 (security), Media Service 5.2 (profiles), 5.14 (SetSynchronizationPoint).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from edged.cameras.xml_elements import Element

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
DEVICE_PATH = "/onvif/device_service"
_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_DIGEST = f"{_WSS}-username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"
MAX_TOKEN = 256
_MAX_REASON = 160
# A camera without a battery begins anew in 1970. Beyond these no date can be written that it would take.
_YEARS = range(1970, 2100)

FaultKind = Literal["login", "profile", "other"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call: its action, and the element in the body."""

    service: str
    name: str
    content: str = ""

    @property
    def action(self) -> str:
        """The action as HTTP headers name it."""
        return f"{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Profile:
    """One media profile; `size` is None where it does not tell."""

    token: str
    encoding: str
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a camera did not do it."""

    kind: FaultKind
    reason: str


GET_TIME = Request(DEVICE, "GetSystemDateAndTime")
GET_MEDIA_SERVICE = Request(DEVICE, "GetCapabilities", "<Category>Media</Category>")
GET_PROFILES = Request(MEDIA, "GetProfiles")


def set_synchronization_point(token: str) -> Request:
    """Ask for a key frame in every stream of a profile, now."""
    return Request(MEDIA, "SetSynchronizationPoint", f"<ProfileToken>{escape(token)}</ProfileToken>")


def envelope(request: Request, security: str = "") -> bytes:
    """Return the SOAP message of a call."""
    header = f"<s:Header>{security}</s:Header>" if security else ""
    body = f"<{request.name} xmlns={quoteattr(request.service)}>{request.content}</{request.name}>"
    text = f'<s:Envelope xmlns:s="{_SOAP}">{header}<s:Body>{body}</s:Body></s:Envelope>'
    return b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode("utf-8")


def security(username: str, password: str, *, nonce: bytes, at_s: float) -> str:
    """Return a login that proves the password and does not show it; `at_s` is the camera's own time (Unix)."""
    created = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    proof = hashlib.sha1(nonce + created.encode() + password.encode(), usedforsecurity=False).digest()
    return (
        f'<w:Security s:mustUnderstand="1" xmlns:w="{_WSS}-wssecurity-secext-1.0.xsd"><w:UsernameToken>'
        f"<w:Username>{escape(username)}</w:Username>"
        f'<w:Password Type="{_DIGEST}">{base64.b64encode(proof).decode()}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f'<u:Created xmlns:u="{_WSS}-wssecurity-utility-1.0.xsd">{created}</u:Created>'
        "</w:UsernameToken></w:Security>"
    )


def fault_of(elements: Iterable[Element]) -> Fault | None:
    """Return the fault in an answer; None for one that is good."""
    codes: list[str] = []
    reason = ""
    is_fault = False
    for element in elements:
        is_fault = is_fault or element.name == "Fault"
        if element.name in ("Value", "faultcode"):
            codes.append(element.text.rpartition(":")[2])
        elif element.name in ("Text", "faultstring") and not reason:
            reason = "".join(letter for letter in element.text if letter.isprintable())[:_MAX_REASON]
    if not is_fault:
        return None
    kind: FaultKind = "other"
    if {"NotAuthorized", "FailedAuthentication", "InvalidSecurity"} & {*codes}:
        kind = "login"
    elif "NoProfile" in codes:
        kind = "profile"
    return Fault(kind, reason or ", ".join(codes)[:_MAX_REASON] or "it gave no reason")


def camera_time_s(elements: Iterable[Element]) -> float | None:
    """Return the camera's clock (Unix time); None where it does not tell. Its logins are good only near to that."""
    parts = {one.name: one.text for one in elements if "UTCDateTime" in one.path}
    try:
        year, month, day, hour, minute, second = (
            int(parts[name]) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")
        )
        if year not in _YEARS:
            return None
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def media_path(elements: Iterable[Element]) -> str | None:
    """Return the path of the media service. Only the path: which host is asked is not for the camera to say."""
    for element in elements:
        if element.path[-2:] == ("Media", "XAddr"):
            try:
                path = urlsplit(element.text).path
            except ValueError:
                return None
            return path if path.startswith("/") and path.isascii() and path.isprintable() and " " not in path else None
    return None


def profiles(elements: Iterable[Element]) -> list[Profile]:
    """Return the media profiles, in the camera's order, which begins with its main picture."""
    found: list[dict[str, str]] = []
    for element in elements:
        if element.name == "Profiles":
            found.append({"token": element.attributes.get("token", "")})
        elif found and "VideoEncoderConfiguration" in element.path:
            found[-1].setdefault(element.name, element.text)
    return [
        Profile(one["token"], one.get("Encoding", ""), _size(one.get("Width", ""), one.get("Height", "")))
        for one in found
        if 0 < len(one["token"]) <= MAX_TOKEN
    ]


def choose_profile(known: Iterable[Profile], size: tuple[int, int] | None) -> Profile | None:
    """Return the profile of a stream that has this size; without one the first of moving pictures, or the first.

    How it is coded does not tell: this service has no word for H.265, and cameras say this or that.
    """
    candidates = list(known)
    moving = [one for one in candidates if one.encoding.upper() != "JPEG"] or candidates
    return next((one for one in moving if one.size == size and size is not None), moving[0] if moving else None)


def _size(width: str, height: str) -> tuple[int, int] | None:
    if all(text.isascii() and text.isdecimal() and len(text) <= 5 for text in (width, height)):
        return int(width), int(height)
    return None
