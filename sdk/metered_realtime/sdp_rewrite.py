"""Changes to SDP text between a browser and aiortc that neither of them makes by itself. Pure text to text.

aiortc numbers codecs and header extensions from fixed tables in every offer, waits a second for each mDNS name, and
cannot read a rejected section; browsers refuse the first, cause the second and send the third.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from metered_realtime.description import split_sections

# Browsers use up nearly all of the first range, and go on in the second, too, which RTCP leaves free (RFC 5761).
DYNAMIC_PAYLOAD_TYPES = (*range(96, 128), *range(35, 64))
HEADER_EXTENSION_IDS = range(1, 15)
# Chromium counts anew for each mix of kinds (mid is 4 with sound in it, 9 with pictures alone, where 4 is another
# one's), remembers what an offer that gave way to ours said, and refuses its own next offer where ours differs by a
# number it uses. These are its own, or free, in all its mixes.
USUAL_EXTENSION_IDS = {
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": "12",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time": "2",
    "urn:ietf:params:rtp-hdrext:sdes:mid": "9",
}

_CANDIDATE_LINE = re.compile(r"^a=candidate:([^\r\n]*)\r?\n?", re.MULTILINE)
_END_OF_CANDIDATES = re.compile(r"^a=end-of-candidates[ \t]*\r?\n?", re.MULTILINE)
_MEDIA_LINE = re.compile(r"^m=(\S+) (\d+)(/\d+)? (\S+) ?([^\r\n]*)", re.MULTILINE)
_MID_LINE = re.compile(r"^a=mid:\S+", re.MULTILINE)
_BUNDLE_LINE = re.compile(r"^a=group:BUNDLE[^\r\n]*", re.MULTILINE)
_DIRECTION_LINE = re.compile(r"^a=(?:sendrecv|sendonly|recvonly|inactive)[ \t]*(?=\r?$)", re.MULTILINE)
_EXTMAP_LINE = re.compile(r"^a=extmap:(\d+)(/\S+)? (\S+)([^\r\n]*)(\r?\n|$)", re.MULTILINE)
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^\r\n]+)", re.MULTILINE)
_FMTP = re.compile(r"^a=fmtp:(\d+) ([^\r\n]+)", re.MULTILINE)
_CODEC_LINE = re.compile(r"^(a=(?:rtpmap|fmtp|rtcp-fb):)(\d+)( [^\r\n]*)", re.MULTILINE)
_APT = re.compile(r"\bapt=(\d+)")
_PASSWORD_LINE = re.compile(r"^a=ice-pwd:[^\r\n]*", re.MULTILINE)
_TRANSPORT_LINE = re.compile(r"^a=(?:ice-ufrag|ice-pwd|ice-options|fingerprint|setup):[^\r\n]*", re.MULTILINE)


def usable_candidate(candidate: str) -> bool:
    """Tell whether aiortc should see this candidate: UDP, with an address and not a name.

    A browser behind mDNS is learned from its first check instead; resolving the name would cost a second.
    """
    fields = candidate.removeprefix("candidate:").split()
    if len(fields) < 8 or fields[2].lower() != "udp":
        return False
    try:
        ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    return True


def keep_usable_candidates(sdp: str) -> str:
    """Drop candidates that aiortc cannot or should not use, and every end-of-candidates.

    Without the end mark ICE keeps listening for a browser whose own candidates were all dropped.
    """
    kept = _CANDIDATE_LINE.sub(lambda line: line.group() if usable_candidate(line.group(1)) else "", sdp)
    return _END_OF_CANDIDATES.sub("", kept)


def say_trickle(sdp: str) -> str:
    """Say that our candidates may come after the description (RFC 8840), which aiortc never does."""
    return sdp if "a=ice-options:" in sdp else _PASSWORD_LINE.sub(r"\g<0>\r\na=ice-options:trickle", sdp)


def drop_end_of_candidates(sdp: str) -> str:
    """Return the description without the word that there are no more candidates."""
    return _END_OF_CANDIDATES.sub("", sdp)


def arrange_offer(sdp: str, sections: Sequence[tuple[int, str]]) -> str:
    """Return the offer with its sections in the order given as (index in `sdp`, mid to write)."""
    head, *bodies = split_sections(sdp)
    if sorted(index for index, _ in sections) != list(range(len(bodies))):
        raise ValueError("the arrangement must name every section of the offer once")
    arranged = [_MID_LINE.sub(f"a=mid:{mid}", bodies[index], count=1) for index, mid in sections]
    bundle = "a=group:BUNDLE " + " ".join(mid for _, mid in sections)
    return _BUNDLE_LINE.sub(bundle, head, count=1) + "".join(arranged)


def pin_numbers(offer: str, earlier: Iterable[str]) -> str:
    """Give codecs and header extensions of a new offer the numbers that the session already uses for them.

    `earlier` are the descriptions both sides hold. A codec or extension that is new gets a number that is free, the
    usual one if possible.
    """
    earlier = list(earlier)
    return _pin_payload_types(_pin_extensions(offer, earlier), earlier)


def _pin_extensions(offer: str, earlier: list[str]) -> str:
    ids: dict[str, str] = {}
    for found in (match for sdp in earlier for match in _EXTMAP_LINE.finditer(sdp)):
        if found.group(1) not in ids.values():
            ids.setdefault(found.group(3), found.group(1))

    def pinned(line: re.Match[str]) -> str:
        uri = line.group(3)
        if uri not in ids:
            free = [str(number) for number in HEADER_EXTENSION_IDS if str(number) not in ids.values()]
            if not free:
                return ""
            usual = USUAL_EXTENSION_IDS.get(uri, line.group(1))
            ids[uri] = usual if usual in free else free[0]
        return f"a=extmap:{ids[uri]}{line.group(2) or ''} {uri}{line.group(4)}{line.group(5)}"

    return _EXTMAP_LINE.sub(pinned, offer)


def _codecs(section: str) -> dict[str, tuple[str, ...]]:
    """Payload type to what identifies the codec; an `rtx` is identified by the codec it repairs."""
    names = {number: name.strip().lower() for number, name in _RTPMAP.findall(section)}
    parameters = dict(_FMTP.findall(section))
    plain = {number: _codec_key(name, parameters.get(number, "")) for number, name in names.items()}
    for number, name in names.items():
        apt = _APT.search(parameters.get(number, ""))
        if name.startswith("rtx/") and apt is not None:
            plain[number] = ("rtx", *plain.get(apt.group(1), ()))
    return plain


def _codec_key(name: str, parameters: str) -> tuple[str, ...]:
    fields = dict(field.strip().lower().partition("=")[::2] for field in parameters.split(";"))
    if name.startswith("h265/"):
        # Nor does the level separate two H.265 codecs (W3C WebRTC 1.0, candidate correction 52).
        return (name, fields.get("profile-id", "1"), fields.get("tier-flag", "0"), fields.get("tx-mode", "srst"))
    if not name.startswith("h264/"):
        return (name,)
    # The level does not separate two H.264 codecs (RFC 6184 section 8.2.2), profile and packetization do.
    return (name, fields.get("profile-level-id", "42e01f")[:4], fields.get("packetization-mode", "0"))


def _pin_payload_types(offer: str, earlier: list[str]) -> str:
    known: dict[tuple[str, ...], str] = {}
    used: set[str] = set()
    for section in (section for sdp in earlier for section in split_sections(sdp)[1:]):
        kind = section[2:].partition(" ")[0]
        for number, key in _codecs(section).items():
            used.add(number)
            known.setdefault((kind, *key), number)
    head, *bodies = split_sections(offer)
    return head + "".join(_renumber(body, known, used) for body in bodies)


def _renumber(section: str, known: dict[tuple[str, ...], str], used: set[str]) -> str:
    kind = section[2:].partition(" ")[0]
    if kind not in ("audio", "video"):
        return section
    renamed: dict[str, str] = {}
    for number, key in _codecs(section).items():
        pinned = known.get((kind, *key))
        if pinned is None:
            free = [str(candidate) for candidate in DYNAMIC_PAYLOAD_TYPES if str(candidate) not in used]
            pinned = number if number not in used or not free else free[0]
            known[(kind, *key)] = pinned
        used.add(pinned)
        renamed[number] = pinned

    def media(line: re.Match[str]) -> str:
        formats = " ".join(renamed.get(number, number) for number in line.group(5).split())
        return f"m={line.group(1)} {line.group(2)}{line.group(3) or ''} {line.group(4)} {formats}"

    def codec(line: re.Match[str]) -> str:
        rest = _APT.sub(lambda apt: f"apt={renamed.get(apt.group(1), apt.group(1))}", line.group(3))
        return f"{line.group(1)}{renamed.get(line.group(2), line.group(2))}{rest}"

    return _CODEC_LINE.sub(codec, _MEDIA_LINE.sub(media, section, count=1))


def revive_rejected(sdp: str, other: str) -> str:
    """Make every rejected section readable for aiortc: the section of `other` with the same mid, inactive.

    `other` is our own description of the session. The transport lines come from a section that was not rejected.
    """
    head, *bodies = split_sections(sdp)
    transport = next((_TRANSPORT_LINE.findall(body) for body in bodies if not _is_rejected(body)), [])
    ours = {_mid(body): body for body in split_sections(other)[1:]}
    revived = []
    for body in bodies:
        own = ours.get(_mid(body))
        if not _is_rejected(body) or own is None:
            revived.append(body)
            continue
        plain = _END_OF_CANDIDATES.sub("", _CANDIDATE_LINE.sub("", own))
        lines = [line for line in plain.splitlines() if line and not _TRANSPORT_LINE.match(line)]
        lines = ["a=inactive" if _DIRECTION_LINE.match(line) else line for line in lines]
        revived.append("\r\n".join([*lines, *transport]) + "\r\n")
    return head + "".join(revived)


def reject_sections(sdp: str, mids: Iterable[str]) -> str:
    """Return the answer with port 0 in these sections, and without them in the BUNDLE group (RFC 8843 section 7.3)."""
    refused = set(mids)
    if not refused:
        return sdp
    head, *bodies = split_sections(sdp)
    kept = " ".join(mid for body in bodies if (mid := _mid(body)) not in refused)
    closed = [_MEDIA_LINE.sub(r"m=\1 0 \4 \5", body, count=1) if _mid(body) in refused else body for body in bodies]
    return _BUNDLE_LINE.sub(f"a=group:BUNDLE {kept}", head, count=1) + "".join(closed)


def _mid(section: str) -> str:
    found = _MID_LINE.search(section)
    return found.group()[len("a=mid:") :] if found is not None else ""


def _is_rejected(section: str) -> bool:
    media = _MEDIA_LINE.match(section)
    return media is not None and media.group(2) == "0" and "a=bundle-only" not in section
