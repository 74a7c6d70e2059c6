from __future__ import annotations

from edged.cameras.onvif_pace import OnvifPace


def test_it_is_asked_twice_a_second_at_most() -> None:
    pace = OnvifPace()
    assert [now for now in (0.0, 0.1, 0.4, 0.5, 0.9, 1.0) if pace.may_ask(now)] == [0.0, 0.5, 1.0]
    assert pace.asked == 3


def test_it_is_believed_once_a_key_frame_has_followed_and_until_one_has_not() -> None:
    pace = OnvifPace()
    pace.key_frame_came()
    assert not pace.is_believed(0.0), "nobody had asked"
    assert pace.may_ask(0.0)
    pace.done(0.1)
    assert not pace.is_believed(0.2)
    pace.key_frame_came()
    assert pace.is_believed(0.2)
    assert pace.answered == 1
    assert pace.may_ask(10.0)
    pace.done(10.1)
    assert pace.is_believed(11.0)
    assert not pace.is_believed(11.7), "it said yes, and sent none in time"
    pace.key_frame_came()
    assert not pace.is_believed(11.8)
    assert pace.answered == 1


def test_a_camera_that_refuses_is_left_alone_longer_than_one_that_was_not_there() -> None:
    pace = OnvifPace()
    assert pace.may_ask(0.0)
    pace.failed(0.0, is_refusal=False)
    assert [now for now in (1.0, 59.0, 61.0) if pace.may_ask(now)] == [61.0]
    pace.failed(100.0, is_refusal=True)
    assert [now for now in (200.0, 699.0, 701.0) if pace.may_ask(now)] == [701.0]
    assert (pace.asked, pace.refused) == (3, 2)


def test_a_refusal_ends_the_belief() -> None:
    pace = OnvifPace()
    pace.done(0.0)
    pace.key_frame_came()
    pace.failed(1.0, is_refusal=True)
    assert not pace.is_believed(1.0)
