from __future__ import annotations

import av
import pytest

from metered_realtime.media.taken import mark_taken, taken_s
from tests.sdk.media.pictures import solid


def test_a_frame_bears_when_it_was_taken() -> None:
    assert taken_s(mark_taken(solid((9, 9, 9)), 70.5)) == 70.5


def test_sound_bears_it_through_a_resampler() -> None:
    frame = av.AudioFrame(format="s16", layout="mono", samples=160)
    frame.sample_rate = 8000
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=48_000)
    (converted,) = resampler.resample(mark_taken(frame, 70.5))
    assert taken_s(converted) == 70.5


@pytest.mark.parametrize("mark", [None, 7.5, (7.5,)])
def test_what_others_write_on_a_frame_is_not_ours(mark: object) -> None:
    frame = solid((9, 9, 9))
    frame.opaque = mark
    assert taken_s(mark_taken(frame, None)) is None


def test_what_is_no_frame_bears_nothing() -> None:
    assert taken_s(b"encoded") is None
