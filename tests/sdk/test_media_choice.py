"""What was chosen for one peer, against what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from metered_realtime.local_media import LocalMedia, LocalTrack
from metered_realtime.media_choice import MediaChoice
from metered_realtime.streams import MediaStream
from tests.sdk.media.tracks import Scripted


def sent(track: Any, stream: MediaStream | None = None) -> LocalTrack:
    return LocalMedia().describe(track, stream, None)


def test_without_a_choice_everything_is_included() -> None:
    assert MediaChoice().includes(sent(Scripted("audio")))
    assert MediaChoice(None).includes(sent(Scripted("video"), MediaStream()))


def test_an_empty_choice_includes_nothing() -> None:
    assert not MediaChoice([]).includes(sent(Scripted("audio")))


def test_tracks_and_streams_are_chosen_themselves_and_not_what_looks_like_them() -> None:
    track, other, stream = Scripted("video"), Scripted("video"), MediaStream(id="s")
    choice = MediaChoice(iter([track, stream]))
    assert choice.includes(sent(track))
    assert choice.includes(sent(track, MediaStream(id="elsewhere")))
    assert choice.includes(sent(other, stream))
    assert not choice.includes(sent(other))
    assert not choice.includes(sent(other, MediaStream(id="s")))


def test_a_stream_stands_for_its_tracks_however_they_are_sent_also_those_added_later() -> None:
    track, late, stream = Scripted("video"), Scripted("audio"), MediaStream()
    stream.add_track(track)
    choice = MediaChoice([stream])
    assert choice.includes(sent(track))
    assert not choice.includes(sent(late))
    stream.add_track(late)
    assert choice.includes(sent(late))


def test_a_replacement_is_got_by_who_got_the_track() -> None:
    old, new, other, stream = Scripted("video"), Scripted("video"), Scripted("video"), MediaStream()
    explicit = MediaChoice([old])
    explicit.replaced(sent(old), sent(new))
    assert (explicit.includes(sent(new)), explicit.includes(sent(old))) == (True, False)
    elsewhere = MediaChoice([other])
    elsewhere.replaced(sent(old), sent(new))
    assert not elsewhere.includes(sent(new))
    by_stream = MediaChoice([stream])
    by_stream.replaced(sent(old, stream), sent(new, stream))
    assert by_stream.includes(sent(new, stream))
    assert not by_stream.includes(sent(new))
    everything = MediaChoice()
    everything.replaced(sent(old), sent(new))
    assert everything.includes(sent(new))


@pytest.mark.parametrize(
    "nonsense",
    [5, "track", b"track", MediaStream(), Scripted("video"), [5], ["x"], [None], [[Scripted("video")]]],
    ids=str,
)
def test_what_is_neither_track_nor_stream_is_refused(nonsense: Any) -> None:
    with pytest.raises(TypeError):
        MediaChoice(nonsense)
