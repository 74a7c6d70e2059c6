"""Groups of tracks."""

from __future__ import annotations

import pytest

from metered_realtime.streams import MediaStream, check_track


def test_tracks_by_kind_in_order() -> None:
    class Track:
        def __init__(self, kind: str) -> None:
            self.kind = kind

    sound, picture = Track("audio"), Track("video")
    stream = MediaStream([picture, sound, picture], id="cam")
    assert stream.get_tracks() == [picture, sound]
    assert stream.get_audio_tracks() == [sound]
    assert stream.get_video_tracks() == [picture]
    stream.remove_track(sound)
    stream.remove_track(sound)
    stream.add_track(picture)
    assert stream.get_tracks() == [picture]
    assert "cam" in repr(stream)


def test_the_list_returned_is_a_copy() -> None:
    stream = MediaStream()
    stream.get_tracks().append(object())
    assert stream.get_tracks() == []


def test_ids_are_random_unless_given() -> None:
    assert MediaStream().id != MediaStream().id
    assert MediaStream(id="x").id == "x"


@pytest.mark.parametrize("stream_id", ["", "two words", "line\nbreak", "x" * 257, "bell\x07"])
def test_an_id_that_cannot_travel_is_refused(stream_id: str) -> None:
    with pytest.raises(ValueError, match="stream id"):
        MediaStream(id=stream_id)


@pytest.mark.parametrize("what", [None, 5, "track", MediaStream()], ids=str)
def test_what_is_no_track_is_told_so(what):
    with pytest.raises(TypeError, match="kind"):
        check_track(what)
