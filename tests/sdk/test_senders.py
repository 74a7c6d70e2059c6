"""Sections of ours: one permanent sender each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from metered_realtime import aiortc_adapter
from metered_realtime.description import Section, SessionFacts
from metered_realtime.local_media import LocalMedia, LocalTrack
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.encoded_choice import EncodedVideoChoice
from metered_realtime.senders import MAX_IDLE, Senders
from tests.sdk.media.tracks import Scripted


@pytest.fixture
async def pc() -> AsyncIterator[Any]:
    opened = aiortc_adapter.open_connection([])
    yield opened
    await opened.close()


def local(track: Any) -> LocalTrack:
    media = LocalMedia()
    media.add(track, media.describe(track, None, None))
    described = media.get(track)
    assert described is not None
    return described


def told(*sections: Section) -> SessionFacts:
    return SessionFacts("u", "f", sections)


async def test_each_wanted_track_gets_a_section_that_needs_an_offer(pc: Any) -> None:
    senders = Senders()
    picture, sound = local(Scripted("video")), local(Scripted("audio"))
    senders.sync([picture, sound])
    senders.sync([picture, sound])
    assert [each.kind for each in senders] == ["video", "audio"]
    assert all(each.needs_offer and each.mid is None for each in senders)
    assert senders.open_sections(pc) == []
    assert [each.transceiver.direction for each in senders] == ["sendonly", "sendonly"]
    senders.stop()


async def test_what_was_told_needs_no_offer_until_it_changes(pc: Any) -> None:
    senders, picture = Senders(), local(Scripted("video"))
    senders.sync([picture])
    senders.open_sections(pc)
    (sender,) = senders
    sender.transceiver._set_mid("e1")
    assert senders.settle(told(Section("video", "e1", "sendonly")), told(Section("video", "e1", "recvonly"))) == []
    assert not sender.needs_offer
    senders.sync([])
    assert sender.needs_offer
    assert not sender.track.is_fed
    senders.set_directions()
    assert sender.transceiver.direction == "inactive"
    senders.stop()


async def test_the_same_track_takes_its_old_section_and_another_a_new_one(pc: Any) -> None:
    senders, first, second = Senders(), local(Scripted("video")), local(Scripted("video"))
    senders.sync([first])
    senders.open_sections(pc)
    senders.sync([])
    senders.sync([second])
    senders.sync([first, second])
    assert [each.local for each in senders] == [first, second]
    senders.stop()


async def test_sections_do_not_grow_without_bound() -> None:
    senders = Senders()
    for _ in range(3 * MAX_IDLE):
        senders.sync([local(Scripted("video"))])
        senders.sync([])
    assert len(list(senders)) <= MAX_IDLE
    senders.stop()


async def test_a_replacement_goes_behind_the_same_section_where_the_codec_fits() -> None:
    senders, old, new, camera = Senders(), local(Scripted("video")), local(Scripted("video")), EncodedVideoSource()
    senders.sync([old])
    assert senders.replace(old, new)
    assert [each.local for each in senders] == [new]
    assert not senders.replace(new, local(camera))
    assert not senders.replace(old, new)
    senders.stop()


async def test_a_section_of_several_codecs_is_for_tracks_of_the_same_several() -> None:
    def choice() -> EncodedVideoChoice:
        return EncodedVideoChoice([EncodedVideoSource(), EncodedVideoSource(mime_type="video/H265")])

    senders, old, new = Senders(), local(choice()), local(choice())
    senders.sync([old])
    assert not senders.replace(old, local(EncodedVideoSource())), "the other side may have taken H.265 alone"
    assert not senders.replace(old, local(Scripted("video"))), "nothing here encodes H.265"
    assert senders.replace(old, new)
    senders.stop()


async def test_a_codec_nobody_speaks_is_refused_once_and_the_rest_goes_on(pc: Any) -> None:
    senders, camera = Senders(), EncodedVideoSource()
    camera.mime_type = "video/AV1"
    senders.sync([local(camera), local(Scripted("audio"))])
    (refused,) = senders.open_sections(pc)
    assert refused.mime_type == "video/AV1"
    assert senders.open_sections(pc) == []
    assert [each.needs_offer for each in senders] == [False, True]
    senders.stop()


async def test_what_the_other_side_rejects_is_told_once(pc: Any) -> None:
    senders = Senders()
    senders.sync([local(Scripted("video"))])
    senders.open_sections(pc)
    (sender,) = senders
    sender.transceiver._set_mid("e1")
    ours, theirs = told(Section("video", "e1", "sendonly")), told(Section("video", "e1", is_rejected=True))
    assert senders.settle(ours, theirs) == [sender]
    assert senders.settle(ours, theirs) == []
    assert not sender.needs_offer
    senders.stop()


async def test_a_later_connection_sends_what_this_one_did_and_knows_where(pc: Any) -> None:
    before, picture = Senders(), local(Scripted("video"))
    before.sync([picture])
    before.open_sections(pc)
    next(iter(before)).transceiver._set_mid("e1")
    after = Senders()
    after.adopt(before)
    (sender,) = after
    assert (sender.local, sender.prior_mid, sender.mid) == (picture, "e1", None)
    again = Senders()
    again.adopt(after)
    assert next(iter(again)).prior_mid == "e1"
    for each in (before, after, again):
        each.stop()


async def test_another_track_of_a_refused_codec_opens_no_section_and_reads_nothing(pc: Any) -> None:
    senders, first, second = Senders(), local(EncodedVideoSource()), local(EncodedVideoSource())
    senders.sync([first])
    senders.open_sections(pc)
    (sender,) = senders
    sender.transceiver._set_mid("e1")
    senders.settle(told(Section("video", "e1", "sendonly")), told(Section("video", "e1", is_rejected=True)))
    assert "video/H264" in str(senders.refusal(first))
    assert not senders.replace(first, second)
    senders.sync([second])
    assert [each.local for each in senders] == [second]
    assert "refused" in str(senders.refusal(second))
    assert not sender.track.is_fed
    assert senders.open_sections(pc) == []
    senders.stop()


async def test_why_a_track_is_not_sent_is_known_before_it_is_offered(pc: Any) -> None:
    senders, camera, picture = Senders(), EncodedVideoSource(), local(Scripted("video"))
    camera.mime_type = "video/AV1"
    senders.sync([picture])
    assert "AV1" in str(senders.refusal(local(camera)))
    assert senders.refusal(picture) is None
    senders.stop()


async def test_nothing_is_read_while_the_path_is_lost() -> None:
    source, other, later = EncodedVideoSource(), EncodedVideoSource(), EncodedVideoSource()
    senders, first = Senders(), local(source)
    senders.sync([first])
    (sender,) = senders
    senders.pause()
    assert not sender.track.is_fed
    second = local(other)
    assert senders.replace(first, second)
    senders.sync([second, local(later)])
    assert [each.track.is_fed for each in senders] == [False, False]
    senders.resume()
    assert [each.track.is_fed for each in senders] == [True, True]
    senders.sync([])
    senders.pause()
    senders.resume()
    assert [each.track.is_fed for each in senders] == [False, False], "nothing is wanted"
    senders.stop()
