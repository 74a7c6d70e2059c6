"""The door to the hub: a refused or failed first connection is one sentence, against real sockets."""

import asyncio
import socket

import pytest
from websockets.asyncio.server import serve

from edged.hub_link import HubConnectError, HubLink, connect_sentence
from edged.settings import HubLinkSettings, Secret
from metered_realtime import network_watch
from tests.sdk.netlink import new_address

KEY = "pk_live_very_secret"


def link(port: int) -> HubLink:
    return HubLink(HubLinkSettings(url=f"ws://127.0.0.1:{port}", key=Secret(KEY)))


async def failure(port: int) -> HubConnectError:
    client = link(port).open_client()
    try:
        with pytest.raises(HubConnectError) as caught:
            await client.connect()
    finally:
        await client.close()
    return caught.value


@pytest.mark.parametrize(
    ("code", "reason", "sentence", "retry_after_s"),
    [
        (4001, "invalid token", "refused the key (4001 invalid token): set hub.key to a valid publishable key", 60.0),
        (4012, "", "has suspended the account of this key (4012): set hub.key to a key of another account", 60.0),
        (4011, "slow down", "finds us too busy (4011 slow down)", None),
    ],
)
async def test_a_refusal_says_which_setting_to_change(code, reason, sentence, retry_after_s):
    async def refuse(connection):
        await connection.close(code, reason)

    async with serve(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        err = await failure(port)
    assert str(err) == f"the hub at ws://127.0.0.1:{port} {sentence}"
    assert err.retry_after_s == retry_after_s


async def test_a_hub_that_is_not_there_is_one_sentence_without_the_key():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        err = await failure(port)
    assert str(err).startswith(f"no connection to the hub at ws://127.0.0.1:{port}: ")
    assert "hub.url" in str(err)
    assert "Errno" not in str(err)
    assert KEY not in str(err)
    assert err.retry_after_s is None


async def test_something_else_at_the_address_is_one_sentence():
    async with serve(lambda _: None, "127.0.0.1", 0, process_request=lambda c, _: c.respond(404, "no")) as server:
        port = server.sockets[0].getsockname()[1]
        err = await failure(port)
    assert (
        str(err)
        == f"ws://127.0.0.1:{port} answered with HTTP status 404: set hub.url to the origin of a signalling service"
    )
    assert err.retry_after_s == 60.0


@pytest.mark.parametrize("code", [1001, 1006, 1008, 4000, 4002, 4003, 4010, 4011, 4020, 503])
def test_every_code_has_a_sentence_with_the_address(code):
    sentence = connect_sentence("wss://hub", code, "why")
    assert "wss://hub" in sentence
    assert "\n" not in sentence


def test_a_connection_that_ends_without_a_reason_tells_its_code():
    assert "code 1001" in connect_sentence("wss://hub", 1001, "")


def test_the_key_is_in_no_representation():
    client = link(1).open_client()
    assert KEY not in repr(client)
    assert KEY not in repr(vars(client))


async def test_the_watchdog_is_the_one_of_the_settings():
    settings = HubLinkSettings(url="ws://127.0.0.1:1", key=Secret(KEY), silence_s=7)
    assert HubLink(settings)._options()["inactivity_timeout"] == 7


async def test_a_pause_ends_with_its_time(monkeypatch):
    monkeypatch.setattr(network_watch, "open_netlink", no_netlink)
    async with asyncio.timeout(5):
        await link(1).pause(0.02)


async def test_a_change_of_the_network_ends_a_pause(monkeypatch):
    monkeypatch.setattr(network_watch, "SETTLE_S", 0.01)
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    monkeypatch.setattr(network_watch, "open_netlink", lambda: ours)
    with kernel:
        pausing = asyncio.create_task(link(1).pause(3600))
        await asyncio.sleep(0)
        kernel.send(new_address("192.0.2.2"))
        async with asyncio.timeout(5):
            await pausing


def no_netlink():
    raise OSError("forbidden")
