"""A socket of ours: STUN exchanges over it, whatever comes in, and the queue behind it."""

from __future__ import annotations

import asyncio

import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from metered_realtime.ice_socket import IceSocket, ReceivedQueue, StunExchange, open_host_socket

HERE = ("127.0.0.1", 9)


class Receiver:
    """Stands where the connection stands."""

    def __init__(self):
        self.data = []
        self.requests = []
        self.lost = []

    def data_received(self, data, component):
        self.data.append(data)

    def request_received(self, message, addr, protocol):
        self.requests.append(message)

    def protocol_lost(self, protocol):
        self.lost.append(protocol)


class Wire:
    """A transport that keeps what is sent."""

    def __init__(self):
        self.sent = []

    def sendto(self, data, addr):
        self.sent.append(stun.parse_message(data))

    def is_closing(self):
        return False


@pytest.fixture
async def over():
    ice_socket = IceSocket(Receiver())
    ice_socket.connection_made(Wire())
    return ice_socket


def binding():
    return stun.Message(stun.Method.BINDING, stun.Class.REQUEST)


def answer_to(message, key=None, kind=stun.Class.RESPONSE, method=stun.Method.BINDING):
    answer = stun.Message(method, kind, message.transaction_id)
    answer.attributes["XOR-MAPPED-ADDRESS"] = HERE
    if key is not None:
        answer.add_message_integrity(key)
    return bytes(answer)


async def test_a_request_is_sent_again_until_it_is_answered(over):
    done = asyncio.get_running_loop().create_future()
    StunExchange(over, binding(), HERE, done.set_result, delays_s=(0.01, 0.01, 1000))
    while len(over.transport.sent) < 3:
        await asyncio.sleep(0)
    assert len({each.transaction_id for each in over.transport.sent}) == 1
    over.datagram_received(answer_to(over.transport.sent[0]), HERE)
    answer = await done
    assert answer.addr == HERE
    assert answer.rtt_s is None  # nobody knows which of the three it answers
    assert over.transactions == {}


async def test_a_request_nobody_answers_ends_with_none(over):
    done = asyncio.get_running_loop().create_future()
    StunExchange(over, binding(), HERE, done.set_result, delays_s=(0.0, 0.0))
    assert await done is None
    assert over.transactions == {}


async def test_only_an_authenticated_answer_counts(over):
    done = asyncio.get_running_loop().create_future()
    StunExchange(over, binding(), HERE, done.set_result, key=b"key", delays_s=(1000,))
    sent = over.transport.sent[0]
    over.datagram_received(answer_to(sent), HERE)
    over.datagram_received(answer_to(sent, b"other"), HERE)
    over.datagram_received(answer_to(sent, b"key", method=stun.Method.REFRESH), HERE)
    over.datagram_received(answer_to(binding(), b"key"), HERE)
    assert not done.done()
    over.datagram_received(answer_to(sent, b"key", stun.Class.ERROR), HERE)
    assert (await done).rtt_s is not None


async def test_a_request_can_be_hurried_but_not_made_a_flood(over):
    exchange = StunExchange(over, binding(), HERE, lambda _: None, delays_s=(1000,))
    exchange.hurry()
    assert len(over.transport.sent) == 1
    await asyncio.sleep(0.03)
    exchange.hurry()
    exchange.hurry()
    assert len(over.transport.sent) == 2
    exchange.cancel()


async def test_media_is_told_from_stun_by_its_first_byte(over):
    over.datagram_received(b"\x80media", HERE)
    over.datagram_received(b"", HERE)
    over.datagram_received(b"\x00\x01 no STUN", HERE)
    over.datagram_received(bytes(binding()), HERE)
    assert over.receiver.data == [b"\x80media"]
    assert len(over.receiver.requests) == 1
    assert over.is_heard


def header(body):
    return b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=100),
        st.binary(max_size=60).map(header),
        st.tuples(st.sampled_from([6, 8, 9, 0x12, 0x20, 0x24, 0x25, 0x802A, 0x8028]), st.binary(max_size=12)).map(
            lambda each: header(each[0].to_bytes(2, "big") + len(each[1]).to_bytes(2, "big") + each[1])
        ),
    )
)
def test_no_datagram_raises(data):
    async def take():
        ice_socket = IceSocket(Receiver())
        ice_socket.connection_made(Wire())
        ice_socket.datagram_received(data, HERE)

    asyncio.run(take())


async def test_a_bound_socket_has_its_candidate_and_tells_when_it_is_gone():
    receiver = Receiver()
    ice_socket = await open_host_socket(receiver, "127.0.0.1", 65535)
    assert ice_socket.local_candidate.to_sdp().endswith("typ host")
    assert ice_socket.local_candidate.port > 0
    ice_socket.pause_writing()
    assert ice_socket.is_blocked
    ice_socket.resume_writing()
    assert not ice_socket.is_blocked
    await ice_socket.close()
    assert receiver.lost == [ice_socket]
    assert ice_socket.is_blocked
    ice_socket.send_stun(binding(), HERE)  # which is no error: exchanges may outlive it


async def test_the_queue_keeps_the_newest_within_its_bytes():
    queue = ReceivedQueue(max_bytes=100)
    for number in range(10):
        queue.put(bytes([number]) * 30)
    assert queue.dropped == 7
    assert [(await queue.get())[0] for _ in range(3)] == [7, 8, 9]


async def test_a_reader_that_was_cancelled_costs_nothing():
    queue = ReceivedQueue()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(b"data")
    assert await waiting == b"data"
    queue.close()
    with pytest.raises(ConnectionError):
        await queue.get()
