from __future__ import annotations

from collections.abc import Callable

from edged.cameras.qualities import SUB_AGAIN_S, Qualities, sub_settings
from edged.cameras.watch_messages import Quality
from edged.settings import CameraSettings, Secret
from tests.edged.cameras.fakes import FakeSource, settings


def qualities(
    given: CameraSettings, changed: list[Quality] | None = None, clock: Callable[[], float] = lambda: 0.0
) -> Qualities:
    return Qualities(
        given,
        report=lambda _name: lambda _state, _detail: None,
        on_status=(changed if changed is not None else []).append,
        open_source=FakeSource().open,
        clock=clock,
    )


def test_the_second_picture_has_its_own_address_and_the_rest_of_the_camera() -> None:
    given = settings(sub=Secret("rtsp://192.168.1.20/2"), username="me", audio="pcma", keep_warm=True, width=1281)
    found = sub_settings(given)
    assert found is not None
    assert (found.name, found.source.reveal(), found.sub.reveal()) == ("yard sub", "rtsp://192.168.1.20/2", "")
    assert (found.username, found.audio, found.keep_warm) == ("me", "pcma", False)
    assert (found.width, found.height, found.bitrate_kbps) == (640, 360, 500)


def test_a_second_picture_that_is_no_rtsp_camera_has_no_sound() -> None:
    found = sub_settings(settings(sub=Secret("test:"), audio="opus", width=16, height=20, bitrate_kbps=10))
    assert found is not None
    assert (found.audio, found.width, found.height, found.bitrate_kbps) == ("none", 16, 16, 10)


def test_a_camera_without_a_second_picture_has_one_stream() -> None:
    found = qualities(settings())
    assert list(found.streams) == list(found.cameras) == ["main"]
    assert found.main.tracks == found.streams["main"].get_tracks()


def test_both_pictures_look_alike_to_a_viewer() -> None:
    found = qualities(settings(sub=Secret("rtsp://192.168.1.20/2"), audio="pcma"))
    main, sub = found.streams["main"], found.streams["sub"]
    assert (main.id, sub.id) == ("camera-yard", "camera-yard")
    assert [track.id for track in main.get_tracks()] == [track.id for track in sub.get_tracks()]
    assert not set(main.get_tracks()) & set(sub.get_tracks())


def test_it_says_which_of_both_changed() -> None:
    changed: list[Quality] = []
    found = qualities(settings(sub=Secret("rtsp://192.168.1.20/2")), changed)
    found.cameras["sub"]._take_report("lost", "gone")
    found.cameras["main"]._take_report("lost", "gone")
    assert changed == ["sub", "main"]


def test_a_second_picture_stands_in_for_the_main_one_unless_it_was_in_trouble_a_moment_ago() -> None:
    now_s = [50.0]
    found = qualities(settings(sub=Secret("rtsp://192.168.1.20/2")), clock=lambda: now_s[0])
    assert found.lowerable_bps == 0.0, "it can be had, and of the main one nothing is known yet"
    assert qualities(settings()).lowerable_bps is None
    sub = found.cameras["sub"]
    sub._take_report("lost", "gone")
    now_s[0] += SUB_AGAIN_S
    assert found.lowerable_bps is None, "it is in trouble still"
    sub._take_report("idle", "")
    assert found.lowerable_bps == 0.0
    now_s[0] -= 1
    assert found.lowerable_bps is None
