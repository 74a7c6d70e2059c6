"""Whatever a member sends to another, the link between them lives on, and neither a handler nor a task fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metered_realtime import wire
from metered_realtime.frames import Description
from tests.fuzz.faults import Faults
from tests.fuzz.material import (
    CANDIDATES,
    DESCRIPTION,
    FUZZ_CONNECTED,
    PASSWORD,
    UFRAG,
    candidates,
    descriptions,
    json_values,
)
from tests.sdk.wired import AudioStreamTrack, End, SmallPictures, wired

FLOOD = 10_000
METADATA_IDS = 100_000
METADATA_LIMIT = 512
SECRETS = (PASSWORD, UFRAG)

inits = st.fixed_dictionaries(
    {"candidate": candidates | json_values},
    optional={"sdpMid": json_values, "sdpMLineIndex": json_values, "usernameFragment": json_values},
)
envelopes = st.one_of(
    inits.map(lambda init: {"type": "rtc-ice", "candidate": init}),
    st.tuples(st.sampled_from(["offer", "answer"]), descriptions).map(
        lambda pair: {"type": "rtc-description", "description": {"type": pair[0], "sdp": pair[1]}}
    ),
    st.builds(
        lambda body: {wire.TRACK_METADATA_KEY: body},
        st.fixed_dictionaries(
            {"trackId": st.text(max_size=9), "metadata": json_values}, optional={"kind": json_values}
        ),
    ),
)


@asynccontextmanager
async def connected(faults: Faults) -> AsyncIterator[tuple[End, End]]:
    """Two ends that media flows between."""
    asyncio.get_running_loop().set_exception_handler(faults.loop_fault)
    async with wired() as (polite, impolite, _):
        polite.add(SmallPictures())
        impolite.add(AudioStreamTrack())
        await polite.connected()
        await impolite.connected()
        yield polite, impolite


async def idle(end: End) -> None:
    """Wait until the link has taken in all that was put to it: what it says about a new track comes after."""
    before = end.offers
    end.add(AudioStreamTrack())
    await end.until(lambda: end.offers > before)


def deliver(end: End, data: Any) -> None:
    """Hand the data of a direct message to a link, as a peer does."""
    envelope = wire.parse_envelope(data)
    if envelope is not None:
        end.link.receive(envelope)


@settings(FUZZ_CONNECTED, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(inits.map(lambda init: {"type": "rtc-ice", "candidate": init}), min_size=20, max_size=60))
async def test_spoiled_candidates_do_not_touch_a_connection(faults: Faults, messages: list[Any]) -> None:
    async with connected(faults) as (polite, impolite):
        for message in messages:
            deliver(polite, message)
        await idle(polite)
        await impolite.until(lambda: len(impolite.link.remote.pc.getTransceivers()) == 3)
        assert (polite.link.state, impolite.link.state) == ("connected", "connected")
    assert faults.seen == []


@settings(FUZZ_CONNECTED, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(envelopes, min_size=5, max_size=25))
async def test_spoiled_messages_are_no_fault_of_a_link(faults: Faults, messages: list[Any]) -> None:
    async with connected(faults) as (polite, impolite):
        for number, message in enumerate(messages):
            deliver((polite, impolite)[number % 2], message)
            await asyncio.sleep(0)
    assert faults.seen == []


async def test_a_flood_of_candidates_leaves_a_few(faults: Faults) -> None:
    async with connected(faults) as (polite, impolite):
        for number in range(FLOOD):
            text = f"candidate:{number} 1 udp 2130706431 192.0.2.{number % 250} {1024 + number % 60000} typ host"
            deliver(polite, {"type": "rtc-ice", "candidate": {"candidate": text, "sdpMLineIndex": 0}})
            if number % 100 == 0:
                await asyncio.sleep(0)
        await idle(polite)
        (transport,) = {each.receiver.transport.transport for each in polite.link.pc.getTransceivers()}
        assert len(transport.getRemoteCandidates()) <= 210
        assert impolite.link.state == "connected"
    assert faults.seen == []


async def test_a_flood_of_track_metadata_leaves_a_few(faults: Faults) -> None:
    async with connected(faults) as (polite, impolite):
        for number in range(METADATA_IDS):
            deliver(polite, {wire.TRACK_METADATA_KEY: {"trackId": f"t{number}", "metadata": {"n": number}}})
        assert len(polite.link._track_metadata) == METADATA_LIMIT
        await idle(polite)
        assert impolite.link.state == "connected"
    assert faults.seen == []


async def test_a_flood_of_offers_costs_few_answers(faults: Faults) -> None:
    async with connected(faults) as (polite, _):
        sent = len(polite.sent)
        for number in range(FLOOD):
            sdp = DESCRIPTION.replace(UFRAG, f"uf{number}")
            polite.link.receive(Description("offer", sdp))
        await polite.until(lambda: not polite.link._connection._inputs)
        assert len(polite.sent) - sent < 200
        assert polite.link._connection.dropped_signals > 0
    assert faults.seen == []


async def test_no_secret_of_a_description_is_logged(faults: Faults) -> None:
    async with connected(faults) as (polite, impolite):
        for end in (polite, impolite):
            for sdp in (
                DESCRIPTION,
                DESCRIPTION.replace("a=mid:1", "a=mid:0"),
                DESCRIPTION.replace("m=video 9", "m=video x"),
            ):
                for kind in ("offer", "answer"):
                    deliver(end, {"type": "rtc-description", "description": {"type": kind, "sdp": sdp}})
            for candidate in CANDIDATES:
                init = {"candidate": candidate.replace("typ", f"{PASSWORD} typ"), "usernameFragment": UFRAG}
                deliver(end, {"type": "rtc-ice", "candidate": init})
            await end.until(lambda end=end: not end.link._connection._inputs)
    assert any("setRemoteDescription" in line for line in faults.lines), "aiortc shows descriptions"
    told = [*faults.lines, *map(str, polite.told), *map(str, impolite.told)]
    assert [line for line in told if any(secret in line for secret in SECRETS)] == []
