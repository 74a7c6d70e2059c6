"""Frames and envelopes: exact text out, strict reading in, nothing but WireError from hostile text."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metered_realtime import JsonText, wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=128)
REQUEST_IDS = st.none() | NAMES
METADATA = st.none() | st.dictionaries(st.text(), JSON, max_size=3)
MEMBERS = st.lists(st.builds(wire.PresencePeer, NAMES, METADATA), max_size=3).map(tuple)

CLIENT_FRAMES = (
    st.builds(wire.Subscribe, NAMES, REQUEST_IDS, st.booleans())
    | st.builds(wire.Unsubscribe, NAMES, REQUEST_IDS)
    | st.builds(wire.Publish, NAMES, JSON, REQUEST_IDS)
    | st.builds(wire.Send, NAMES, JSON, REQUEST_IDS)
    | st.builds(wire.Ping, REQUEST_IDS)
)
SERVER_FRAMES = (
    st.builds(wire.Welcome, NAMES, st.none() | st.integers(), st.integers(), st.integers(1, 2**31), METADATA)
    | st.builds(wire.Ack, NAMES)
    | st.builds(wire.Error, NAMES, REQUEST_IDS, st.none() | st.text())
    | st.builds(wire.Message, NAMES, NAMES, JSON, METADATA)
    | st.builds(wire.Direct, NAMES, JSON, METADATA)
    | st.builds(wire.Presence, NAMES, MEMBERS, MEMBERS)
    | st.builds(wire.GoingAway, st.integers(1, 300_000))
    | st.just(wire.Pong())
)


@given(CLIENT_FRAMES)
def test_client_frames_survive_the_way_there(frame):
    assert wire.decode_client_frame(wire.encode(frame)) == frame


@given(SERVER_FRAMES)
def test_server_frames_survive_the_way_there(frame):
    assert wire.decode_server_frame(wire.encode(frame)) == frame


@given(SERVER_FRAMES | CLIENT_FRAMES)
def test_every_encoded_frame_is_utf8(frame):
    wire.encode(frame).encode()


@given(JSON, NAMES, REQUEST_IDS)
def test_json_text_makes_the_very_frame_of_its_value(data, name, request_id):
    text = JsonText(wire.dumps(data))
    for kind in (wire.Publish, wire.Send):
        assert wire.encode(kind(name, text, request_id)) == wire.encode(kind(name, data, request_id))


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (wire.Subscribe("r", "1"), '{"type":"subscribe","channel":"r","requestId":"1"}'),
        (
            wire.Subscribe("r", "1", include_sender_metadata=True),
            '{"type":"subscribe","channel":"r","requestId":"1","includeSenderMetadata":true}',
        ),
        (wire.Unsubscribe("r", "1"), '{"type":"unsubscribe","channel":"r","requestId":"1"}'),
        (wire.Publish("r", {"a": "é"}, "1"), '{"type":"publish","channel":"r","data":{"a":"é"},"requestId":"1"}'),
        (wire.Publish("r", None, "1"), '{"type":"publish","channel":"r","data":null,"requestId":"1"}'),
        (wire.Send("p", [1], "1"), '{"type":"send","to":"p","data":[1],"requestId":"1"}'),
        (wire.Ping(), '{"type":"ping"}'),
        (wire.Publish("r", "\ud800", "1"), '{"type":"publish","channel":"r","data":"\\ud800","requestId":"1"}'),
        (
            wire.Welcome("p", None, 5, 65536),
            '{"type":"welcome","peerId":"p","expiresAt":null,"serverTime":5,"maxMessageSize":65536}',
        ),
        (wire.Presence("r"), '{"type":"presence","channel":"r","joined":[],"left":[]}'),
        (wire.Error("peer_not_found", "1"), '{"type":"error","requestId":"1","code":"peer_not_found"}'),
        (wire.GoingAway(), '{"type":"going_away","retryAfterMs":1000}'),
        (wire.Pong(), '{"type":"pong"}'),
    ],
)
def test_frames_have_the_text_of_the_official_clients(frame, text):
    assert wire.encode(frame) == text


HOSTILE = [
    "",
    "null",
    "[]",
    "5",
    '"text"',
    "{",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"type":' + "[" * 5_000 + "]" * 5_000 + "}",
    '{"type":"ping","x":' + "9" * 10_000 + "}",
    '{"type":"publish","channel":"c","data":NaN}',
    '{"type":"publish","channel":"c","data":-Infinity}',
    '{"type":"publish","channel":"c","data":1e999}',
    '{"type":["ping"]}',
    '{"type":"\ud800"}',
    '{"no":"type"}',
    "\x00",
    '"' + '\\"' * 50_000,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("decode", [wire.decode_client_frame, wire.decode_server_frame])
def test_hostile_text_raises_only_wire_error(decode, text):
    with pytest.raises(wire.WireError) as refused:
        decode(text)
    assert len(str(refused.value)) < 200


@given(st.text() | JSON.map(json.dumps))
@example('{"type": true}')
def test_any_text_decodes_or_raises_wire_error(text):
    for decode in (wire.decode_client_frame, wire.decode_server_frame):
        with contextlib.suppress(wire.WireError):
            decode(text)


FIELD_NAMES = (
    "channel data to requestId peerId expiresAt serverTime maxMessageSize metadata from joined left code message "
    "retryAfterMs includeSenderMetadata fromMetadata"
).split()
TYPE_NAMES = (
    "subscribe unsubscribe publish send ping welcome ack error message direct presence going_away pong other"
).split()
FIELDS = st.dictionaries(st.sampled_from(FIELD_NAMES), JSON)
TYPES = st.sampled_from(TYPE_NAMES)


@given(TYPES, FIELDS)
def test_any_mix_of_fields_decodes_or_raises_wire_error(type_, fields):
    text = json.dumps({"type": type_} | fields)
    for decode in (wire.decode_client_frame, wire.decode_server_frame):
        with contextlib.suppress(wire.WireError):
            wire.encode(decode(text))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"type":"dance"}', "unknown_type"),
        ('{"type":"subscribe"}', "invalid_channel"),
        ('{"type":"subscribe","channel":""}', "invalid_channel"),
        ('{"type":"subscribe","channel":"a\\u0007"}', "invalid_channel"),
        ('{"type":"subscribe","channel":"\\ud800"}', "invalid_channel"),
        ('{"type":"subscribe","channel":"' + "x" * 257 + '"}', "invalid_channel"),
        ('{"type":"subscribe","channel":"a","includeSenderMetadata":1}', "malformed_message"),
        ('{"type":"unsubscribe","channel":7}', "invalid_channel"),
        ('{"type":"publish","channel":"a"}', "missing_data"),
        ('{"type":"send","data":1}', "invalid_peer_id"),
        ('{"type":"send","to":"' + "x" * 129 + '","data":1}', "invalid_peer_id"),
        ('{"type":"send","to":"a"}', "missing_data"),
        ('{"type":"ping","requestId":7}', "malformed_message"),
        ('{"type":"ping","requestId":"' + "x" * 129 + '"}', "malformed_message"),
    ],
)
def test_bad_client_frames_carry_the_code_to_answer(text, code):
    with pytest.raises(wire.WireError) as refused:
        wire.decode_client_frame(text)
    assert refused.value.code == code


def test_bad_client_frame_keeps_the_request_id_for_the_answer():
    with pytest.raises(wire.WireError) as refused:
        wire.decode_client_frame('{"type":"publish","channel":"a","requestId":"r1"}')
    assert refused.value.request_id == "r1"


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"welcome","peerId":"p","serverTime":1,"maxMessageSize":5}',  # expiresAt missing
        '{"type":"welcome","peerId":"p","expiresAt":"x","serverTime":1,"maxMessageSize":5}',
        '{"type":"welcome","peerId":"p","expiresAt":null,"maxMessageSize":5}',
        '{"type":"welcome","peerId":"p","expiresAt":null,"serverTime":true,"maxMessageSize":5}',
        '{"type":"welcome","peerId":"p","expiresAt":null,"serverTime":1,"maxMessageSize":0}',
        '{"type":"welcome","expiresAt":null,"serverTime":1,"maxMessageSize":5}',
        '{"type":"ack"}',
        '{"type":"error"}',
        '{"type":"error","code":""}',
        '{"type":"message","channel":"c","from":"a"}',
        '{"type":"message","from":"a","data":1}',
        '{"type":"direct","data":1}',
        '{"type":"presence","channel":"c","joined":[]}',
        '{"type":"presence","channel":"c","left":[]}',
        '{"type":"presence","channel":"c","joined":["bare"],"left":[]}',
        '{"type":"presence","channel":"c","joined":[{"peerId":5}],"left":[]}',
    ],
)
def test_server_frames_are_read_as_strictly_as_the_stricter_client(text):
    with pytest.raises(wire.WireError):
        wire.decode_server_frame(text)


def test_optional_fields_of_the_wrong_type_are_dropped():
    frame = wire.decode_server_frame('{"type":"error","code":"c","requestId":5,"message":[]}')
    assert frame == wire.Error("c")
    frame = wire.decode_server_frame('{"type":"direct","from":"a","data":0,"fromMetadata":[],"extra":1}')
    assert frame == wire.Direct("a", 0)


@pytest.mark.parametrize(("value", "expected"), [("5", 5), ("-1", 1000), ('"x"', 1000), ("1e300", 300_000)])
def test_going_away_delay_is_kept_in_bounds(value, expected):
    assert wire.decode_server_frame(f'{{"type":"going_away","retryAfterMs":{value}}}') == wire.GoingAway(expected)


@pytest.mark.parametrize(
    ("channel", "reserved"), [("_metered/x", True), ("_SYSTEM/y", True), ("_internal/", True), ("metered/x", False)]
)
def test_reserved_channels(channel, reserved):
    assert wire.is_reserved_channel(channel) is reserved


@pytest.mark.parametrize(
    ("data", "envelope"),
    [
        ({"type": "rtc-description", "description": {"type": "offer", "sdp": "v=0"}}, wire.Description("offer", "v=0")),
        ({"type": "rtc-description", "description": {"type": "rollback", "sdp": "v=0"}}, None),
        ({"type": "rtc-description", "description": "x"}, None),
        ({"type": "rtc-ice", "candidate": None}, wire.IceCandidate(None)),
        ({"type": "rtc-ice", "candidate": {"candidate": "c"}}, wire.IceCandidate({"candidate": "c"})),
        ({"type": "rtc-ice", "candidate": 5}, None),
        ({"__meteredTrackMeta": {"trackId": "t"}}, wire.TrackMetadata("t", None)),
        ({"__meteredTrackMeta": {"trackId": "t", "metadata": {"a": 1}}}, wire.TrackMetadata("t", {"a": 1})),
        (
            {"__meteredTrackMeta": {"trackId": "t", "metadata": {}, "kind": "audio", "streamId": "s"}},
            wire.TrackMetadata("t", {}, "audio", "s"),
        ),
        ({"__meteredTrackMeta": {"trackId": ""}}, None),
        ({"__meteredTrackMeta": {"trackId": "t", "metadata": []}}, None),
        ({"__meteredTrackMeta": {"trackId": "t", "kind": ""}}, None),
        ({"__meteredTrackMeta": {"trackId": "t", "streamId": "x" * 257}}, None),
        ({"__meteredTrackMeta": 5}, None),
        ({"type": "chat"}, None),
        ([1], None),
        (None, None),
    ],
)
def test_envelopes_are_told_from_application_data(data, envelope):
    assert wire.parse_envelope(data) == envelope


@pytest.mark.parametrize(
    "envelope",
    [
        wire.Description("answer", "v=0"),
        wire.IceCandidate(None),
        wire.TrackMetadata("t", {"role": "cam"}, "video", "s"),
        wire.TrackMetadata("t", {"role": "cam"}),
        wire.TrackMetadata("t", None),
    ],
)
def test_envelopes_survive_the_way_there(envelope):
    assert wire.parse_envelope(wire.envelope_data(envelope)) == envelope


@given(JSON)
def test_no_application_data_makes_the_envelope_parser_raise(data):
    for key in ("type", "__meteredTrackMeta", "description"):
        wire.parse_envelope({key: data})
    wire.parse_envelope({"type": "rtc-description", "description": data})
    wire.parse_envelope(data)


def test_json_size_counts_utf8_bytes():
    assert wire.json_size("é") == 4
    assert wire.json_size({"a": [1, "x"]}) == len('{"a":[1,"x"]}')


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"x"])
def test_values_that_are_not_json_are_refused(value):
    with pytest.raises((ValueError, TypeError)):
        wire.dumps(value)


def test_bottomless_value_is_refused():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        wire.dumps(value)


STEPS = json.loads((Path(__file__).parents[1] / "wire/session.json").read_text())["steps"]


@pytest.mark.parametrize("text", [step["client"] for step in STEPS if "client" in step])
def test_client_texts_of_the_transcript_are_read_and_written_alike(text):
    assert wire.encode(wire.decode_client_frame(text)) == text


@pytest.mark.parametrize("text", [step["server"] for step in STEPS if "server" in step])
def test_server_texts_of_the_transcript_are_read(text):
    if "something_new" in text:
        with pytest.raises(wire.WireError):
            wire.decode_server_frame(text)
    else:
        wire.decode_server_frame(text)
