"""One connection's life between two sessions: offers, answers, candidates, what is needed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metered_realtime import aiortc_adapter
from metered_realtime.connection_performer import SessionOptions
from metered_realtime.description import read_description
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalMedia
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.receivers import MediaChange
from metered_realtime.rtc_session import MAX_CANDIDATES, RtcSession, SessionEvents
from metered_realtime.trickle import CandidateInit
from tests.sdk.wired import SmallPictures


class Recorded(RtcSession):
    def __init__(self, *, receives: bool = True, relay_only: bool = False, **more: Any) -> None:
        self.states: list[str] = []
        self.changes: list[MediaChange] = []
        self.channels: list[Any] = []
        numbers = itertools.count(1)
        self.candidates: list[CandidateInit] = []
        self.paths: list[bool] = []
        events = SessionEvents(
            state_changed=lambda session, state: self.states.append(state),
            media_changed=self.changes.append,
            channel_opened=self.channels.append,
            candidate_found=lambda session, init: self.candidates.append(init),
            path_changed=lambda session, is_found: self.paths.append(is_found),
            link_changed=lambda session, link: None,
        )
        self.asked = 0
        options = SessionOptions(self._servers, relay_only=relay_only, receives=receives)
        super().__init__(options, events, lambda: f"e{next(numbers)}", **more)

    def _servers(self) -> tuple[IceServerConfig, ...]:
        self.asked += 1
        return ()

    def wants(self, *tracks: Any) -> None:
        media = LocalMedia()
        for track in tracks:
            media.add(track, media.describe(track, None, None))
        self.sync(media)


async def agree(offerer: RtcSession, answerer: RtcSession, *, restart: bool = False) -> None:
    sdp, _ = await offerer.make_offer(None, with_channel=True, restart=restart)
    assert sdp is not None
    answer, _ = await answerer.take_offer(sdp, read_description(sdp), restart=restart)
    await offerer.take_answer(answer, read_description(answer))


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Recorded, Recorded]]:
    both = Recorded(), Recorded()
    yield both
    for session in both:
        await session.aclose()


async def test_what_is_wanted_is_needed_until_it_was_agreed(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    assert ours.need == "nothing"
    assert await ours.make_offer(None, with_channel=True) == (None, [])
    ours.wants(SmallPictures())
    assert ours.need == "media"
    await agree(ours, theirs)
    assert (ours.need, theirs.need) == ("nothing", "nothing")
    assert [len(change.added) for change in theirs.changes] == [1]
    await until(lambda: ours.states[-1:] == ["connected"] == theirs.states[-1:])
    assert ours.layout == theirs.layout == (("video", "e1"),)
    assert len(ours.descriptions) == 2


async def test_a_channel_is_needed_by_itself(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    ours.pc.createDataChannel("x")
    assert ours.need == "channel"
    assert await ours.make_offer(None, with_channel=False) == (None, [])
    await agree(ours, theirs)
    assert ours.need == "nothing"
    await until(lambda: theirs.channels)
    assert theirs.channels[0].label == "x"


async def test_an_offer_taken_back_is_needed_again(pair: tuple[Recorded, Recorded]) -> None:
    ours, _ = pair
    ours.wants(SmallPictures())
    await ours.make_offer(None, with_channel=True)
    ours.take_back_offer()
    ours.take_back_offer()
    assert ours.need == "media"


async def test_sections_that_were_offered_keep_their_mids_when_they_are_offered_again(
    pair: tuple[Recorded, Recorded],
) -> None:
    ours, theirs = pair
    theirs.wants(SmallPictures())
    await agree(theirs, ours)
    ours.wants(SmallPictures(), SmallPictures())
    assert ours.layout == (("video", "e1"),)
    sent, _ = await ours.make_offer(None, with_channel=True)
    assert sent is not None
    ours.described(sent)
    ours.take_back_offer()  # though the other side may have answered it
    assert ours.layout == read_description(sent).layout
    later = Recorded(layout=ours.layout, earlier=ours.descriptions)
    later.senders.adopt(ours.senders)
    for session in (ours, later):
        again, _ = await session.make_offer(None, with_channel=True)
        assert again is not None
        assert read_description(again).layout == read_description(sent).layout
    await later.aclose()


async def test_an_offer_that_was_not_sent_leaves_no_mids(pair: tuple[Recorded, Recorded]) -> None:
    ours, _ = pair
    ours.wants(SmallPictures())
    first, _ = await ours.make_offer(None, with_channel=True)
    assert first is not None
    ours.take_back_offer()
    assert ours.layout == ()
    again, _ = await ours.make_offer(None, with_channel=True)
    assert again is not None
    assert read_description(again).layout != read_description(first).layout


async def test_a_refused_codec_is_told_to_whoever_offers(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    camera = EncodedVideoSource()
    ours.wants(SmallPictures(), camera)
    sdp, _ = await ours.make_offer(None, with_channel=True)
    assert sdp is not None
    answer, _ = await theirs.take_offer(sdp, read_description(sdp))
    head, _ = answer.split("a=mid:e2")
    head = head[: head.rindex("m=video")].replace("BUNDLE e1 e2", "BUNDLE e1")
    refusing = head + "m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:e2\r\n"
    (refused,) = await ours.take_answer(refusing, read_description(refusing))
    assert (refused.track_id, refused.mime_type) == (camera.id, "video/H264")
    assert ours.need == "nothing"


@pytest.mark.parametrize("with_channel", [True, False])
async def test_a_later_session_offers_the_same_sections_in_the_same_order(
    pair: tuple[Recorded, Recorded], with_channel: bool
) -> None:
    ours, theirs = pair
    track = SmallPictures()
    theirs.pc.createDataChannel("x")
    await agree(theirs, ours)
    ours.wants(track)
    await agree(ours, theirs)
    later = Recorded(layout=ours.layout, earlier=ours.descriptions)
    later.senders.adopt(ours.senders)
    assert later.need == "media"
    assert later.layout == ours.layout
    assert not later.offered_layout
    sdp, _ = await later.make_offer(None, with_channel=with_channel)
    assert sdp is not None
    assert read_description(sdp).layout == ours.layout
    assert later.offered_layout
    await later.aclose()


async def test_a_later_session_answers_in_the_sections_it_had(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    ours.wants(SmallPictures())
    await agree(ours, theirs)
    later = Recorded()
    later.senders.adopt(ours.senders)
    sdp, _ = await theirs.make_offer(None, with_channel=True)
    assert sdp is not None
    answer, _ = await later.take_offer(sdp, read_description(sdp))
    (section,) = read_description(answer).sections
    assert (section.mid, section.direction) == ("e1", "sendonly")
    assert later.need == "nothing"
    await later.aclose()


async def test_candidates_are_taken_within_limits(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    text = "candidate:1 1 udp 1 198.51.100.{} 5000 typ host"
    await ours.add_candidate({"candidate": text.format(1)})  # before any description
    theirs.wants(SmallPictures())
    sdp, _ = await theirs.make_offer(None, with_channel=True)
    assert sdp is not None
    facts = read_description(sdp)
    await ours.take_offer(sdp, facts)
    unusable = [None, {}, {"candidate": ""}, {"candidate": 5}, {"candidate": "x" * 2000}]
    unusable += [{"candidate": text.format(2), "usernameFragment": "of another offer"}]
    for init in unusable:
        await ours.add_candidate(init)
    for number in range(3, MAX_CANDIDATES + 10):
        await ours.add_candidate({"candidate": text.format(number % 250), "usernameFragment": facts.ufrag})
    known = {each.ip for each in aiortc_adapter.ice_transport(ours.pc).getRemoteCandidates()}
    assert "198.51.100.3" in known
    assert f"198.51.100.{MAX_CANDIDATES + 5}" not in known
    assert not {"198.51.100.1", "198.51.100.2"} & known


async def test_a_candidate_that_cannot_be_read_is_an_error(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    theirs.wants(SmallPictures())
    await agree(theirs, ours)
    with pytest.raises(ValueError, match=r"."):
        await ours.add_candidate({"candidate": "candidate:1 one udp 1 192.0.2.1 port typ host"})


async def test_after_the_end_nothing_is_told(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    ours.wants(SmallPictures())
    await agree(ours, theirs)
    await until(lambda: theirs.states[-1:] == ["connected"])
    (media,) = theirs.changes[0].added
    before = len(theirs.states), len(theirs.changes)
    await theirs.aclose()
    assert media.track.readyState == "ended"
    assert (len(theirs.states), len(theirs.changes)) == before
    assert not theirs.is_usable
    assert theirs.need == "nothing"


async def test_a_restart_asks_for_the_servers_anew_and_keeps_the_connection(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    assert not ours.can_restart
    ours.wants(SmallPictures())
    await agree(ours, theirs)
    await until(lambda: ours.states[-1:] == ["connected"] == theirs.states[-1:])
    assert (ours.can_restart, ours.asked, theirs.asked) == (True, 1, 1)
    before = [read_description(text) for text in ours.descriptions]
    ours.paths.clear()
    await agree(ours, theirs, restart=True)
    assert (ours.asked, theirs.asked) == (2, 2)
    after = [read_description(text) for text in ours.descriptions]
    assert all(later.is_restart_of(earlier) for earlier, later in zip(before, after, strict=True))
    await until(lambda: ours.paths == [True])
    assert ours.state == theirs.state == "connected"
    assert ours.need == theirs.need == "nothing"


async def test_a_restart_that_is_taken_back_leaves_the_credentials_of_before(pair: tuple[Recorded, Recorded]) -> None:
    ours, theirs = pair
    ours.wants(SmallPictures())
    await agree(ours, theirs)
    await until(lambda: ours.states[-1:] == ["connected"])
    before = aiortc_adapter.local_ufrag(ours.pc)
    await ours.make_offer(None, with_channel=True, restart=True)
    assert aiortc_adapter.local_ufrag(ours.pc) != before
    ours.take_back_offer()
    assert aiortc_adapter.local_ufrag(ours.pc) == before
    await agree(theirs, ours)
    assert ours.state == "connected"


@pytest.mark.parametrize(("good", "spoiled"), [("a=rtpmap:", "a=rtpmap:x"), ("a=ice-pwd:", "a=ice-pwd:?")])
async def test_an_offer_of_a_restart_that_cannot_be_used_leaves_the_credentials_of_before(
    pair: tuple[Recorded, Recorded], good: str, spoiled: str
) -> None:
    ours, theirs = pair
    ours.wants(SmallPictures())
    await agree(ours, theirs)
    await until(lambda: theirs.states[-1:] == ["connected"])
    before = aiortc_adapter.local_ufrag(theirs.pc)
    sdp, _ = await ours.make_offer(None, with_channel=True, restart=True)
    assert sdp is not None
    sdp = sdp.replace(good, spoiled)
    with pytest.raises(ValueError, match=r"no ICE credentials|invalid literal"):
        await theirs.take_offer(sdp, read_description(sdp), restart=True)
    assert aiortc_adapter.local_ufrag(theirs.pc) == before


async def test_a_description_is_followed_by_the_end_of_candidates_once_gathering_is_done(
    pair: tuple[Recorded, Recorded],
) -> None:
    ours, _ = pair
    ours.wants(SmallPictures())
    sdp, _ = await ours.make_offer(None, with_channel=True)
    assert sdp is not None
    told = ours.described(sdp)
    await until(lambda: [*told, *ours.candidates] == [None])
    assert ours.described(sdp) == [None]  # sent again


async def test_with_relayed_candidates_alone_nothing_of_this_host_is_told() -> None:
    session = Recorded(relay_only=True)
    session.wants(SmallPictures())
    sdp, _ = await session.make_offer(None, with_channel=True)
    assert sdp is not None
    assert "a=candidate:" not in sdp
    await session.aclose()
