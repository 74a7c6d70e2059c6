from __future__ import annotations

from metered_realtime.media.encoder_search import HARDWARE_ENCODERS, Candidate, EncoderSearch, Trial, candidates


def test_devices_decide_what_is_tried_and_in_which_order() -> None:
    everything = candidates(
        ["/dev/video11", "/dev/video12"],
        ["/dev/dri/renderD129", "/dev/dri/renderD128", "/dev/nvidia0", "/dev/mpp_service"],
    )
    assert everything == (
        Candidate("h264_v4l2m2m", "/dev/video11"),
        Candidate("h264_rkmpp", "/dev/mpp_service"),
        Candidate("h264_nvenc", "/dev/nvidia0"),
        Candidate("h264_vaapi", "/dev/dri/renderD128"),
        Candidate("h264_qsv", "/dev/dri/renderD128"),
    )
    assert tuple(one.encoder for one in everything) == HARDWARE_ENCODERS
    assert candidates([], []) == ()


def test_what_gave_a_picture_is_what_was_found() -> None:
    vaapi, qsv = Candidate("h264_vaapi", "/dev/dri/renderD128"), Candidate("h264_qsv", "/dev/dri/renderD128")
    failed = Trial(vaapi, reason="this FFmpeg has no h264_vaapi")
    assert EncoderSearch((failed,)).found is None
    assert EncoderSearch((failed, Trial(qsv, "nv12"))).found == Trial(qsv, "nv12")
