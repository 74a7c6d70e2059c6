"""The checks of a path in use, each way, between two real ends."""

from __future__ import annotations

import asyncio
from typing import Any

from aioice import stun

from metered_realtime.ice_consent import ConsentTimings
from metered_realtime.ice_repeats import ConsentChecks
from tests.sdk.ice_ends import TIMEOUT_S, End, closing, connect, exchange, pair, restart, restarted

OFTEN = ConsentTimings(interval_s=0.02, heard_interval_s=0.02, retry_s=0.02)


def taken_apart(end: End) -> list[bytes]:
    """Return what takes the general road at this end's sockets from now on."""
    seen: list[bytes] = []
    for over in end.ice._protocols:
        road = over._take_stun

        def take(data: bytes, where: Any, road: Any = road) -> None:
            seen.append(data)
            road(data, where)

        over._take_stun = take
    return seen


async def round_trips(end: End, count: int) -> None:
    """Wait until so many more consent checks of this end were answered."""
    path, done, left = end.ice._path, asyncio.Event(), [count]
    confirmed = path._checks._on_answer

    def note(rtt_s: float) -> None:
        confirmed(rtt_s)
        left[0] -= 1
        if not left[0]:
            done.set()

    path._checks._on_answer = note
    async with asyncio.timeout(TIMEOUT_S):
        await done.wait()


async def test_a_path_in_use_is_kept_without_taking_messages_apart():
    one, other = pair(consent=OFTEN)
    async with closing(one, other):
        await connect(one, other)
        await round_trips(one, 2)
        await round_trips(other, 2)
        seen = taken_apart(one), taken_apart(other)
        await round_trips(one, 5)
        await round_trips(other, 5)
        assert seen == ([], [])
        assert one.ice.selected_pair.rtt_s < TIMEOUT_S
        assert one.ice._path._checks._asked.keys() <= one.ice._nominated[1].protocol.transactions.keys()
        await exchange(one, other)


async def test_a_repeated_check_with_a_wrong_password_is_refused():
    one, other = pair(consent=OFTEN)
    async with closing(one, other):
        await connect(one, other)
        await round_trips(other, 2)
        seen = taken_apart(one)
        over = one.ice._nominated[1].protocol
        forged = stun.parse_message(over.received_check)
        forged.add_message_integrity(b"guess")
        sent: list[bytes] = []
        over.send_bytes = lambda data, _: sent.append(data)
        over.datagram_received(bytes(forged), one.ice.selected_pair.remote_address)
        assert seen == [bytes(forged)]
        assert [stun.parse_message(each).error_code for each in sent] == [401]


async def test_a_check_from_elsewhere_is_no_repeat():
    one, other = pair(consent=OFTEN)
    async with closing(one, other):
        await connect(one, other)
        await round_trips(other, 2)
        seen = taken_apart(one)
        over = one.ice._nominated[1].protocol
        over.datagram_received(over.received_check, ("127.0.0.77", 7))
        assert seen == [over.received_check]


async def test_after_a_restart_the_old_check_is_no_repeat_and_the_new_path_is_kept_as_well():
    one, other = pair(consent=OFTEN)
    async with closing(one, other):
        await connect(one, other)
        await round_trips(other, 2)
        over = one.ice._nominated[1].protocol
        old, addr = over.repeated, one.ice.selected_pair.remote_address
        check = over.received_check
        await restart(one, other)
        await restarted(one, other)
        assert old.answer(check, addr) is None
        await round_trips(one, 2)
        await round_trips(other, 2)
        seen = taken_apart(one)
        await round_trips(other, 3)
        assert seen == []


async def test_while_the_path_is_lost_every_check_is_taken_apart():
    one, other = pair(consent=OFTEN)
    async with closing(one, other):
        await connect(one, other)
        await round_trips(other, 2)
        over = one.ice._nominated[1].protocol
        repeated, addr = over.repeated, one.ice.selected_pair.remote_address
        assert repeated.answer(over.received_check, addr) is not None
        one.ice._path.generation.search()
        assert repeated.answer(over.received_check, addr) is None


async def test_a_conflict_of_roles_is_heeded_and_an_answer_without_key_is_not():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        path, answers = one.ice._path, []
        checks = ConsentChecks(path.generation, path.pair, answers.append, clock=lambda: 5.0)
        was_controlling = path.generation.is_controlling
        checks.ask()
        (transaction_id,) = checks._asked
        for key, code in ((b"guess", 487), (path.generation.remote_pwd.encode(), 487)):
            assert path.generation.is_controlling is was_controlling
            error = stun.Message(stun.Method.BINDING, stun.Class.ERROR, transaction_id)
            error.attributes["ERROR-CODE"] = (code, "Role Conflict")
            error.add_message_integrity(key)
            path.pair.protocol.datagram_received(bytes(error), path.pair.remote_addr)
        assert path.generation.is_controlling is not was_controlling
        assert (answers, checks._asked) == ([], {})


async def test_an_answer_that_comes_too_late_counts_for_nothing():
    one, other = pair()
    async with closing(one, other):
        await connect(one, other)
        path, now_s = one.ice._path, [5.0]
        checks = ConsentChecks(path.generation, path.pair, lambda _: None, clock=lambda: now_s[0])
        checks.ask()
        (late,) = checks._asked
        now_s[0] = 11.0
        checks.ask()
        assert late not in checks._asked
        assert late not in path.pair.protocol.transactions
        checks.close()
        assert checks._asked == {}
