"""STUN messages made and checked as bytes are those that the general road makes and takes."""

from __future__ import annotations

import os

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.ice_stun import HEADER_BYTES, REQUEST, RESPONSE, is_sealed, mapped_address, sealed

KEY = b"a password of twenty-two"
ID = bytes(range(12))


def request(transaction_id: bytes = ID) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction_id)
    message.attributes.update({"USERNAME": "they:we", "PRIORITY": 1, "ICE-CONTROLLING": 7, "USE-CANDIDATE": None})
    return message


def test_a_request_is_the_same_as_on_the_general_road() -> None:
    attributes = bytes(request())[HEADER_BYTES:]
    signed = request()
    signed.add_message_integrity(KEY)

    assert sealed(REQUEST, ID, attributes, KEY) == bytes(signed)


@pytest.mark.parametrize("addr", [("192.0.2.9", 54321), ("2001:db8::7", 1)])
def test_so_is_an_answer(addr: tuple[str, int]) -> None:
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, ID)
    answer.attributes["XOR-MAPPED-ADDRESS"] = addr
    answer.add_message_integrity(KEY)

    assert sealed(RESPONSE, ID, mapped_address(*addr, ID), KEY) == bytes(answer)


def test_a_message_is_known_by_its_key() -> None:
    signed = request(os.urandom(12))
    signed.add_message_integrity(KEY)

    assert is_sealed(bytes(signed), KEY)
    assert not is_sealed(bytes(signed), b"another")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_may_be_another(place: int, change: int) -> None:
    message = bytearray(sealed(REQUEST, ID, bytes(request())[HEADER_BYTES:], KEY))
    message[place % len(message)] ^= change

    assert not is_sealed(bytes(message), KEY)


@given(st.binary(max_size=100))
def test_what_is_no_such_message_is_not_taken_for_one(data: bytes) -> None:
    assert not is_sealed(data, KEY)


def test_an_unsigned_message_is_left_to_the_general_road() -> None:
    assert not is_sealed(bytes(request()), KEY)
    only_signed = request()
    only_signed.add_message_integrity(KEY)
    del only_signed.attributes["FINGERPRINT"]
    assert not is_sealed(bytes(only_signed), KEY)
