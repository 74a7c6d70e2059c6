"""ICE restart on the living connection: by either side, undone, replaced, leading nowhere; whose sockets stay."""

from __future__ import annotations

import asyncio

import aioice
import pytest

from tests.sdk.ice_ends import (
    QUICK,
    Traffic,
    closing,
    connect,
    exchange,
    forbid_lingering,
    pair,
    restart,
    restarted,
)


@pytest.mark.parametrize("by_controlling", [True, False])
async def test_a_restart_moves_to_a_new_path_while_data_flows(by_controlling, monkeypatch):
    forbid_lingering(monkeypatch)
    one, other = pair()
    initiator, follower = (one, other) if by_controlling else (other, one)
    async with closing(one, other):
        await connect(one, other)
        before = [(end.ice.local_username, end.ice.remote_username) for end in (one, other)]
        async with Traffic(one, other) as traffic:
            await restart(initiator, follower)
            await restarted(one, other)
            await asyncio.sleep(0.05)
        assert traffic.missing == []
        assert traffic.received > 10
        after = [(end.ice.local_username, end.ice.remote_username) for end in (one, other)]
        assert not {name for names in before for name in names} & {name for names in after for name in names}
        assert [len(end.paths) for end in (one, other)] == [2, 2]
        await exchange(one, other)


async def test_restarts_in_a_row(monkeypatch):
    forbid_lingering(monkeypatch)
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        for initiator, follower in ((one, other), (other, one), (one, other)):
            await restart(initiator, follower)
            await restarted(one, other)
            await exchange(one, other)
        assert len(one.ice._protocols) == 1  # the address is still there, and so is its socket


async def test_credentials_that_are_known_change_nothing():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        await one.describe_to(other)
        assert not other.ice.is_restarting


async def test_an_undone_restart_puts_the_old_credentials_in_force():
    one, other = pair(consent=QUICK)
    async with closing(one, other):
        await connect(one, other)
        before = one.ice.local_username, one.ice.local_password, one.ice.remote_username
        candidates = one.ice.local_candidates
        one.ice.restart([])
        await one.ice.gather_candidates()
        assert one.ice.local_username != before[0]
        one.ice.undo_restart()
        assert (one.ice.local_username, one.ice.local_password, one.ice.remote_username) == before
        assert one.ice.local_candidates == candidates
        await exchange(one, other)
        await restart(other, one)  # whose offer it was that ours gave way to
        await restarted(one, other)
        await exchange(one, other)


async def test_a_restart_that_leads_nowhere_leaves_the_path():
    one, other = pair(consent=QUICK)
    async with closing(one, other):
        await connect(one, other)
        one.ice.restart([])
        await one.ice.gather_candidates()
        asked = other.ice._path._consent._next_ask_s
        while other.ice._path._consent._next_ask_s <= asked + 3 * QUICK.interval_s:
            await exchange(one, other)  # consent is asked for and given under the old credentials meanwhile
        assert one.ice.is_restarting
        assert "lost" not in one.told + other.told


async def test_a_restart_is_replaced_by_the_next():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        one.ice.restart([])
        await one.ice.gather_candidates()
        first = one.ice.local_username
        await restart(one, other)
        assert one.ice.local_username != first
        await restarted(one, other)
        await exchange(one, other)


async def test_a_restart_takes_up_new_addresses_and_leaves_vanished_ones(monkeypatch):
    forbid_lingering(monkeypatch)
    addresses = ["127.0.0.1", "127.0.0.2"]
    one, other = pair(addresses=lambda: addresses)
    async with closing(one, other):
        await connect(one, other)
        kept = {each.local_candidate.host: each for each in one.ice._protocols}
        addresses[:] = ["127.0.0.2", "127.0.0.3"]
        await restart(one, other)
        await restarted(one, other)
        assert {each.host for each in one.ice.local_candidates} == {"127.0.0.2", "127.0.0.3"}
        while len(one.ice._protocols) > 2:
            await asyncio.sleep(0)
        assert kept["127.0.0.2"] in one.ice._protocols
        assert kept["127.0.0.1"].is_closing
        await exchange(one, other)


async def test_candidates_of_before_the_restart_go_to_the_generation_they_belong_to():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        old = one.ice.remote_username
        one.ice.restart([])
        late = aioice.Candidate.from_sdp("1 1 udp 2130706431 127.0.0.1 9 typ host")
        await one.ice.add_remote_candidate(late, ufrag=old)
        assert one.ice.remote_candidates == []
        await one.ice.add_remote_candidate(late)
        assert len(one.ice.remote_candidates) == 1


async def test_closing_at_any_moment():
    one, other = pair()
    gathering = asyncio.create_task(one.ice.gather_candidates())
    await asyncio.sleep(0)
    await one.close()
    await gathering
    await other.ice.gather_candidates()
    await other.ice.set_remote("abcd", "a" * 22)
    connecting = asyncio.create_task(other.ice.connect())
    await asyncio.sleep(0)
    await asyncio.gather(other.ice.close(), other.ice.close())
    with pytest.raises(ConnectionError):
        await connecting
    await other.close()
    other.ice.restart([])
    await other.ice.gather_candidates()
    await other.ice.add_remote_candidate(None)
    assert await other.ice.get_event() is None
