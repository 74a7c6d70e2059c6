"""What is cut out of a stream of MQTT packets, however it comes in pieces."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.mqtt.stream import PacketError, PacketStream, PlainMessage, is_whole, plain_message

PINGRESP = b"\xd0\x00"
PUBACK = b"\x40\x02\x00\x07"


def packet(head: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (128 if length else 0))
        if not length:
            return bytes((head, *digits)) + body


def publish(
    topic: bytes, payload: bytes, *, qos: int = 1, packet_id: int = 7, properties: bytes | None = None
) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", packet_id) if qos else b"")
    return packet(0x30 | qos << 1, body + (b"" if properties is None else properties) + payload)


def pieces(stream: PacketStream, chunks: Iterable[bytes]) -> list[bytes]:
    found = []
    for chunk in chunks:
        stream.add(chunk)
        while (place := stream.next()) is not None:
            found.append(stream.data[place[0] : place[2]])
    return found


def message(data: bytes, *, v5: bool = False) -> PlainMessage | None:
    stream = PacketStream(1000)
    stream.add(data)
    place = stream.next()
    assert place is not None
    return plain_message(stream.data, *place, v5=v5)


# The stream --------------------------------------------------------------------------------------------------


def in_steps(data: bytes, step: int) -> list[bytes]:
    return [data[begin : begin + step] for begin in range(0, len(data), step)]


@given(st.lists(st.binary(max_size=400).map(lambda it: publish(b"a/b", it)) | st.just(PINGRESP)), st.integers(1, 900))
@example([publish(b"a/b", b"21.5"), PINGRESP], 1)
@example([publish(b"a/b", bytes(200)), PINGRESP], 90)
def test_packets_are_the_same_however_they_come(packets: list[bytes], step: int) -> None:
    assert pieces(PacketStream(1000), in_steps(b"".join(packets), step)) == packets


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 700))
@example(800, 3000, 10_000)
@example(101, 101, 1)
def test_of_a_message_that_is_too_large_the_beginning_is_kept_and_the_next_is_whole(
    first_bytes: int, second_bytes: int, step: int
) -> None:
    packets = [publish(b"a/b", b"x" * first_bytes), publish(b"a/b", b"y" * second_bytes), PINGRESP]
    assert pieces(PacketStream(100), in_steps(b"".join(packets), step)) == [each[:100] for each in packets]


@pytest.mark.parametrize(("size_bytes", "whole"), [(0, True), (90, True), (900, True), (20_000, False)])
def test_what_was_cut_is_told_from_what_is_whole(size_bytes: int, whole: bool) -> None:
    stream = PacketStream(1000)
    stream.add(publish(b"a/b", bytes(size_bytes)))
    place = stream.next()
    assert place is not None
    assert is_whole(stream.data, *place) is whole


def test_what_is_too_large_is_not_gathered() -> None:
    stream = PacketStream(100)
    stream.add(publish(b"a/b", b"x" * 10_000_000)[:5000])
    assert stream.next() is None
    for _ in range(100):
        stream.add(b"x" * 5000)
        assert stream.next() is None
    assert len(stream.data) == 0
    assert len(stream._rest) == 100


def test_a_large_packet_that_is_no_message_is_an_error() -> None:
    stream = PacketStream(100)
    stream.add(packet(0x90, bytes(200)))
    with pytest.raises(PacketError, match="203 bytes"):
        stream.next()


@pytest.mark.parametrize("data", [b"\x30\xff\xff\xff\xff\x01", b"\x30\x80\x80\x80\x80"])
def test_a_length_without_an_end_is_an_error(data: bytes) -> None:
    stream = PacketStream(100)
    stream.add(data)
    with pytest.raises(PacketError, match="no end"):
        stream.next()


# Messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("v5", [False, True])
@pytest.mark.parametrize("payload", [b"", b"21.5", bytes(300)])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_plain_message_is_read(v5: bool, payload: bytes, qos: int) -> None:
    found = message(publish("büro/t".encode(), payload, qos=qos, properties=b"\0" if v5 else None), v5=v5)
    assert found is not None
    assert (found.topic, found.payload, found.qos, found.mid) == ("büro/t", payload, qos, 7 * qos)
    assert (found.retain, found.dup, found.properties) == (False, False, None)


def test_its_flags_are_read() -> None:
    data = bytearray(publish(b"a", b"1"))
    data[0] |= 0x09
    found = message(bytes(data))
    assert found is not None
    assert (found.retain, found.dup) == (True, True)


def test_a_topic_that_is_not_text_is_found_when_it_is_asked_for() -> None:
    found = message(publish(b"\xff", b"1"))
    assert found is not None
    with pytest.raises(UnicodeDecodeError):
        _ = found.topic


@pytest.mark.parametrize(
    ("data", "v5"),
    [
        (PUBACK, False),
        (publish(b"a", b"1", qos=2), False),
        (publish(b"", b"1"), False),  # MQTT 5: by a topic alias
        (publish(b"a", b"1", properties=b"\x02\x01\x01"), True),
        (packet(0x32, b"\x00"), False),
        (packet(0x32, b"\x00\x09abc"), False),
        (packet(0x32, b"\x00\x01a\x00"), False),
        (packet(0x32, b"\x00\x01a\x00\x07"), True),
        (packet(0x30, b"\xff\xff"), False),
    ],
    ids=[
        "no message", "qos 2", "no topic", "properties", "no length of the topic", "topic beyond the end",
        "half a packet id", "no properties", "topic beyond everything",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_library(data: bytes, v5: bool) -> None:
    assert message(data, v5=v5) is None


@given(st.binary(min_size=2, max_size=60), st.booleans())
def test_no_bytes_make_it_fail_or_read_beyond_the_packet(body: bytes, v5: bool) -> None:
    stream = PacketStream(1000)
    stream.add(packet(0x32, body) + b"beyond")
    place = stream.next()
    assert place is not None
    found = plain_message(stream.data, *place, v5=v5)
    assert found is None or b"beyond" not in found.payload + found.topic_bytes
