from __future__ import annotations

from edged.cameras.onvif_pace import OnvifPace


def test_it_is_asked_twice_a_second_at_most() -> None:
    pace = OnvifPace()
    assert [now for now in (0.0, 0.1, 0.4, 0.5, 0.9, 1.0) if pace.may_ask(now)] == [0.0, 0.5, 1.0]
    assert pace.asked == 3


def test_it_is_believed_once_a_key_frame_has_followed_and_until_one_has_not() -> None:
    pace = OnvifPace()
    pace.key_frame_came(0.0)
    assert not pace.is_believed(0.0), "nobody had asked"
    assert pace.may_ask(0.0)
    pace.done(0.1)
    assert not pace.is_believed(0.2)
    pace.key_frame_came(0.2)
    assert pace.is_believed(0.2)
    assert pace.answered == 1
    assert pace.may_ask(10.0)
    pace.done(10.1)
    assert pace.is_believed(11.0)
    assert not pace.is_believed(11.7), "it said yes, and sent none in time"
    pace.key_frame_came(11.8)
    assert not pace.is_believed(11.8)
    assert pace.answered == 1


def test_a_camera_that_refuses_is_left_alone_longer_than_one_that_was_not_there() -> None:
    pace = OnvifPace()
    assert pace.may_ask(0.0)
    pace.failed(0.0, "no answer", is_refusal=False)
    assert [now for now in (1.0, 59.0, 61.0) if pace.may_ask(now)] == [61.0]
    pace.failed(100.0, "no", is_refusal=True)
    assert [now for now in (200.0, 699.0, 701.0) if pace.may_ask(now)] == [701.0]
    assert (pace.asked, pace.refused) == (3, 2)


def test_a_refusal_ends_the_belief() -> None:
    pace = OnvifPace()
    pace.done(0.0)
    pace.key_frame_came(0.1)
    pace.failed(1.0, "no", is_refusal=True)
    assert not pace.is_believed(1.0)


def test_a_key_frame_that_comes_before_the_answer_counts() -> None:
    pace = OnvifPace()
    assert pace.may_ask(0.0)
    pace.key_frame_came(0.1)
    assert not pace.is_believed(0.1), "the camera may still refuse"
    pace.done(0.2)
    assert pace.is_believed(5.0)
    assert pace.may_ask(5.0)
    pace.done(5.1)
    assert not pace.is_believed(7.0), "the key frame of another asking"


def test_a_key_frame_of_the_cameras_own_long_after_is_no_answer() -> None:
    pace = OnvifPace()
    assert pace.may_ask(0.0)
    pace.done(0.1)
    pace.key_frame_came(8.0)
    assert not pace.is_believed(8.0)
    assert pace.answered == 0


def test_one_that_says_yes_and_does_nothing_is_asked_now_and_then() -> None:
    pace = OnvifPace()
    asked: list[float] = []
    for tenth in range(1300):
        now_s = tenth / 10
        if pace.may_ask(now_s):
            asked.append(now_s)
            pace.done(now_s)
    assert len([at_s for at_s in asked if at_s < 10]) <= 15
    assert len([at_s for at_s in asked if at_s >= 10]) == 2
    assert pace.may_ask(200.0)
    pace.done(200.1)
    pace.key_frame_came(200.2)
    assert pace.may_ask(260.0)
    assert pace.may_ask(260.5), "it makes them again"


def test_the_same_complaint_is_news_once() -> None:
    pace = OnvifPace()
    told = [pace.failed(at_s, text, is_refusal=False) for at_s, text in ((0, "a"), (60, "a"), (120, "b"), (180, "a"))]
    assert told == [True, False, True, True]
    pace.done(200.0)
    assert pace.failed(300.0, "a", is_refusal=False)
