"""A damaged film is played as far as it goes or refused with a sentence; it never hangs a camera or ends its thread."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.cameras.file_session import FileSession
from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.source_errors import SourceError
from tests.edged.cameras.clips import film
from tests.fuzz.material import FUZZ

PLAYED_S = 0.15
STOPPED_WITHIN_S = 2.0


class Sink:
    def __init__(self) -> None:
        self.items: list[Any] = []

    def unit_from_thread(self, unit: AccessUnit) -> None:
        self.items.append(unit)

    def frame_from_thread(self, frame: Any) -> None:
        self.items.append(frame)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    return {name: film(folder / f"film.{name}").read_bytes() for name in ("mp4", "h264")}


@settings(FUZZ, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data(), st.booleans())
async def test_a_damaged_film_is_played_or_refused(
    films: dict[str, bytes], tmp_path: Path, data: st.DataObject, decode: bool
) -> None:
    name = data.draw(st.sampled_from(sorted(films)))
    whole = bytearray(films[name])
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8)):
        whole[at] = byte
    file = tmp_path / f"damaged.{name}"
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    sink: Any = Sink()
    playing = asyncio.create_task(FileSession(str(file), decode=decode)(sink), name="player")
    await asyncio.wait([playing], timeout=PLAYED_S)
    playing.cancel()
    begin_s = time.monotonic()
    (result,) = await asyncio.gather(playing, return_exceptions=True)
    assert time.monotonic() - begin_s < STOPPED_WITHIN_S
    assert isinstance(result, SourceError | asyncio.CancelledError), repr(result)
