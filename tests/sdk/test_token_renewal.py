"""A member whose tokens expire, on the real hub: it renews them ahead of time and stays a member all the while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count

import jwt
import pytest

from edged.hub.settings import TokenSecretSettings
from edged.settings import Secret
from metered_realtime import Connected, Data, Disconnected, MeteredPeer, PeerLeft, StateChange
from tests.edged.hub.conftest import hub_settings, running_hub

SECRET = "sk_secret_" + "0123456789abcdef" * 4
TOKENS = (TokenSecretSettings(id="sk_id_1", secret=Secret(SECRET)),)
LIFE_S = 60


def tokens_of(peer_id: str) -> Callable[[], str]:
    number = count()

    def provider() -> str:
        claims = {"sub": peer_id, "exp": int(time.time()) + LIFE_S * (1 + next(number))}
        return jwt.encode(claims, SECRET, "HS256", headers={"kid": "sk_id_1"})

    return provider


@pytest.fixture(autouse=True)
def early_renewals(monkeypatch):
    monkeypatch.setattr("metered_realtime.renewal.EARLIEST_SHARE", 0.0)
    monkeypatch.setattr("metered_realtime.renewal.LATEST_SHARE", 0.0)
    monkeypatch.setattr("metered_realtime.renewal.MIN_INTERVAL_S", 0.3)


@pytest.mark.parametrize(("renewing", "staying"), [("a", "b"), ("b", "a")])
async def test_a_member_stays_one_while_its_token_is_renewed(renewing, staying):
    async with running_hub(hub_settings(hold_s=3.0, token_secrets=TOKENS)) as hub:
        url = f"ws://127.0.0.1:{hub.port}"
        ours = MeteredPeer(token_provider=tokens_of(renewing), url=url)
        # The other one may do as it likes, but does not renew: what is told here is told of the renewing one.
        other = MeteredPeer(token_provider=tokens_of(staying), url=url, reconnect=False)
        async with ours.joined("room"), other.joined("room"):
            told = []
            for event_type in (StateChange, PeerLeft):
                ours.on(event_type, told.append)
            ours._client.on(Disconnected, told.append)
            async with ours._client.events(Connected) as renewed, asyncio.timeout(20):
                for _ in range(2):
                    await anext(renewed)
                    async with other.events(Data) as heard:
                        await ours.send("still here")
                        assert (await anext(heard)).data == "still here"
                    async with ours.events(Data) as heard:
                        await other.send_to(renewing, "you are")
                        assert (await anext(heard)).data == "you are"
            assert told == []
            assert [remote.id for remote in ours.remote_peers] == [staying]
            assert [remote.id for remote in other.remote_peers] == [renewing]
