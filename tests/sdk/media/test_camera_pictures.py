"""Every format of a local camera to frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest

from metered_realtime.media.camera_pictures import PictureDecoder
from metered_realtime.media.source_errors import SourceFormatError
from metered_realtime.media.v4l2 import PictureFormat
from metered_realtime.media.v4l2_device import CapturedPicture
from tests.sdk.media.test_decoding import encoded_pictures
from tests.sdk.media.tracks import picture


def jpeg() -> bytes:
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuvj420p", Fraction(1, 30)
    return b"".join(bytes(packet) for packet in codec.encode(picture(0).reformat(format="yuvj420p")))


PICTURES = {
    "YUYV": bytes((90, 128, 90, 128)) * (32 * 48),
    "UYVY": bytes((128, 90, 128, 90)) * (32 * 48),
    "NV12": bytes((90,)) * (64 * 48) + bytes((128,)) * (32 * 48),
    "NV21": bytes((90,)) * (64 * 48) + bytes((128,)) * (32 * 48),
    "YU12": bytes((90,)) * (64 * 48) + bytes((128,)) * (32 * 48),
    "GREY": bytes((90,)) * (64 * 48),
    "RGB3": bytes((90,)) * (3 * 64 * 48),
    "BGR3": bytes((90,)) * (3 * 64 * 48),
}


@pytest.mark.parametrize("fourcc", PICTURES)
def test_raw_pictures(fourcc: str) -> None:
    decoder = PictureDecoder(PictureFormat(fourcc, 64, 48, 0, 0))
    (frame,) = decoder.decode(CapturedPicture(PICTURES[fourcc], 2.5))
    assert (frame.format.name, frame.width, frame.height) == ("yuv420p", 64, 48)
    assert (frame.pts, frame.time_base) == (225_000, Fraction(1, 90_000))
    luma = bytes(frame.planes[0])[0]
    assert abs(luma - 90) <= 8 or fourcc in ("RGB3", "BGR3")
    assert decoder.decode(CapturedPicture(PICTURES[fourcc][:-1], 2.6)) == []
    assert decoder.damaged_pictures == 1


@pytest.mark.parametrize("fourcc", ["MJPG", "JPEG"])
def test_jpeg_pictures(fourcc: str) -> None:
    decoder = PictureDecoder(PictureFormat(fourcc, 64, 48, 0, 0), clock=lambda: 3.0)
    (frame,) = decoder.decode(CapturedPicture(jpeg(), None))
    assert (frame.format.name, frame.width, frame.height, frame.pts) == ("yuv420p", 64, 48, 270_000)
    assert decoder.decode(CapturedPicture(b"no picture", None)) == []
    assert decoder.damaged_pictures == 1
    assert len(decoder.decode(CapturedPicture(jpeg(), None))) == 1


def test_h264_pictures() -> None:
    decoder = PictureDecoder(PictureFormat("H264", 64, 48, 0, 0))
    units = encoded_pictures(3)
    assert decoder.decode(CapturedPicture(units[1].data, 1.0)) == []
    frames = [frame for unit in units for frame in decoder.decode(CapturedPicture(unit.data, 1.0))]
    assert [frame.width for frame in frames] == [64, 64, 64]


def test_a_format_of_no_use_is_refused() -> None:
    with pytest.raises(SourceFormatError, match="Z16"):
        PictureDecoder(PictureFormat("Z16", 64, 48, 0, 0))
