"""The actor of one connection: its limits, its reports, its renewals."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from metered_realtime import events
from metered_realtime.connection import MAX_WAITING_SIGNALS, Connection, ConnectionEvents
from metered_realtime.description import read_description
from metered_realtime.errors import IceRestartExhaustedError, MeteredRealtimeError
from metered_realtime.frames import Description, IceCandidate
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.local_media import LocalMedia
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.negotiation_actions import ReportExhausted
from tests.sdk.media.h264_samples import annex_b, idr, pps, slice_nal, sps
from tests.sdk.pcs import cut_the_path, hurried_consent
from tests.sdk.wired import End, SmallPictures, wired


class Recorded:
    """A connection with everything it says."""

    def __init__(self, *, polite: bool = True, ice_servers: tuple[IceServerConfig, ...] = ()) -> None:
        self.media = LocalMedia()
        self.sent: list[Description | IceCandidate] = []
        self.lost: list[Callable[[], None]] = []
        self.states: list[str] = []
        self.errors: list[Exception] = []
        self.candidate_errors: list[Exception] = []
        self.replaced = 0
        self.connection = Connection(
            polite=polite,
            wanted=lambda: self.media,
            ice_servers=lambda: ice_servers,
            send=self._send,
            events=ConnectionEvents(
                self.states.append, lambda change: None, self._replaced, lambda channel: None, self.errors.append,
                self.candidate_errors.append, lambda link: None, lambda codecs: None,
            ),
        )  # fmt: skip

    def _send(self, envelope: Description | IceCandidate, on_lost: Callable[[], None]) -> None:
        self.sent.append(envelope)
        self.lost.append(on_lost)

    def _replaced(self) -> None:
        self.replaced += 1

    def add(self, track: Any) -> None:
        self.media.add(track, self.media.describe(track, None, None))
        self.connection.sync()

    @property
    def descriptions(self) -> list[Description]:
        return [each for each in self.sent if isinstance(each, Description)]

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (result := condition()):
                await asyncio.sleep(0.005)
        return result


@pytest.fixture
async def recorded() -> AsyncIterator[Recorded]:
    made = Recorded()
    yield made
    await made.connection.aclose()
    await made.media.aclose()


async def make_offer() -> str:
    other = Recorded()
    other.add(SmallPictures())
    await other.until(lambda: other.descriptions)
    await other.connection.aclose()
    await other.media.aclose()
    return other.descriptions[0].sdp


async def test_nothing_happens_before_there_is_something_to_say(recorded: Recorded) -> None:
    recorded.connection.sync()
    recorded.connection.signalling_up()
    recorded.connection.renew(polite=False)
    await asyncio.sleep(0.01)
    assert recorded.sent == []
    assert recorded.connection.polite is False
    assert not recorded.connection.is_connected


async def test_each_description_is_followed_by_the_end_of_candidates(recorded: Recorded) -> None:
    recorded.add(SmallPictures())
    await recorded.until(lambda: len(recorded.sent) == 2)
    assert recorded.descriptions[0].type == "offer"
    assert "a=candidate:" in recorded.descriptions[0].sdp
    assert recorded.sent[1] == IceCandidate(None)


async def test_a_burst_of_tracks_makes_one_offer(recorded: Recorded) -> None:
    for _ in range(3):
        recorded.add(SmallPictures())
    await recorded.until(lambda: recorded.sent)
    await asyncio.sleep(0.05)
    assert len(recorded.descriptions) == 1
    assert recorded.descriptions[0].sdp.count("m=video") == 3


async def test_an_offer_sent_twice_is_answered_twice_alike(recorded: Recorded) -> None:
    offer = Description("offer", await make_offer())
    recorded.connection.receive(offer)
    recorded.connection.receive(offer)
    await recorded.until(lambda: len(recorded.descriptions) == 2)
    first, second = recorded.descriptions
    assert first == second
    assert first.type == "answer"


async def test_a_lost_answer_goes_out_again_with_the_next_session(recorded: Recorded) -> None:
    recorded.connection.receive(Description("offer", await make_offer()))
    await recorded.until(lambda: recorded.descriptions)
    recorded.lost[0]()
    recorded.connection.signalling_up()
    await recorded.until(lambda: len(recorded.descriptions) == 2)
    assert recorded.descriptions[0] == recorded.descriptions[1]


@pytest.mark.parametrize("sdp", ["", "v=0", "v=0\r\nm=audio 9 RTP 0\r\na=mid:0\r\n", "x" * 300_000])
async def test_a_hostile_offer_is_reported_and_the_next_good_one_answered(recorded: Recorded, sdp: str) -> None:
    recorded.connection.receive(Description("offer", sdp))
    await recorded.until(lambda: recorded.errors)
    assert isinstance(recorded.errors[0], MeteredRealtimeError)
    recorded.connection.receive(Description("offer", await make_offer()))
    await recorded.until(lambda: recorded.descriptions)


async def test_a_hostile_candidate_is_reported_and_nothing_else(recorded: Recorded) -> None:
    recorded.connection.receive(IceCandidate({"candidate": "candidate:1 1 udp 1 192.0.2.1 1 typ host"}))
    recorded.connection.receive(Description("offer", await make_offer()))
    recorded.connection.receive(IceCandidate({"candidate": "candidate:1 one udp 1 192.0.2.1 x typ host"}))
    await recorded.until(lambda: recorded.candidate_errors)
    assert not recorded.errors


async def test_a_flood_of_signals_is_bounded_and_counted(recorded: Recorded) -> None:
    for _ in range(MAX_WAITING_SIGNALS + 5):
        recorded.connection.receive(IceCandidate(None))
    assert recorded.connection.dropped_signals == 5


async def test_an_offer_with_new_credentials_is_answered_from_a_new_connection(recorded: Recorded) -> None:
    recorded.connection.receive(Description("offer", await make_offer()))
    await recorded.until(lambda: recorded.descriptions)
    before = recorded.connection.pc
    recorded.connection.receive(Description("offer", await make_offer()))
    await recorded.until(lambda: len(recorded.descriptions) == 2)
    assert recorded.connection.pc is not before
    assert recorded.replaced == 1


async def test_a_codec_that_cannot_be_sent_is_said_in_a_sentence(recorded: Recorded) -> None:
    camera = EncodedVideoSource()
    camera.mime_type = "video/AV1"
    recorded.add(camera)
    (error,) = await recorded.until(lambda: recorded.errors)
    assert "video/AV1" in str(error)
    assert recorded.descriptions == []


async def test_after_the_end_nothing_is_taken_and_no_channel_opened(recorded: Recorded) -> None:
    recorded.connection.abandon()
    recorded.connection.receive(IceCandidate(None))
    with pytest.raises(MeteredRealtimeError):
        recorded.connection.create_data_channel("x")
    await recorded.connection.aclose()


async def test_renewal_keeps_what_is_sent(recorded: Recorded) -> None:
    recorded.add(SmallPictures())
    await recorded.until(lambda: recorded.descriptions)
    recorded.connection.renew(polite=True)
    await recorded.until(lambda: len(recorded.descriptions) == 2)
    assert recorded.replaced == 1
    assert "m=video" in recorded.descriptions[1].sdp
    assert recorded.descriptions[0] != recorded.descriptions[1]


def layout_told(end: End) -> tuple[tuple[str, str], ...]:
    """The sections of the last description an end sent."""
    return [read_description(each.sdp).layout for each in end.sent if isinstance(each, Description)][-1]


@pytest.mark.parametrize("which", [0, 1])
async def test_after_the_end_of_its_transport_the_same_sections_are_offered_again(which: int) -> None:
    async with wired() as (polite, impolite, _):
        impolite.link.create_data_channel("its section is the first")
        await polite.connected()
        polite.add(SmallPictures())
        await impolite.track()
        ours = (polite, impolite)[which]
        await ours.until(lambda: ours.link.pc.signalingState == "stable" and len(layout_told(ours)) == 2)
        before, pc = layout_told(ours), ours.link.pc
        assert [kind for kind, _ in before] == ["application", "video"]
        await pc.ice.close()
        await ours.until(lambda: ours.link.pc is not pc and ours.link.state == "connected")
        assert layout_told(ours) == before
        await impolite.track(1)


async def frames_of(track: Any, count: int = 3) -> None:
    async with asyncio.timeout(10):
        for _ in range(count):
            await track.recv()


def ufrags(end: End) -> list[str]:
    return [read_description(each.sdp).ufrag for each in end.sent if isinstance(each, Description)]


async def joined_with_media(polite: End, impolite: End) -> tuple[Any, Any, list[str]]:
    """Return a track that `impolite` receives, a channel of `polite`, and what `impolite` hears of it."""
    heard: list[str] = []
    impolite.link.remote.on(events.DataChannelOpened, lambda event: event.channel.on("message", heard.append))
    channel = polite.link.create_data_channel("x")
    polite.add(SmallPictures())
    track = (await impolite.track()).track
    await polite.until(lambda: channel.readyState == "open")
    await frames_of(track)
    return track, channel, heard


@pytest.mark.parametrize("which", [0, 1])
async def test_a_lost_path_comes_back_on_the_living_connection(which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried_consent(monkeypatch)
    async with wired() as (polite, impolite, _):
        track, channel, heard = await joined_with_media(polite, impolite)
        pcs = polite.link.pc, impolite.link.pc
        heal = cut_the_path(pcs[which])
        for end in (polite, impolite):
            await end.until(lambda end=end: end.link.state == "reconnecting")
        await polite.until(lambda: len(set(ufrags(polite))) > 1)
        heal()
        await polite.connected()
        await impolite.connected()
        channel.send("still there")
        await impolite.until(lambda: heard == ["still there"])
        for _ in range(40):  # what waited to be read, and what is new
            await frames_of(track, 1)
        assert (polite.link.pc, impolite.link.pc) == pcs
        assert [len(end.all(events.Track)) for end in (polite, impolite)] == [0, 1]
        assert [end.all(events.NegotiationError) for end in (polite, impolite)] == [[], []]


@pytest.mark.parametrize("which", [0, 1])
async def test_a_change_of_the_network_makes_a_new_path_and_nobody_notices(which: int) -> None:
    async with wired() as (polite, impolite, _):
        track, channel, heard = await joined_with_media(polite, impolite)
        ours = (polite, impolite)[which]
        states = [len(end.all(events.StateChange)) for end in (polite, impolite)]
        pcs = polite.link.pc, impolite.link.pc
        before = ours.link.pc.ice.local_username
        ours.link._connection.network_changed()
        await ours.until(lambda: ours.link.pc.ice.local_username != before and not ours.link.pc.ice.is_restarting)
        channel.send("still there")
        await impolite.until(lambda: heard == ["still there"])
        await frames_of(track, 10)
        assert (polite.link.pc, impolite.link.pc) == pcs
        assert states == [len(end.all(events.StateChange)) for end in (polite, impolite)]


async def test_a_path_lost_without_the_service_is_looked_for_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried_consent(monkeypatch)
    async with wired() as (polite, impolite, wires):
        track, _, _ = await joined_with_media(polite, impolite)
        pcs = polite.link.pc, impolite.link.pc
        wires.lose = lambda sender, envelope: True
        for end in (polite, impolite):
            end.link._connection.signalling_lost()
        heal = cut_the_path(pcs[0])
        await impolite.until(lambda: impolite.link.state == "reconnecting")
        wires.lose = lambda sender, envelope: False
        heal()
        for end in (polite, impolite):
            end.link._connection.signalling_up()
        await polite.connected()
        await frames_of(track, 40)
        assert (polite.link.pc, impolite.link.pc) == pcs


async def test_the_end_of_the_quick_attempts_has_an_error_of_its_own(recorded: Recorded) -> None:
    recorded.connection._put(lambda: [ReportExhausted(9)])
    (error,) = await recorded.until(lambda: recorded.errors)
    assert isinstance(error, IceRestartExhaustedError)
    assert error.attempts == 9


async def test_a_dead_server_delays_nothing_but_the_word_that_there_are_no_more_candidates() -> None:
    dead = IceServerConfig(["stun:192.0.2.1:3478", "turn:192.0.2.1:3478?transport=tcp"], "user", "secret")
    recorded = Recorded(ice_servers=(dead,))
    recorded.add(SmallPictures())
    await recorded.until(lambda: recorded.sent)
    assert "a=candidate:" in recorded.descriptions[0].sdp
    assert "a=end-of-candidates" not in recorded.descriptions[0].sdp
    assert len(recorded.sent) == 1  # that there are no more candidates is not known: the server is still asked
    await recorded.connection.aclose()
    await recorded.media.aclose()


async def push_for_ever(source: EncodedVideoSource) -> None:
    key, delta = annex_b(sps(), pps(), idr()), annex_b(slice_nal())
    for number in itertools.count():
        is_key = number % 10 == 0
        source.push(AccessUnit(key if is_key else delta, number * 1800, is_key))
        await asyncio.sleep(0.02)


async def test_nothing_is_read_while_a_path_is_lost_and_pictures_go_on_with_a_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurried_consent(monkeypatch)
    source = EncodedVideoSource()
    async with wired() as (polite, impolite, _):
        polite.add(source)
        feeder = asyncio.create_task(push_for_ever(source), name="feeder")
        received = await (await impolite.track()).track.encoded()
        heal = cut_the_path(polite.link.pc)
        await polite.until(lambda: polite.link.state == "reconnecting")
        assert source.viewers == 0
        seen = received.stats()
        heal()
        await polite.until(lambda: source.viewers == 1)
        await impolite.until(lambda: received.stats().units >= seen.units + 5)
        assert received.stats().key_units > seen.key_units
        assert polite.link.state == "connected"
        feeder.cancel()
        await asyncio.wait([feeder])
