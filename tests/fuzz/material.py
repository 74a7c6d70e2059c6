"""What the fuzz tests are made of: true descriptions, candidates and packets, and ways to spoil them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# The same examples in every run: a red run can be repeated, and a green one is no luck.
FUZZ = settings(
    max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Where each example needs a connection of its own.
FUZZ_CONNECTED = settings(FUZZ, max_examples=6)

# Looked for in logs.
PASSWORD = "plantedpasswordplantedpw"
UFRAG = "planteduf"

DESCRIPTION = "\r\n".join(
    [
        "v=0",
        "o=- 3 2 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1 2",
        "a=msid-semantic:WMS *",
        "a=extmap-allow-mixed",
        "m=audio 40000 UDP/TLS/RTP/SAVPF 96 0",
        "c=IN IP4 192.0.2.1",
        "a=sendrecv",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=mid:0",
        "a=msid:stream track-a",
        "a=rtcp-mux",
        "a=ssrc:1 cname:x",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
        "a=fmtp:96 useinbandfec=1",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host",
        "a=end-of-candidates",
        f"a=ice-ufrag:{UFRAG}",
        f"a=ice-pwd:{PASSWORD}",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "m=video 9 UDP/TLS/RTP/SAVPF 97 98",
        "c=IN IP4 0.0.0.0",
        "a=bundle-only",
        "a=sendonly",
        "a=mid:1",
        "a=msid:stream track-v",
        "a=rtcp-mux",
        "a=rtpmap:97 VP8/90000",
        "a=rtcp-fb:97 nack pli",
        "a=rtpmap:98 rtx/90000",
        "a=fmtp:98 apt=97",
        "a=ssrc-group:FID 2 3",
        "a=ssrc:2 cname:x",
        "a=ssrc:3 cname:x",
        f"a=ice-ufrag:{UFRAG}",
        f"a=ice-pwd:{PASSWORD}",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:2",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        f"a=ice-ufrag:{UFRAG}",
        f"a=ice-pwd:{PASSWORD}",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "",
    ]
)
CANDIDATES = (
    "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
    "candidate:1 1 UDP 2130706431 192.0.2.7 40000 typ srflx raddr 10.0.0.1 rport 9 generation 0 ufrag x network-cost 9",
    "candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
    "candidate:3 1 udp 2113937151 8f2d6f5c-0000-4a1e-9d0c-3a1f7ffb24a6.local 40001 typ host",
    "candidate:4 2 udp 1 2001:db8::1 1 typ relay raddr :: rport 0",
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(
    ["", " ", "0", "-1", "99999999999999999999", "a=mid:0", "m=", "m=audio", "\x00", "é" * 40, ":", "*"]
)


@st.composite
def spoiled(draw: st.DrawFn, text: str, separator: str) -> str:
    """Return `text` with some of its parts dropped, doubled, moved, cut, or replaced."""
    parts = text.split(separator)
    for _ in range(draw(st.integers(1, 6))):
        at, other = draw(st.integers(0, len(parts) - 1)), draw(st.integers(0, len(parts) - 1))
        match draw(st.integers(0, 5)):
            case 0 if len(parts) > 1:
                del parts[at]
            case 1:
                parts.insert(at, parts[other])
            case 2:
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts[at] = parts[at][: draw(st.integers(0, len(parts[at])))]
            case 4:
                parts[at] = draw(words | st.text(max_size=30))
            case _:
                parts[at] += draw(words)
    return separator.join(parts)


@st.composite
def spoiled_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Return `data` cut, lengthened, or with some bytes changed."""
    changed = bytearray(data)
    for at, value in draw(st.lists(st.tuples(st.integers(0, max(0, len(data) - 1)), st.integers(0, 255)), max_size=6)):
        if at < len(changed):
            changed[at] = value
    end = draw(st.integers(0, len(changed)))
    return bytes(changed[:end]) + draw(st.binary(max_size=16))


descriptions = spoiled(DESCRIPTION, "\r\n") | spoiled(DESCRIPTION, " ") | st.text(max_size=200)
candidates = st.one_of(*[spoiled(candidate, " ") for candidate in CANDIDATES]) | st.text(max_size=60)


@st.composite
def spoiled_packets(draw: st.DrawFn, packets: Sequence[bytes], header_at: slice) -> list[bytes]:
    """A part of an RTP stream with packets lost, doubled, moved, from another place of time, or damaged; `header_at`
    are the bytes that a damage of their own is for."""
    begin = draw(st.integers(0, len(packets) - 20))
    taken = list(packets[begin : begin + draw(st.integers(10, 60))])
    for _ in range(draw(st.integers(1, 5))):
        at, other = draw(st.integers(0, len(taken) - 1)), draw(st.integers(0, len(taken) - 1))
        match draw(st.integers(0, 5)):
            case 0:
                del taken[at : at + draw(st.integers(1, 3))]
            case 1:
                taken.insert(at, taken[other])
            case 2:
                taken[at], taken[other] = taken[other], taken[at]
            case 3:  # a clock that was set, sequence numbers that began anew
                stamp, number = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**16 - 1))
                taken[at:] = [moved(packet, stamp, number) for packet in taken[at:]]
            case 4:
                taken[at] = draw(spoiled_bytes(taken[at]))
            case _:
                size = header_at.stop - header_at.start
                damage = draw(st.binary(min_size=size, max_size=size))
                taken[at] = taken[at][: header_at.start] + damage + taken[at][header_at.stop :]
        taken = taken or list(packets[:5])
    return taken


def moved(packet: bytes, stamp: int, number: int) -> bytes:
    if len(packet) < 12:
        return packet
    sequence, timestamp = struct.unpack("!HI", packet[2:8])
    return packet[:2] + struct.pack("!HI", (sequence + number) & 0xFFFF, (timestamp + stamp) % 2**32) + packet[8:]
