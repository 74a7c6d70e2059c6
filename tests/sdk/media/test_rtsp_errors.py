from __future__ import annotations

import pytest

from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.media import rtsp_errors


@pytest.mark.parametrize(
    "kind",
    ["RtspUrlError", "RtspConnectError", "RtspTimeoutError", "RtspNotFoundError", "RtspProtocolError", "RtspError"],
)
def test_every_error_is_one_of_the_sdk(kind: str) -> None:
    error = getattr(rtsp_errors, kind)("a sentence")
    assert isinstance(error, rtsp_errors.RtspError)
    assert isinstance(error, MeteredRealtimeError)
    assert str(error) == "a sentence"


def test_faults_that_need_a_hand_are_tried_again_slowly() -> None:
    assert rtsp_errors.RtspAuthError("no", login_given=True).retry_after_s == 60
    assert rtsp_errors.RtspNoVideoError("no", ("H265",)).retry_after_s == 60
    assert rtsp_errors.RtspNoVideoError("no", ("H265",)).codecs == ("H265",)
    assert rtsp_errors.RtspConnectError("no").retry_after_s is None
