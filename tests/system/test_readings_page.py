"""The example page of docs/telemetry.md, as it is, in a real browser on a real road."""

from __future__ import annotations

import json

import pytest

from scripts.lib.browser import Browser
from scripts.lib.child import ROOT
from tests.system.conftest import CHANNEL, Site, publish, subscribed

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
EXAMPLE = ROOT / "docs/examples/readings.html"
PACKAGE = "https://esm.sh/@metered-ca/realtime@1.2.0"
ROUTES = [
    {"topic": "plant/{line}/temp", "channel": CHANNEL, "value": "data.c", "time": "ts"},
    {"topic": "plant/#", "channel": CHANNEL},
]
SHOWN = """
    return Object.fromEntries([...rows.rows].map(({ cells }) => [cells[0].textContent, cells[1].textContent]));
"""
REPEAT = """
    const client = new (await import("/sdk/index.mjs")).SignallingClient({ apiKey: arg.key, url: arg.url });
    await client.connect();
    const readings = [
      { id: "g/b/1", topic: "echo", value: 1, time_ms: 2000 },
      { id: "g/b/2", topic: "echo", value: 2, time_ms: 3000 },
      { id: "g/b/1", topic: "echo", value: 1, time_ms: 2000 },
      { id: "g/b/3", topic: "echo", value: 0, time_ms: 1000, retained: true },
      { id: "g/b/5", topic: "echo", value: -1, clock: "unset", uptime_ms: 5, retained: true },
      { id: "g/b/4", topic: "no clock", value: [], clock: "unset", uptime_ms: 5 },
    ];
    // A channel has no memory: until the page has subscribed, nobody hears it.
    while (rows.rows.length < 2) {
      await client.publish(arg.channel, { type: "edged/readings", gateway: "g", readings, surprise: true });
    }
"""


def page_for(url: str, key: str) -> str:
    """Return the example with what a reader would write into the address, and the SDK from this machine."""
    html = EXAMPLE.read_text()
    address = f"key={key}&channel={CHANNEL}&url={url}"
    for old, new in ((PACKAGE, "/sdk/index.mjs"), ("location.hash.slice(1)", json.dumps(address))):
        assert html.count(old) == 1
        html = html.replace(old, new)
    return html


async def test_the_example_shows_readings_and_drops_repeats(site: Site) -> None:
    broker = await site.start_broker()
    hub = await site.start_hub()
    gateway = await site.start_gateway(site.settings(telemetry={"routes": ROUTES}))
    await subscribed(gateway)
    async with Browser() as browser:
        page = await browser.open(html=page_for(hub.url, hub.key))
        await page.evaluate(REPEAT, {"url": hub.url, "key": hub.key, "channel": CHANNEL})
        assert await page.evaluate(SHOWN) == {"echo": "2", "no clock": "[]"}

        await publish(broker, "plant/counter", range(20))
        await page.wait_for("return [...rows.rows].some((row) => row.cells[1].textContent === '19')")


def test_the_example_is_short_enough_to_be_read() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40
