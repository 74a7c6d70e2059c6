"""One generation: the first check, early and late candidates, the order of checks, the roles."""

from __future__ import annotations

import asyncio
import random
import socket

import aioice
import pytest

from metered_realtime import ice_generation
from tests.sdk.ice_ends import (
    LOOPBACK,
    closing,
    connect,
    exchange,
    forbid_timers,
    pair,
)


async def test_the_first_check_goes_out_at_once_and_success_is_noticed_at_once(monkeypatch):
    forbid_timers(monkeypatch)
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)


async def test_checks_that_came_before_the_credentials_count_when_these_come(monkeypatch):
    forbid_timers(monkeypatch)
    one, other = pair()
    async with closing(one, other):
        await one.ice.gather_candidates()
        await other.ice.gather_candidates()
        await other.describe_to(one)
        connecting = asyncio.create_task(one.ice.connect())
        await one.until(lambda: one.paths)  # the other side answers checks before it knows whose they are
        await one.describe_to(other)
        await asyncio.wait_for(other.ice.connect(), 5)
        await connecting


async def test_candidates_may_come_while_connecting():
    one, other = pair()
    async with closing(one, other):
        await one.ice.gather_candidates()
        await other.ice.gather_candidates()
        for here, there in ((one, other), (other, one)):
            await here.ice.set_remote(there.ice.local_username, there.ice.local_password)
        connecting = [asyncio.create_task(end.ice.connect()) for end in (one, other)]
        await asyncio.sleep(0)
        await one.ice.add_remote_candidate(other.ice.local_candidates[0])
        await asyncio.wait_for(asyncio.gather(*connecting), 5)  # the other end learns our candidate from the check
        assert other.ice.selected_pair.remote_type == "prflx"
        await exchange(one, other)


async def test_many_addresses_do_not_slow_it(monkeypatch):
    forbid_timers(monkeypatch)
    one, other = pair(addresses=lambda: LOOPBACK)
    async with closing(one, other):
        await connect(one, other)
        assert len(one.ice.local_candidates) == len(LOOPBACK)


async def test_dead_remote_candidates_only_cost_a_place_in_the_queue():
    one, other = pair()
    async with closing(one, other):
        await one.ice.gather_candidates()
        await other.ice.gather_candidates()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            for number in range(20):
                text = f"{number} 1 udp 2130706431 127.0.0.1 {silent.getsockname()[1] + number} typ host"
                await one.ice.add_remote_candidate(aioice.Candidate.from_sdp(text))
            await connect(one, other)


async def test_connecting_gives_up_without_a_path(monkeypatch):
    monkeypatch.setattr(ice_generation, "PATIENCE_S", 0.05)
    one, other = pair()
    async with closing(one, other):
        await one.ice.gather_candidates()
        await one.ice.set_remote("abcd", "a" * 22)
        with pytest.raises(ConnectionError, match="failed"):
            await one.ice.connect()


async def test_both_controlling_is_settled():
    one, other = pair()
    async with closing(one, other):
        other.ice.ice_controlling = True
        await connect(one, other)
        assert one.ice.ice_controlling != other.ice.ice_controlling
        await exchange(one, other)


async def test_both_controlled_is_settled():
    one, other = pair()
    async with closing(one, other):
        one.ice.ice_controlling = False
        await connect(one, other)
        assert one.ice.ice_controlling != other.ice.ice_controlling


@pytest.mark.parametrize("seed", range(3))
async def test_every_third_datagram_lost_costs_retransmissions_only(seed):
    one, other = pair()
    chance = random.Random(seed)
    async with closing(one, other):
        for end in (one, other):
            await end.ice.gather_candidates()
            for over in end.ice._protocols:
                take = over.datagram_received
                over.datagram_received = lambda data, addr, take=take: (
                    None if chance.random() < 1 / 3 else take(data, addr)
                )
        await connect(one, other)
        assert one.ice.selected_pair.remote_address == other.ice.selected_pair.local_address


async def test_the_other_side_may_move_to_another_pair():
    """As a browser does, which nominates the pair it likes better at any time."""
    one, other = pair(addresses=lambda: LOOPBACK[:2])
    async with closing(one, other):
        await connect(one, other)
        first = one.ice._nominated[1]
        better = next(each for each in one.ice._current.table if each.protocol is not first.protocol)
        one.ice._current._check(better)
        one.ice._current._is_searching = True  # what makes it move, be it what it may
        await one.until(lambda: one.ice._nominated[1] is not first)
        await other.until(lambda: other.ice.selected_pair.remote_address == one.ice.selected_pair.local_address)
        await exchange(one, other)
