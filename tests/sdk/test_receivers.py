"""Sections that bring media: tracks begin and end with the other side's descriptions."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from metered_realtime.description import Section, SessionFacts
from metered_realtime.receivers import ReceivedMedia, Receivers


def said(*sections: Section) -> SessionFacts:
    return SessionFacts("u", "f", sections)


def picture(mid: str = "0", stream: str | None = "s", track: str | None = "t", direction: Any = "sendonly") -> Section:
    return Section("video", mid, direction, stream_id=stream, track_id=track)


@pytest.fixture
def ended() -> list[ReceivedMedia]:
    return []


@pytest.fixture
def receivers(ended: list[ReceivedMedia]) -> Receivers:
    return Receivers(ended.append)


def decoder(receivers: Receivers, mid: str = "0") -> Any:
    receiver = SimpleNamespace(track=SimpleNamespace(kind="video"), _RTCRtpReceiver__decoder_error=threading.Event())
    receivers.connect(mid, receiver)
    return receiver.track._queue


async def test_a_section_that_sends_becomes_a_track_and_frames_reach_it(receivers: Receivers) -> None:
    frames = decoder(receivers)
    change = receivers.settle(said(picture()))
    (media,) = change.added
    assert (media.mid, media.stream_id, media.track_id, media.track.id) == ("0", "s", "t", "t")
    assert change.sections == (picture(),)
    await frames.put("frame")
    assert await media.track.recv() == "frame"
    assert receivers.settle(said(picture())).added == ()


async def test_a_section_that_falls_silent_ends_its_track_and_may_begin_another(receivers: Receivers) -> None:
    frames = decoder(receivers)
    (first,) = receivers.settle(said(picture())).added
    assert receivers.settle(said(picture(direction="inactive"))).removed == (first,)
    assert first.track.readyState == "ended"
    await frames.put("lost")
    (second,) = receivers.settle(said(picture())).added
    await frames.put("frame")
    assert await second.track.recv() == "frame"


async def test_another_track_in_the_same_section_is_another_track(receivers: Receivers) -> None:
    decoder(receivers)
    (first,) = receivers.settle(said(picture(track="t"))).added
    change = receivers.settle(said(picture(track="u")))
    assert change.removed == (first,)
    assert [media.track_id for media in change.added] == ["u"]


async def test_a_section_without_a_receiver_is_not_announced(receivers: Receivers) -> None:
    assert receivers.settle(said(picture())).added == ()


async def test_a_track_without_ids_still_has_a_name(receivers: Receivers) -> None:
    decoder(receivers)
    (media,) = receivers.settle(said(picture(stream=None, track=None))).added
    assert media.track.id == "mid-0"


async def test_a_track_that_ends_by_itself_is_told(receivers: Receivers, ended: list[ReceivedMedia]) -> None:
    frames = decoder(receivers)
    (media,) = receivers.settle(said(picture())).added
    await frames.put(None)
    assert ended == [media]
    assert receivers.settle(said(picture(direction="inactive"))).removed == ()


async def test_stopping_ends_every_track_in_silence(receivers: Receivers, ended: list[ReceivedMedia]) -> None:
    decoder(receivers)
    (media,) = receivers.settle(said(picture())).added
    receivers.stop()
    assert media.track.readyState == "ended"
    assert ended == []


async def test_where_nothing_is_received_no_track_begins_and_no_section_says_otherwise(ended: list[Any]) -> None:
    receivers = Receivers(ended.append, is_open=False)
    frames = decoder(receivers)
    assert receivers.settle(said(picture())).added == ()
    assert list(receivers) == []
    await frames.put("nowhere")
    directions = ["sendrecv", "recvonly", "sendonly", "inactive"]
    transceivers = [SimpleNamespace(direction=direction) for direction in directions]
    receivers.set_directions(transceivers)
    assert [each.direction for each in transceivers] == ["sendonly", "inactive", "sendonly", "inactive"]


def test_where_media_is_received_directions_stay(receivers: Receivers) -> None:
    transceiver = SimpleNamespace(direction="sendrecv")
    receivers.set_directions([transceiver])
    assert transceiver.direction == "sendrecv"
