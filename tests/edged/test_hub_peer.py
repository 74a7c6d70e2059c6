"""A peer that cannot join says why in one sentence."""

import pytest
from websockets.asyncio.server import serve

from edged.hub_link import HubConnectError, HubLink
from edged.settings import HubLinkSettings, Secret


async def test_a_refused_join_says_which_setting_to_change():
    async def refuse(connection):
        await connection.close(4001, "invalid token")

    async with serve(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        peer = HubLink(HubLinkSettings(url=f"ws://127.0.0.1:{port}", key=Secret("pk_live_x"))).open_peer()
        with pytest.raises(HubConnectError, match=r"refused the key \(4001 invalid token\): set hub.key"):
            await peer.join("farm")
        await peer.close()
