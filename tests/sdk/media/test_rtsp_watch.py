from __future__ import annotations

from metered_realtime.media.rtsp_watch import MAX_KEY_WAIT_S, Verdict, judge


def test_pictures_that_come_move_the_deadline() -> None:
    assert judge(now_s=3, opened_s=0, picture_s=None, unit_s=None, timeout_s=10) == Verdict(None, 10)
    assert judge(now_s=10, opened_s=0, picture_s=9, unit_s=9, timeout_s=10) == Verdict(None, 19)


def test_no_picture_in_time_is_a_fault() -> None:
    assert judge(now_s=10, opened_s=0, picture_s=None, unit_s=None, timeout_s=10).fault == "sent no picture for 10 s"
    assert judge(now_s=31, opened_s=0, picture_s=20.5, unit_s=20.5, timeout_s=10).fault == "sent no picture for 10 s"


def test_waiting_for_the_first_key_frame_is_allowed_but_not_for_ever() -> None:
    assert judge(now_s=40, opened_s=0, picture_s=39, unit_s=None, timeout_s=10) == Verdict(None, 49)
    late = judge(now_s=MAX_KEY_WAIT_S, opened_s=0, picture_s=59, unit_s=None, timeout_s=10)
    assert late.fault == "sent pictures but no key frame with parameter sets for 60 s"


def test_a_picture_that_was_shown_is_not_left_standing() -> None:
    assert judge(now_s=14, opened_s=0, picture_s=13.9, unit_s=5, timeout_s=10) == Verdict(None, 15)
    frozen = judge(now_s=15, opened_s=0, picture_s=14.9, unit_s=5, timeout_s=10)
    assert frozen.fault == "sent pictures but no key frame with parameter sets for 10 s"


def test_a_long_timeout_lengthens_the_wait_for_a_key_frame() -> None:
    assert judge(now_s=100, opened_s=0, picture_s=99, unit_s=None, timeout_s=120).fault is None
