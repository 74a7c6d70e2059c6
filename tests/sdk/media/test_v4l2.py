"""The structures against those of the kernel's header, laid out by ctypes."""

from __future__ import annotations

import ctypes

import pytest

from metered_realtime.media import v4l2
from tests.sdk.media import fake_camera


@pytest.mark.parametrize(
    ("call", "number", "structure"),
    [
        (v4l2.VIDIOC_QUERYCAP, 0, fake_camera.Capability),
        (v4l2.VIDIOC_ENUM_FMT, 2, fake_camera.FormatDescription),
        (v4l2.VIDIOC_S_FMT, 5, fake_camera.Format),
        (v4l2.VIDIOC_REQBUFS, 8, fake_camera.Requested),
        (v4l2.VIDIOC_QUERYBUF, 9, fake_camera.Buffer),
        (v4l2.VIDIOC_QBUF, 15, fake_camera.Buffer),
        (v4l2.VIDIOC_DQBUF, 17, fake_camera.Buffer),
        (v4l2.VIDIOC_STREAMON, 18, ctypes.c_int),
        (v4l2.VIDIOC_S_PARM, 22, fake_camera.Parameters),
        (v4l2.VIDIOC_ENUM_FRAMESIZES, 74, fake_camera.FrameSize),
        (v4l2.VIDIOC_ENUM_FRAMEINTERVALS, 75, fake_camera.FrameInterval),
    ],
)
def test_a_call_carries_its_number_and_the_size_of_its_structure(call: int, number: int, structure: type) -> None:
    assert call & 0xFF == number
    assert call >> 8 & 0xFF == ord("V")
    assert call >> 16 & 0x3FFF == ctypes.sizeof(structure)


def test_directions_are_those_of_the_kernel() -> None:
    assert v4l2.VIDIOC_QUERYCAP >> 30 == 2
    assert v4l2.VIDIOC_STREAMON >> 30 == 1
    assert v4l2.VIDIOC_DQBUF >> 30 == 3


def test_four_letters_to_a_number_and_back() -> None:
    assert v4l2.fourcc_number("YUYV") == 0x56595559
    assert v4l2.fourcc_name(0x56595559) == "YUYV"
    assert v4l2.fourcc_name(v4l2.fourcc_number("Y16")) == "Y16"
    assert v4l2.fourcc_name(0x0001_4142) == "BA??"


def test_the_node_counts_where_it_tells_its_own_abilities() -> None:
    raw = fake_camera.Capability(driver=b"uvcvideo", card=b"Cam\xc3\xa9\x07", bus=b"usb-1")
    raw.capabilities = v4l2.CAP_VIDEO_CAPTURE | v4l2.CAP_STREAMING | v4l2.CAP_DEVICE_CAPS
    raw.device_caps = fake_camera.METADATA | v4l2.CAP_STREAMING
    who = v4l2.read_capability(bytes(raw))
    assert (who.driver, who.card, who.bus) == ("uvcvideo", "Camé?", "usb-1")
    assert not who.captures
    raw.capabilities = v4l2.CAP_VIDEO_CAPTURE | v4l2.CAP_STREAMING
    assert v4l2.read_capability(bytes(raw)).captures
    raw.capabilities = v4l2.CAP_VIDEO_CAPTURE_MPLANE | v4l2.CAP_STREAMING
    assert v4l2.read_capability(bytes(raw)).captures_in_planes
    assert len(v4l2.empty_capability()) == ctypes.sizeof(raw)


def test_a_format_is_asked_for_and_read() -> None:
    asked = fake_camera.Format.from_buffer(v4l2.wanted_format("MJPG", 1280, 720))
    assert (asked.type, asked.fmt.pix.width, asked.fmt.pix.height, asked.fmt.pix.pixelformat) == (1, 1280, 720, b"MJPG")
    asked.fmt.pix.bytesperline, asked.fmt.pix.sizeimage = 2560, 1_843_200
    assert v4l2.read_format(bytes(asked)) == v4l2.PictureFormat("MJPG", 1280, 720, 2560, 1_843_200)


def test_formats_sizes_and_rates_are_asked_for_and_read() -> None:
    described = fake_camera.FormatDescription.from_buffer(v4l2.format_question(3))
    assert (described.index, described.type) == (3, 1)
    described.pixelformat = b"NV12"
    assert v4l2.read_format_name(bytes(described)) == "NV12"
    size = fake_camera.FrameSize.from_buffer(v4l2.size_question(2, "NV12"))
    assert (size.index, size.pixelformat) == (2, b"NV12")
    size.type, size.numbers = 1, (640, 480, 9, 9, 9, 9)
    assert v4l2.read_sizes(bytes(size)) == (v4l2.SizeRange(640, 640, 1, 480, 480, 1), True)
    size.type, size.numbers = 3, (48, 1920, 2, 32, 1080, 4)
    assert v4l2.read_sizes(bytes(size)) == (v4l2.SizeRange(48, 1920, 2, 32, 1080, 4), False)
    rate = fake_camera.FrameInterval.from_buffer(v4l2.interval_question(1, "NV12", 640, 480))
    assert (rate.index, rate.pixelformat, rate.width, rate.height) == (1, b"NV12", 640, 480)
    rate.type, rate.numbers = 1, (1001, 30_000, 0, 0, 0, 0)
    assert v4l2.read_fps(bytes(rate)) == (pytest.approx(29.97, abs=0.01), True)
    rate.type, rate.numbers = 3, (0, 1, 1, 1, 1, 1)
    assert v4l2.read_fps(bytes(rate)) == (None, False)


def test_a_rate_is_asked_for_as_the_time_of_one_picture() -> None:
    asked = fake_camera.Parameters.from_buffer(v4l2.wanted_rate(25))
    assert (asked.type, asked.numerator, asked.denominator) == (1, 1, 25)


def test_buffers_are_asked_for_named_and_read() -> None:
    asked = fake_camera.Requested.from_buffer(v4l2.wanted_buffers(4))
    assert (asked.count, asked.type, asked.memory) == (4, 1, 1)
    asked.count = 3
    assert v4l2.read_buffer_count(bytes(asked)) == 3
    named = fake_camera.Buffer.from_buffer(v4l2.buffer(2))
    assert (named.index, named.type, named.memory) == (2, 1, 1)
    named.m.offset, named.length, named.bytesused = 8192, 4096, 1000
    named.seconds, named.microseconds, named.flags = 12, 250_000, fake_camera.MONOTONIC
    assert v4l2.read_buffer(bytes(named)) == v4l2.Buffer(2, 1000, fake_camera.MONOTONIC, 12.25, 8192, 4096)
    named.flags = 0  # on some other clock: of no use
    assert v4l2.read_buffer(bytes(named)).stamp_s is None
    named.flags, named.seconds, named.microseconds = fake_camera.MONOTONIC, 0, 0  # not filled in
    assert v4l2.read_buffer(bytes(named)).stamp_s is None


def test_streams_are_switched_by_type() -> None:
    assert ctypes.c_int.from_buffer(v4l2.stream_type()).value == 1
