from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path

import pytest

from edged.cameras.command import CommandPictures
from edged.cameras.errors import CameraError
from metered_realtime.media.access_unit import AccessUnit
from tests.edged.cameras.clips import film
from tests.sdk.media.test_rtsp import decoded_sizes


def program(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", code, *words])


async def first(pictures: CommandPictures, count: int) -> list[AccessUnit]:
    units: list[AccessUnit] = []
    async for unit in pictures.access_units():
        units.append(unit)
        if len(units) == count:
            break
    return units


CAT_FOR_EVER = """
import sys, time
data = open(sys.argv[1], "rb").read()
while True:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    time.sleep(0.05)
"""


async def test_the_h264_of_a_program_is_a_camera(tmp_path: Path) -> None:
    path = film(tmp_path / "film.h264", preset="ultrafast", tune="zerolatency")
    async with CommandPictures(program(CAT_FOR_EVER, str(path)), timeout_s=5) as pictures:
        async with asyncio.timeout(10):
            units = await first(pictures, 25)
        assert units[0].is_key
        assert (pictures.video.width, pictures.video.has_b_frames, pictures.road) == (64, False, "")
    assert decoded_sizes([unit.data for unit in units]) == [(64, 48)] * 25


async def test_leaving_ends_the_program_and_all_that_it_started(tmp_path: Path) -> None:
    marks = tmp_path / "pids"
    command = f'sh -c \'trap "" TERM; sh -c "trap : TERM; sleep 60" & echo $! $$ > {marks}; wait; sleep 60\''
    async with CommandPictures(command, timeout_s=60):
        async with asyncio.timeout(5):
            while not marks.exists() or not marks.read_text().endswith("\n"):
                await asyncio.sleep(0.01)
    for pid in marks.read_text().split():
        async with asyncio.timeout(5):
            while _is_alive(int(pid)):
                await asyncio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" and os.getpgid(pid) > 0
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import sys; print('starting', file=sys.stderr); sys.exit('no cameras available\\n')",
            "ended with status 1: no cameras available",
        ),
        ("pass", "ended$"),
        ("import time; time.sleep(60)", "sent no picture for 0.3 s$"),
    ],
)
async def test_why_it_gave_no_picture_is_told_in_its_own_words(code: str, says: str) -> None:
    async with CommandPictures(program(code), timeout_s=0.3 if "sleep" in code else 10) as pictures:
        with pytest.raises(CameraError, match=says):
            await first(pictures, 1)


async def test_a_login_in_its_words_is_masked() -> None:
    code = "import sys; sys.exit('cannot open ' + sys.argv[1])"
    async with CommandPictures(program(code, "rtsp://u:hidden@cam/1"), timeout_s=10) as pictures:
        with pytest.raises(CameraError, match="cannot open rtsp://") as told:
            await first(pictures, 1)
        assert "hidden" not in str(told.value)


async def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(CameraError, match="its program /no/such-program cannot be started: No such file") as told:
        await CommandPictures("/no/such-program -x secret", timeout_s=1).__aenter__()
    assert "secret" not in str(told.value)
    assert told.value.retry_after_s == 10


async def test_endless_words_without_a_line_are_bounded() -> None:
    code = "import sys; sys.stderr.write('x' * 1000000); sys.exit(3)"
    async with CommandPictures(program(code), timeout_s=10) as pictures:
        with pytest.raises(CameraError, match=r"ended with status 3: x+$") as told:
            await first(pictures, 1)
        assert len(str(told.value)) < 400


async def test_a_login_inside_the_command_is_not_repeated_however_it_is_written() -> None:
    command = "sh -c 'echo no entry for pa/ss >&2; exit 1' x rtsp://one rtsp://user:pa%2Fss@cam/1"
    async with CommandPictures(command, timeout_s=5) as pictures:
        with pytest.raises(CameraError, match=r"no entry for \*\*\*$"):
            await anext(pictures.access_units())
