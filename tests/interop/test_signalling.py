"""`SignallingClient`s against our hub: official Python, ours, and the browser's, each with each."""

from __future__ import annotations

import pytest

from scripts.lib.child import Child
from tests.interop.conftest import SDKS, OpenPage, Room, RunProgram, page_event

pytestmark = pytest.mark.asyncio(loop_scope="session")
PAIRS = pytest.mark.parametrize(
    ("one_sdk", "other_sdk"), [("official", "official"), ("official", "ours"), ("ours", "official"), ("ours", "ours")]
)
PYTHON_SDKS = pytest.mark.parametrize("sdk", SDKS)
MANY = 300


async def peer_id(client: Child) -> str:
    found: str = (await client.event("connected"))["peer"]
    return found


async def subscribed(client: Child, channel: str) -> None:
    """Subscribe and wait for the snapshot of presence."""
    await client.tell({"do": "subscribe", "channel": channel})
    await client.event("done", do="subscribe")
    await client.event("presence", channel=channel)


@PAIRS
async def test_presence_messages_and_direct(one_sdk: str, other_sdk: str, room: Room, run_program: RunProgram) -> None:
    one, other = await run_program("client", one_sdk), await run_program("client", other_sdk)
    one_id, other_id = await peer_id(one), await peer_id(other)
    await subscribed(one, room.channel)
    await subscribed(other, room.channel)

    assert (await other.event("presence"))["joined"] == [one_id], "the snapshot lists who was there before"
    await one.event("presence", joined=[other_id])

    await one.tell({"do": "publish", "channel": room.channel, "data": {"value": 21.5}})
    message = await other.event("message", channel=room.channel)
    assert (message["sender"], message["data"]) == (one_id, {"value": 21.5})
    await one.event("done", do="publish")
    assert one.events_of("message") == [], "the publisher gets no echo"

    await other.tell({"do": "send", "peer": one_id, "data": ["for", "you"]})
    direct = await one.event("direct")
    assert (direct["sender"], direct["data"]) == (other_id, ["for", "you"])

    await other.tell({"do": "unsubscribe", "channel": room.channel})
    await one.event("presence", left=[other_id])


@PAIRS
async def test_many_messages_arrive_in_order(one_sdk: str, other_sdk: str, room: Room, run_program: RunProgram) -> None:
    sender, receiver = await run_program("client", one_sdk), await run_program("client", other_sdk)
    await subscribed(receiver, room.channel)

    await sender.tell({"do": "publish_many", "channel": room.channel, "count": MANY})

    await receiver.until(lambda: len(receiver.events_of("message")) >= MANY, "all messages", timeout_s=30)
    assert [event["data"]["number"] for event in receiver.events_of("message")] == list(range(MANY))


@PYTHON_SDKS
async def test_send_to_nobody_is_refused_by_name(sdk: str, run_program: RunProgram) -> None:
    client = await run_program("client", sdk)

    await client.tell({"do": "send", "peer": "nobody", "data": 1})

    failed = await client.event("failed")
    assert (failed["error"], failed["code"]) == ("ServerRequestError", "peer_not_found")


@PYTHON_SDKS
async def test_browser_client_and_python_client_understand_each_other(
    sdk: str, room: Room, run_program: RunProgram, open_page: OpenPage
) -> None:
    client = await run_program("client", sdk)
    await subscribed(client, room.channel)
    page = await open_page()
    page_id = await page.evaluate("return await connectClient(arg)", room.address)
    await page.evaluate("await client.subscribe(arg)", room.channel)

    await client.event("presence", joined=[page_id])
    snapshot = await page_event(page, "presence", channel=room.channel)
    assert snapshot["joined"] == [await peer_id(client)]

    await page.evaluate("await client.publish(arg, {from: 'page'})", room.channel)
    assert (await client.event("message", sender=page_id))["data"] == {"from": "page"}
    await client.tell({"do": "publish", "channel": room.channel, "data": {"from": "python"}})
    assert (await page_event(page, "message", channel=room.channel))["data"] == {"from": "python"}

    await client.tell({"do": "send", "peer": page_id, "data": "direct"})
    assert (await page_event(page, "direct"))["data"] == "direct"
    await page.evaluate("await client.send(arg, 'back')", await peer_id(client))
    assert (await client.event("direct"))["data"] == "back"

    await page.evaluate("await client.close()")
    await client.event("presence", left=[page_id])


@PYTHON_SDKS
async def test_wrong_key_is_refused(sdk: str, room: Room, run_program: RunProgram) -> None:
    refused = await run_program("client", sdk, key="pk_live_wrong", expect="refused")

    event = await refused.event("refused")
    assert (event["error"], event["code"]) == ("SignallingConnectError", 4001)
