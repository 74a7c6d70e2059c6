"""Viewers that are gone without a word: the gateway stops sending to them long before the hub misses them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from scripts.lib import peers
from scripts.lib.soak import Crowd
from tests.system.conftest import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
GONE_WITHIN_S = 15.0
STAY_S = 2.0


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    crowd = Crowd(main_width=640)
    async with crowd.child:
        await crowd.ready()
        yield crowd


def states(gateway: peers.Gateway) -> list[str]:
    """Return how the camera was, from all that the gateway told systemd."""
    told = [part for event in gateway.events for part in event.get("STATUS", "").split("; ")]
    return [part.split()[2] for part in told if part.startswith("camera yard ")]


@pytest.mark.parametrize("end", ["kill", "freeze"])
async def test_a_viewer_without_a_last_word_is_sent_nothing_any_more(site: Site, crowd: Crowd, end: str) -> None:
    hub = await site.start_hub()
    # It closes with its last viewer: that it is idle says that nothing is sent to anybody.
    gateway = await site.start_gateway(site.settings(cameras={"yard": {"source": "test:", "linger_s": 0}}))
    await crowd.join(hub, wish="main", stay_s=STAY_S, end=end)
    await crowd.child.until(lambda: not crowd.present, "end of the viewer", timeout_s=20)
    dead_s = time.monotonic()
    assert states(gateway)[-1] == "live"
    assert crowd.tally.faults == []
    await gateway.until(lambda: states(gateway)[-1] == "idle", "idle camera", timeout_s=GONE_WITHIN_S)
    assert time.monotonic() - dead_s < GONE_WITHIN_S
    # A newcomer is served at once, whatever became of the one before.
    await crowd.join(hub, wish="main", stay_s=STAY_S, end="leave")
    await crowd.child.until(lambda: crowd.tally.seen == 2, "another viewer", timeout_s=20)
    assert crowd.tally.faults == []
