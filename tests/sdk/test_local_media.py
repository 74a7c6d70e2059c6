"""The table of what is sent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from metered_realtime.errors import MeteredPeerStateError
from metered_realtime.frames import TrackMetadata
from metered_realtime.local_media import LocalMedia, LocalTrack
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.streams import MediaStream
from tests.sdk.media.tracks import Scripted, sound


def add(media: LocalMedia, track: Any, stream: MediaStream | None = None, metadata: Any = None) -> LocalTrack | None:
    return media.add(track, media.describe(track, stream, metadata))


def sent(media: LocalMedia, track: Any) -> LocalTrack:
    local = media.get(track)
    assert local is not None
    return local


async def test_an_ordinary_track_is_relayed_and_a_camera_serves_itself() -> None:
    media, track, camera = LocalMedia(), Scripted("audio"), EncodedVideoSource(id="cam")
    assert add(media, track)
    assert add(media, camera)
    assert [local.kind for local in media] == ["audio", "video"]
    assert sent(media, track).source.track is track
    assert sent(media, track).mime_type is None
    assert sent(media, camera).source is camera
    assert (sent(media, camera).track_id, sent(media, camera).mime_type) == ("cam", "video/H264")
    await media.aclose()
    assert list(media) == []


async def test_the_same_again_is_nothing_and_another_stream_an_error() -> None:
    media, track, stream = LocalMedia(), Scripted("audio"), MediaStream(id="s")
    assert add(media, track, stream)
    assert not add(media, track, stream)
    with pytest.raises(MeteredPeerStateError, match="'s'") as refused:
        add(media, track)
    assert refused.value.code == "track_already_attached"


async def test_announcements_carry_what_receivers_look_up() -> None:
    media, track, bare = LocalMedia(), Scripted("audio"), Scripted("video")
    add(media, track, MediaStream(id="s"), {"a": 1})
    add(media, bare)
    local = sent(media, track)
    assert local.announcement == TrackMetadata(track.id, {"a": 1}, "audio", "s")
    assert local.withdrawal == TrackMetadata(track.id, None)
    assert sent(media, bare).announcement is None
    assert sent(media, bare).withdrawal is None
    assert sent(media, bare).stream_id is None


async def test_a_replacement_takes_place_stream_and_metadata() -> None:
    media, old, new, last = LocalMedia(), Scripted("audio"), Scripted("audio"), Scripted("video")
    add(media, old, MediaStream(id="s"), {"a": 1})
    add(media, last)
    after = media.replace(old, new)
    assert [local.track_id for local in media] == [new.id, last.id]
    assert (after.stream_id, after.metadata) == ("s", {"a": 1})
    assert media.get(old) is None


async def test_a_replacement_must_be_of_the_same_kind_and_not_sent_yet() -> None:
    media, old, other = LocalMedia(), Scripted("audio"), Scripted("audio")
    add(media, old)
    add(media, other)
    with pytest.raises(TypeError, match="audio"):
        media.replace(old, Scripted("video"))
    with pytest.raises(MeteredPeerStateError) as refused:
        media.replace(old, other)
    assert (refused.value.code, refused.value.method) == ("track_already_attached", "replace_track")
    assert [local.track_id for local in media] == [old.id, other.id]


async def test_a_track_that_comes_back_uses_its_relay_again() -> None:
    media, track = LocalMedia(), Scripted("audio")
    add(media, track)
    relay = sent(media, track).source
    assert media.remove(track) is not None
    assert media.remove(track) is None
    add(media, track)
    assert sent(media, track).source is relay
    await media.aclose()
    add(media, track)
    assert sent(media, track).source is relay


async def test_two_members_that_send_one_track_share_its_frames_and_one_may_close() -> None:
    first, second, track = LocalMedia(), LocalMedia(), Scripted("audio", sound(0), sound(960))
    add(first, track)
    add(second, track)
    readers = [sent(media, track).source.open_reader() for media in (first, second)]
    one, other = await asyncio.gather(*(reader.recv() for reader in readers))
    assert one is other

    readers[0].stop()
    await first.aclose()

    assert (await readers[1].recv()).pts == one.pts + 960
    readers[1].stop()
    await second.aclose()


async def test_tracks_that_came_and_went_are_forgotten() -> None:
    media = LocalMedia()
    for _ in range(5):
        track = Scripted("audio")
        add(media, track)
        media.remove(track)
    assert len(media._relays) == 1


@pytest.mark.parametrize(
    "track", [object(), SimpleNamespace(kind="text", id="x"), SimpleNamespace(kind="audio", id="")]
)
def test_what_is_no_track_is_refused(track: Any) -> None:
    with pytest.raises(TypeError, match="kind"):
        LocalMedia().describe(track, None, None)
