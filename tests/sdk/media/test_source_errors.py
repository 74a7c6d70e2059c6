"""The errors of sources are the SDK's, and cameras' are among them."""

from __future__ import annotations

import pytest

from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.media import source_errors
from metered_realtime.media.rtsp_errors import RtspError


@pytest.mark.parametrize("kind", ["NotFound", "Busy", "Denied", "Format", "Lost", "Timeout"])
def test_every_error_is_one_of_the_sdk(kind: str) -> None:
    error = getattr(source_errors, f"Source{kind}Error")("a sentence")
    assert isinstance(error, source_errors.SourceError)
    assert isinstance(error, MeteredRealtimeError)
    assert str(error) == "a sentence"


def test_what_needs_a_hand_is_tried_again_slowly() -> None:
    assert source_errors.SourceDeniedError.retry_after_s == 60
    assert source_errors.SourceLostError("gone").retry_after_s is None
    assert issubclass(RtspError, source_errors.SourceError)
