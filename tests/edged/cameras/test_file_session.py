from __future__ import annotations

from pathlib import Path

import pytest

from edged.cameras.file_session import FileSession
from edged.cameras.session_pictures import SessionPictures
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.source_errors import SourceError, SourceFormatError, SourceNotFoundError
from tests.edged.cameras.clips import FRAMES, film
from tests.sdk.media.test_rtsp import decoded_sizes


async def played(path: Path, count: int) -> tuple[list[AccessUnit], SessionPictures]:
    async with SessionPictures(FileSession(str(path), decode=False), name="film") as pictures:
        units: list[AccessUnit] = []
        async for unit in pictures.access_units():
            units.append(unit)
            if len(units) == count:
                break
        return units, pictures


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts", "film.h264"])
async def test_a_film_is_passed_on_as_it_is_over_and_over_on_one_line_of_time(tmp_path: Path, name: str) -> None:
    units, pictures = await played(film(tmp_path / name, preset="ultrafast"), 2 * FRAMES + 2)
    assert units[0].is_key
    assert units[FRAMES].is_key
    pts = [unit.pts_90k for unit in units]
    assert pts == sorted(set(pts))
    if name != "film.h264":  # which holds no times
        assert pts[FRAMES] == pytest.approx(FRAMES * 1800, abs=100)
    assert decoded_sizes([unit.data for unit in units]) == [(64, 48)] * (2 * FRAMES + 2)
    assert (pictures.video.width, pictures.video.has_b_frames, pictures.road) == (64, False, "")


async def test_b_frames_of_a_film_are_told_by_its_first_picture(tmp_path: Path) -> None:
    _, pictures = await played(film(tmp_path / "film.mp4", b_frames=2), 1)
    assert pictures.video.has_b_frames is True


async def test_a_film_of_another_codec_is_not_passed_on(tmp_path: Path) -> None:
    with pytest.raises(SourceFormatError, match=r"holds mjpeg, not H\.264"):
        await played(film(tmp_path / "film.avi", codec="mjpeg"), 1)


async def test_what_is_no_film_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        await played(tmp_path / "none.mp4", 1)
    (tmp_path / "text.mp4").write_text("no film at all")
    with pytest.raises(SourceError, match="cannot be played"):
        await played(tmp_path / "text.mp4", 1)
