from __future__ import annotations

import errno

from metered_realtime.media.v4l2_encoders import EncoderNode, encoder_nodes
from tests.sdk.media.fake_camera import CAPTURE, STREAMING, FakeCamera, FakeSystem

M2M_MPLANE, M2M = 0x4000, 0x8000


def found(**nodes: FakeCamera) -> tuple[tuple[EncoderNode, ...], tuple[str, ...]]:
    cameras = {f"/dev/{name}": camera for name, camera in nodes.items()}
    return encoder_nodes(FakeSystem(cameras), lambda: [*cameras])


def test_a_node_that_gives_h264_from_memory_is_an_encoder_and_a_camera_is_none() -> None:
    nodes, unasked = found(
        video0=FakeCamera({"H264": [(64, 48, [30])]}, caps=CAPTURE | STREAMING),
        video12=FakeCamera({"YU12": []}, card="bcm2835-codec-isp", caps=M2M_MPLANE | STREAMING),
        video11=FakeCamera({"MJPG": [], "H264": []}, card="bcm2835-codec-encode", caps=M2M_MPLANE | STREAMING),
        video2=FakeCamera({"H264": []}, card="coda", caps=M2M | STREAMING),
    )
    assert nodes == (EncoderNode("/dev/video2", "coda"), EncoderNode("/dev/video11", "bcm2835-codec-encode"))
    assert unasked == ()


def test_what_cannot_be_asked_is_told_and_what_is_no_v4l2_is_passed_over() -> None:
    forbidden, gone = FakeCamera({}), FakeCamera({"H264": []}, caps=M2M)
    forbidden.open_error = errno.EACCES
    gone.is_plugged = False
    nodes, unasked = found(video0=forbidden, video1=gone)
    assert nodes == ()
    assert unasked[0] == "/dev/video0 cannot be opened: refused"
    assert unasked[1] == "/dev/video1 cannot be opened: No such file or directory"


def test_a_node_that_goes_while_it_is_asked_is_no_encoder() -> None:
    camera = FakeCamera({"H264": []}, caps=M2M)
    system = FakeSystem({"/dev/video0": camera})
    real_open = system.open

    def open_and_unplug(path: str) -> int:
        fd = real_open(path)
        camera.unplug()
        return fd

    system.open = open_and_unplug  # type: ignore[method-assign]
    assert encoder_nodes(system, lambda: ["/dev/video0"]) == ((), ())
    assert camera.closed == 1
