"""Whatever text or packet comes in, a parser answers or refuses with its own error."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

from aioice import stun
from hypothesis import example, given
from hypothesis import strategies as st

from metered_realtime import sdp_rewrite, wire
from metered_realtime.description import DescriptionError, read_credentials, read_description
from metered_realtime.ice_socket import IceSocket
from metered_realtime.json_text import json_size
from metered_realtime.media.h264_rtp import H264Assembler
from metered_realtime.media.rtp import SequenceWatch, parse_rtp
from metered_realtime.media.sdp import SdpError, parse_sdp
from tests.fuzz.material import DESCRIPTION, FUZZ, candidates, descriptions, json_values, spoiled_bytes

FRAME_TYPES = ["ack", "message", "direct", "presence", "error", "pong", "welcome", "going_away", "subscribe",
               "unsubscribe", "publish", "send", "ping", "", "?"]  # fmt: skip
FRAME_KEYS = ["requestId", "channel", "from", "fromMetadata", "data", "joined", "left", "code", "message", "peerId",
              "expiresAt", "serverTime", "maxMessageSize", "retryAfterMs", "iceServers", "to", "options"]  # fmt: skip
ENVELOPE_KEYS = ["description", "candidate", wire.TRACK_METADATA_KEY, "type", "sdp", "trackId", "metadata", "kind"]

frames = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(FRAME_TYPES) | json_values,
    st.dictionaries(st.sampled_from(FRAME_KEYS), json_values | st.lists(st.just({"peerId": "a"})), max_size=8),
)
envelopes = st.recursive(
    st.sampled_from(["rtc-description", "rtc-ice", "offer", "answer", "v=0"]) | json_values,
    lambda inner: st.dictionaries(st.sampled_from(ENVELOPE_KEYS), inner, max_size=5),
    max_leaves=10,
)


@FUZZ
@given(frames.map(json.dumps) | st.text(max_size=100))
@example("[" * 100_000)
@example('{"type":"pong","x":' + "9" * 10_000 + "}")
@example('{"type":"message","channel":"a","from":"b","data":"\\ud800"}')
def test_a_frame_is_read_or_refused(text: str) -> None:
    for decode in (wire.decode_server_frame, wire.decode_client_frame):
        with suppress(wire.WireError):
            decode(text)


@FUZZ
@given(envelopes)
def test_an_envelope_is_read_or_is_the_applications(data: Any) -> None:
    envelope = wire.parse_envelope(data)
    if envelope is not None:
        assert wire.parse_envelope(wire.envelope_data(envelope)) is not None


@FUZZ
@given(json_values)
def test_the_size_of_a_value_is_that_of_its_text_or_refused(value: Any) -> None:
    try:
        size_bytes = json_size(value)
    except (ValueError, TypeError):
        return
    assert size_bytes == len(wire.encode(wire.Publish("c", value)).encode()) - len(
        wire.encode(wire.Publish("c", None)).encode()
    ) + len(b"null")


@FUZZ
@given(descriptions, descriptions)
@example(DESCRIPTION, DESCRIPTION)
def test_a_description_is_read_and_rewritten_or_refused(sdp: str, other: str) -> None:
    read_credentials(sdp)
    try:
        facts, _ = read_description(sdp), read_description(other)
    except DescriptionError:
        return
    sdp_rewrite.keep_usable_candidates(sdp)
    sdp_rewrite.drop_end_of_candidates(sdp)
    sdp_rewrite.say_trickle(sdp)
    sdp_rewrite.pin_numbers(sdp, [other])
    sdp_rewrite.revive_rejected(sdp, other)
    sdp_rewrite.reject_sections(sdp, [section.mid for section in facts.sections])


@FUZZ
@given(candidates)
def test_a_candidate_is_of_use_or_not(text: str) -> None:
    assert sdp_rewrite.usable_candidate(text) in (True, False)


@FUZZ
@given(descriptions.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=200))
def test_what_a_camera_describes_is_read_or_refused(body: bytes) -> None:
    with suppress(SdpError):
        parse_sdp(body)


def rtp(payload: bytes, *, sequence: int = 7, flags: int = 0x90, marker: int = 0x80) -> bytes:
    header = struct.pack("!BBHII", flags, marker | 96, sequence, 90_000, 1)
    return header + (struct.pack("!HHI", 0xBEDE, 1, 0) if flags & 0x10 else b"") + payload


PAYLOADS = [b"\x65\x88\x80", b"\x18\x00\x02\x67\x42\x00\x02\x68\xce", b"\x7c\x85\x88", b"\x7c\x45\x88", b""]


@FUZZ
@given(st.lists(st.sampled_from(PAYLOADS).flatmap(lambda payload: spoiled_bytes(rtp(payload))), max_size=12))
def test_rtp_packets_are_read_put_together_or_dropped(packets: list[bytes]) -> None:
    watch, assembler = SequenceWatch(), H264Assembler()
    for data in packets:
        packet = parse_rtp(data)
        if packet is not None:
            watch.accept(packet.sequence)
        assembler.push(data, now_s=1.0)


class Silent:
    """Stands where an ICE connection stands."""

    def data_received(self, data: bytes, component: int) -> None: ...
    def request_received(self, message: stun.Message, addr: Any, protocol: Any) -> None: ...
    def protocol_lost(self, protocol: Any) -> None: ...


def binding() -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction_id=b"fuzz fuzz fu")
    message.attributes["USERNAME"] = "a:b"
    message.attributes["PRIORITY"] = 1
    message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 9)
    message.attributes["ERROR-CODE"] = (487, "Role Conflict")
    message.add_message_integrity(b"key")
    return bytes(message)


@FUZZ
@given(spoiled_bytes(binding()) | st.binary(max_size=64))
async def test_a_datagram_never_ends_a_socket(data: bytes) -> None:
    IceSocket(Silent()).datagram_received(data, ("192.0.2.1", 9))
