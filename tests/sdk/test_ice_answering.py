"""Checks of the other side, honest and hostile."""

from __future__ import annotations

import aioice
from aioice import stun

from tests.sdk.ice_ends import (
    closing,
    connect,
    exchange,
    pair,
)


async def test_a_request_with_wrong_credentials_is_refused_and_leaves_no_trace():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        over = one.ice._protocols[0]
        known = len(one.ice.remote_candidates)
        for attributes in (
            {},
            {"USERNAME": f"{one.ice.local_username}:else", "PRIORITY": 1},
            {"USERNAME": one.ice.local_username},
            {"USERNAME": ":" * 500, "PRIORITY": 0, "ICE-CONTROLLED": 1},
        ):
            for method in (stun.Method.BINDING, stun.Method.ALLOCATE):
                message = stun.Message(method, stun.Class.REQUEST, attributes=dict(attributes))
                message.add_message_integrity(b"guess")
                over.datagram_received(bytes(message), ("127.0.0.1", 9))
        assert len(one.ice.remote_candidates) == known
        await exchange(one, other)


async def test_an_authenticated_peer_cannot_make_us_remember_without_end():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        over = one.ice._protocols[0]
        for port in range(1, 500):
            message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
            message.attributes["USERNAME"] = f"{one.ice.local_username}:{one.ice.remote_username}"
            message.add_message_integrity(one.ice.local_password.encode())
            over.datagram_received(bytes(message), ("127.0.0.1", port))
            candidate = aioice.Candidate.from_sdp(f"1 1 udp 1 127.0.0.9 {port} typ host")
            await one.ice.add_remote_candidate(candidate)
        assert len(one.ice.remote_candidates) <= 64
        await exchange(one, other)
