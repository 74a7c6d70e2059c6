"""The official Python SDK and ours in one channel of our hub."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Room, RunProgram

pytestmark = pytest.mark.asyncio(loop_scope="session")
METADATA = {"name": "gate", "role": "bot"}
DIRECTIONS = pytest.mark.parametrize(
    ("sender_sdk", "receiver_sdk"), [("official", "ours"), ("ours", "official"), ("ours", "ours")]
)


@DIRECTIONS
async def test_media_arrives_with_its_metadata(
    sender_sdk: str, receiver_sdk: str, room: Room, run_program: RunProgram
) -> None:
    receiver = await run_program("peer", receiver_sdk)
    sender = await run_program("peer", sender_sdk, video=True, audio=True, width=320, height=240, metadata=METADATA)
    sender_id = (await sender.event("ready"))["peer"]

    assert (await receiver.event("stream_added", peer=sender_id, timeout_s=25))["metadata"] == METADATA

    def has_picture() -> bool:
        last = receiver.events_of("video", peer=sender_id, width=320, height=240)[-1:]
        return bool(last) and last[0]["frames"] >= 25

    def has_sound() -> bool:
        return any(event["peak"] > 5000 for event in receiver.events_of("audio", peer=sender_id))

    await receiver.until(has_picture, "video", timeout_s=25)
    await receiver.until(has_sound, "sound", timeout_s=25)


@DIRECTIONS
async def test_messages_arrive(sender_sdk: str, receiver_sdk: str, room: Room, run_program: RunProgram) -> None:
    receiver = await run_program("peer", receiver_sdk)
    sender = await run_program("peer", sender_sdk)
    sender_id = (await sender.event("ready"))["peer"]
    receiver_id = (await receiver.event("ready"))["peer"]
    await receiver.event("peer_joined", peer=sender_id)
    await sender.event("peer_joined", peer=receiver_id)

    await sender.tell({"do": "send", "data": {"n": 1}})
    await sender.tell({"do": "send_to", "peer": receiver_id, "data": {"n": 2}})
    await sender.tell({"do": "close"})

    assert (await receiver.event("data", kind="broadcast"))["data"] == {"n": 1}
    assert (await receiver.event("data", kind="direct"))["data"] == {"n": 2}
    await receiver.event("peer_left", peer=sender_id)


@pytest.mark.parametrize("sdk", ["official", "ours"])
async def test_wrong_use_is_refused_with_the_same_error(sdk: str, room: Room, run_program: RunProgram) -> None:
    peer = await run_program("peer", sdk)
    own_id = (await peer.event("ready"))["peer"]

    await peer.tell({"do": "send_to", "peer": own_id, "data": 1})

    failed = await peer.event("failed")
    assert (failed["error"], failed["code"]) == ("MeteredPeerSendError", "self_send")
