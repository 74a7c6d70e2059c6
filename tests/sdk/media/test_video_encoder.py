from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest

from metered_realtime.media.encoder_open import open_encoder
from metered_realtime.media.encoder_search import Candidate, Trial
from metered_realtime.media.h264 import NAL_IDR, NAL_PPS, NAL_SPS, nal_type, split_annex_b
from metered_realtime.media.hardware_encoders import HardwareEncoders
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings
from tests.sdk.media.pictures import GREEN, RED, decoded, is_near, native_threads, solid

DECODERS = {"H264": "h264", "VP8": "vp8"}
FRAME = 3000


@pytest.fixture(params=["H264", "VP8"])
def codec(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("pixel_format", ["rgb24", "yuv420p", "yuvj420p", "yuv444p", "nv12", "gray"])
def test_a_picture_of_any_format_keeps_its_colour(codec: Any, pixel_format: str) -> None:
    encoder = VideoEncoder(EncoderSettings(codec=codec))
    rgb = (120, 120, 120) if pixel_format == "gray" else RED
    frame = solid(rgb, 98, 66, pixel_format)
    units = [unit for number in range(3) for unit in encoder.encode(frame, number * FRAME)]
    assert [(unit.pts_90k, unit.is_key) for unit in units] == [(0, True), (FRAME, False), (2 * FRAME, False)]
    pictures = decoded(units, DECODERS[codec])
    assert [(picture.width, picture.height) for picture in pictures] == [(98, 66)] * 3
    assert is_near(pictures[-1], rgb)
    assert frame.pts is None, "the caller's frame stays as it is"


def test_full_range_pictures_do_not_lose_contrast() -> None:
    frame = solid((255, 255, 255)).reformat(format="yuv420p", dst_color_range="JPEG")
    units = VideoEncoder(EncoderSettings()).encode(frame, 0)
    assert is_near(decoded(units)[0], (255, 255, 255))


def test_rows_of_another_length_are_copied_one_by_one() -> None:
    frame = solid(GREEN, 322, 34)
    assert is_near(decoded(VideoEncoder(EncoderSettings()).encode(frame, 0))[0], GREEN)


def test_a_large_picture_is_scaled_down_and_an_odd_one_made_even(codec: Any) -> None:
    encoder = VideoEncoder(EncoderSettings(codec=codec, max_size=(64, 64)))
    pictures = decoded(encoder.encode(solid(RED, 320, 180, "rgb24"), 0), DECODERS[codec])
    assert [(picture.width, picture.height) for picture in pictures] == [(64, 36)]
    assert encoder.size == (64, 36)
    assert is_near(pictures[0], RED)


def test_a_new_size_begins_with_a_key_frame(codec: Any) -> None:
    encoder = VideoEncoder(EncoderSettings(codec=codec))
    sizes = [(64, 48), (64, 48), (96, 48)]
    units = [unit for size in sizes for unit in encoder.encode(solid(RED, *size), sizes.index(size) * FRAME)]
    assert [unit.is_key for unit in units] == [True, False, True]


def test_a_key_frame_comes_when_it_is_wanted_and_when_it_is_time(codec: Any) -> None:
    encoder = VideoEncoder(EncoderSettings(codec=codec, fps=10, key_frame_interval_s=0.5))
    units = [u for n in range(12) for u in encoder.encode(solid(RED), n * 9000, force_key=n == 3)]
    keys = [number for number, unit in enumerate(units) if unit.is_key]
    assert keys == [0, 3, 8]


def test_every_h264_key_frame_carries_its_parameter_sets() -> None:
    encoder = VideoEncoder(EncoderSettings())
    units = [u for n in range(4) for u in encoder.encode(solid(RED), n * FRAME, force_key=n == 2)]
    for unit in (units[0], units[2]):
        kinds = [nal_type(nal) for nal in split_annex_b(unit.data)]
        assert [kind for kind in kinds if kind in (NAL_SPS, NAL_PPS, NAL_IDR)][:3] == [NAL_SPS, NAL_PPS, NAL_IDR]
    assert [len(decoded(units[2:]))] == [2], "a newcomer can begin at the second key frame"


class StingyCodec:
    """Hardware that gives its parameter sets with the first key frame only."""

    name = "stingy"
    extradata = b""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        self._is_first = True

    def encode(self, frame: Any) -> list[Any]:
        packets = self._codec.encode(frame)
        if not self._is_first:
            packets = [Stripped(packet) for packet in packets]
        self._is_first = False
        return packets


class Stripped:
    def __init__(self, packet: Any) -> None:
        self.is_keyframe, self.pts = packet.is_keyframe, packet.pts
        kept = [nal for nal in split_annex_b(bytes(packet)) if nal_type(nal) not in (NAL_SPS, NAL_PPS)]
        self._data = b"".join(b"\0\0\0\1" + nal for nal in kept)

    def __bytes__(self) -> bytes:
        return self._data


def test_hardware_that_gives_its_parameter_sets_once_is_made_good() -> None:
    encoder = VideoEncoder(EncoderSettings())
    units = encoder.encode(solid(RED), 0)
    encoder._codec = StingyCodec(encoder._codec)
    encoder._codec._is_first = False
    units = [u for n in (1, 2) for u in encoder.encode(solid(GREEN), n * FRAME, force_key=True)]
    assert all(len(decoded([unit])) == 1 for unit in units)


@pytest.mark.parametrize("bitrate_bps", [300_000, 900_000])
def test_the_bitrate_is_roughly_kept(codec: Any, bitrate_bps: int) -> None:
    encoder = VideoEncoder(EncoderSettings(codec=codec, bitrate_bps=bitrate_bps, fps=15))
    size = 0
    for number in range(60):
        frame = solid((128, 128, 128), 320, 240)
        noise = bytes(110 + (i * 37 + i * i * (number + 3)) % 251 % 29 for i in range(4096))
        frame.planes[0].update((noise * (frame.planes[0].buffer_size // 4096 + 1))[: frame.planes[0].buffer_size])
        size += sum(unit.size_bytes for unit in encoder.encode(frame, number * 6000))
    assert 0.5 * bitrate_bps < size * 8 / 4 < 1.5 * bitrate_bps


def test_an_encoder_that_is_named_and_does_not_work_gives_way_to_software(caplog: pytest.LogCaptureFixture) -> None:
    hardware = HardwareEncoders()
    for _ in range(2):
        encoder = VideoEncoder(EncoderSettings(encoder="h264_v4l2m2m"), hardware=hardware)
        assert len(encoder.encode(solid(RED), 0)) == 1
        assert encoder.name == "libx264"
    assert [record.message.partition(":")[0] for record in caplog.records] == ["the encoder h264_v4l2m2m is not used"]


def test_hardware_that_does_not_take_this_size_gives_way_to_software(caplog: pytest.LogCaptureFixture) -> None:
    def open_codec(name: str, pixel_format: str, settings: EncoderSettings, size: tuple[int, int]) -> Any:
        if name == "h264_hard":
            raise av.FFmpegError(22, "Invalid argument")
        return open_encoder(name, pixel_format, settings, size)

    hardware: Any = Hardware()
    encoder = VideoEncoder(EncoderSettings(encoder="auto"), hardware=hardware, open_codec=open_codec)
    for number in range(3):
        assert len(encoder.encode(solid(RED, 64 + 32 * number), number)) == 1
    assert (encoder.name, hardware.failures) == ("libx264", [])
    assert [record.message.split(" (")[0] for record in caplog.records] == ["the encoder h264_hard cannot be opened"]


class Hardware:
    """What a search found, and what failed of it."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def choice(self) -> Trial:
        return Trial(Candidate("h264_hard", "/dev/hard"), "nv12")

    def failed(self, encoder: str) -> None:
        self.failures.append(encoder)


class HardCodec:
    """An encoder of hardware: libx264 under another name, which fails or falls silent after some pictures."""

    name = "h264_hard"
    extradata = b""

    def __init__(self, codec: Any, *, works_for: int, fails: bool) -> None:
        self._codec, self._left, self._fails = codec, works_for, fails
        self.formats: list[str] = []

    def encode(self, frame: Any) -> list[Any]:
        self.formats.append(frame.format.name)
        self._left -= 1
        if self._left >= 0:
            return list(self._codec.encode(frame))
        if self._fails:
            raise av.FFmpegError(5, "Input/output error")
        return []


@pytest.mark.parametrize("fails", [True, False])
def test_hardware_that_fails_or_falls_silent_gives_way_to_software_at_once_and_for_good(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hardware = Hardware()
    hard: list[HardCodec] = []

    def open_codec(name: str, pixel_format: str, settings: EncoderSettings, size: tuple[int, int]) -> Any:
        if name != "h264_hard":
            return open_encoder(name, pixel_format, settings, size)
        hard.append(HardCodec(open_encoder("libx264", pixel_format, settings, size), works_for=3, fails=fails))
        return hard[-1]

    encoder = VideoEncoder(
        EncoderSettings(encoder="auto"),
        hardware=hardware,  # type: ignore[arg-type]
        open_codec=open_codec,
    )
    frames = [solid(RED, pixel_format="nv12"), *(solid(RED) for _ in range(49))]
    units = [unit for number, frame in enumerate(frames) for unit in encoder.encode(frame, number * FRAME)]
    assert encoder.name == "libx264"
    assert len(hard) == 1
    assert set(hard[0].formats) == {"nv12"}
    assert frames[0].pts is None, "the caller's frame stays as it is"
    keys = [unit.pts_90k // FRAME for unit in units if unit.is_key]
    assert keys == [0, 3 if fails else 33], "the first picture of the next encoder needs no other"
    assert len(decoded(units)) == len(units) == (50 if fails else 20)
    assert hardware.failures == ["h264_hard"]
    why = "failed (Input/output error)" if fails else "took 31 pictures and gave none"
    assert [record.message for record in caplog.records] == [f"the encoder h264_hard {why}; using libx264 instead"]


def test_a_picture_that_cannot_be_encoded_does_not_end_it() -> None:
    encoder = VideoEncoder(EncoderSettings())
    encoder.encode(solid(RED), 0)
    with pytest.raises(ValueError, match="4x4"):
        encoder.encode(solid(RED, 4, 4), 1)
    assert len(encoder.encode(solid(RED), 2)) == 1


def test_closing_frees_the_threads_of_the_encoder() -> None:
    before = native_threads()
    encoder = VideoEncoder(EncoderSettings())
    encoder.encode(solid(RED, 1280, 720), 0)
    encoder.close()
    assert native_threads() <= before
    assert (encoder.name, encoder.size) == (None, None)
    frame = solid(RED)
    frame.pts, frame.time_base = 7, Fraction(1, 30)
    assert len(encoder.encode(frame, 3)) == 1
    assert frame.pts == 7
