from __future__ import annotations

import errno
from pathlib import Path

import av
import pytest

from metered_realtime.media.recorder_file import RecorderFile
from metered_realtime.media.recorder_formats import StreamFormat, container_for, format_of_key
from metered_realtime.media.recorder_samples import Sample
from metered_realtime.media.video_encoder import VideoEncoder
from metered_realtime.media.video_settings import EncoderSettings, VideoCodec
from tests.sdk.media.pictures import GREEN, RED, is_near, solid


def pictures(count: int, codec: VideoCodec = "H264", *, size: tuple[int, int] = (64, 48)) -> list[Sample]:
    encoder = VideoEncoder(EncoderSettings(codec=codec, fps=10, key_frame_interval_s=1.0))
    units = [
        u for n in range(count) for u in encoder.encode(solid((RED, GREEN)[n // 5 % 2], *size), 900_000 + n * 9000)
    ]
    stream = format_of_key(units[0].data, codec)
    assert stream is not None
    return [Sample(0, unit.data, unit.pts_90k, 90_000, 9000, unit.is_key, stream) for unit in units]


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "H264"), (".mkv", "H264"), (".mkv", "VP8"), (".webm", "VP8")])
def test_what_is_written_can_be_played(tmp_path: Path, suffix: str, codec: VideoCodec) -> None:
    path = tmp_path / "new" / f"out{suffix}"
    samples = pictures(30, codec)
    file = RecorderFile(path, container_for(path.name), {0: samples[0].format}, samples[0].at_s)
    for sample in samples:
        file.write(sample)
    assert file.finish() == path.stat().st_size
    assert file.duration_s == pytest.approx(3.0)
    assert file.written_bytes == sum(len(sample.data) for sample in samples)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 30
    assert [frame.time for frame in frames] == pytest.approx([n / 10 for n in range(30)], abs=0.001)
    assert is_near(frames[0], RED)
    assert is_near(frames[7], GREEN)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "H264"), (".mkv", "H264"), (".mkv", "VP8"), (".webm", "VP8")])
def test_a_stream_that_brings_nothing_takes_nothing_from_the_others(
    tmp_path: Path, suffix: str, codec: VideoCodec
) -> None:
    path = tmp_path / f"out{suffix}"
    samples = pictures(30, codec)
    file = RecorderFile(path, container_for(path.name), dict.fromkeys(range(2), samples[0].format), samples[0].at_s)
    for sample in samples:
        file.write(sample)
    cut_off = tmp_path / f"cut{suffix}"
    cut_off.write_bytes(path.read_bytes())
    file.finish()
    # FFmpeg holds everything back for a stream of VP8 that brings nothing, up to the end of the file.
    for each, at_least in ((path, 30), (cut_off, 10))[: 1 if codec == "VP8" else 2]:
        with av.open(str(each)) as container:
            assert [stream.codec_context.width for stream in container.streams.video] == [64, 64]
            assert len(list(container.decode(video=0))) >= at_least


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_cut_off_can_be_played_up_to_its_last_second(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    samples = pictures(50)
    file = RecorderFile(path, container_for(path.name), {0: samples[0].format}, samples[0].at_s)
    for sample in samples:
        file.write(sample)
    cut_off = tmp_path / f"cut{suffix}"
    cut_off.write_bytes(path.read_bytes())
    file.finish()
    with av.open(str(cut_off)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) >= 38


def test_a_stream_the_container_has_no_place_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.webm"
    with pytest.raises(ValueError, match="webm"):
        RecorderFile(path, container_for(path.name), {0: StreamFormat("video", "h264", 64, 48)}, 0.0)


def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    samples = pictures(30)
    file = RecorderFile(path, container_for(path.name), {0: samples[0].format}, 10.0)

    def write_all() -> None:
        for sample in samples:
            file.write(sample)

    with pytest.raises(OSError, match="space") as raised:
        write_all()
    assert raised.value.errno == errno.ENOSPC
    assert file.abandon() == 0
    with pytest.raises((OSError, ValueError)):
        file.finish()


def test_an_empty_file_that_is_abandoned_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    file = RecorderFile(path, container_for(path.name), {0: pictures(1)[0].format}, 10.0)
    assert path.exists()
    assert file.abandon() == 0
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RecorderFile(tmp_path / "file" / "out.mp4", container_for("out.mp4"), {}, 0.0)
