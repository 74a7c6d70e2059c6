"""Key frames of one RTSP camera when a viewer needs one: asked for, paced, and given up when refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from edged.cameras.onvif import OnvifCamera, OnvifError
from edged.cameras.onvif_pace import OnvifPace

if TYPE_CHECKING:
    from metered_realtime.media.access_unit import AccessUnit

_MAX_PACES = 256
_paces: dict[tuple[str, int], OnvifPace] = {}

_log = logging.getLogger(__name__)


def pace_of(where: str, login: tuple[str, ...]) -> OnvifPace:
    """Return how a camera is asked. It outlives the camera's connections: one that locks logins is not tried anew,
    before its login is another one."""
    key = where, hash(login)
    pace = _paces.pop(key, None) or OnvifPace()
    _paces[key] = pace
    if len(_paces) > _MAX_PACES:
        del _paces[next(iter(_paces))]
    return pace


class OnvifKeyFrames:
    """Belongs to one connection of the camera; `aclose()` ends what is under way."""

    def __init__(
        self, name: str, camera: OnvifCamera, pace: OnvifPace, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._camera = camera
        self._pace = pace
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None

    def request(self, size: tuple[int, int] | None) -> bool:
        """A viewer needs a key frame. True where one is believed to come, False where replaying is the better help."""
        now_s = self._clock()
        if self._asking is None and self._pace.may_ask(now_s):
            self._asking = asyncio.create_task(self._ask(size), name=f"key frame of camera {self._name}")
        return self._pace.is_believed(now_s)

    async def watched(self, units: AsyncIterator[AccessUnit]) -> AsyncIterator[AccessUnit]:
        """Yield the camera's pictures, and see what comes of the asking."""
        async for unit in units:
            if unit.is_key:
                self._pace.key_frame_came(self._clock())
            yield unit

    async def aclose(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self, size: tuple[int, int] | None) -> None:
        try:
            await self._camera.set_synchronization_point(size)
            self._pace.done(self._clock())
        except OnvifError as error:
            self._camera.forget()
            is_news = self._pace.failed(self._clock(), str(error), is_refusal=error.is_refusal)
            level = logging.WARNING if is_news else logging.DEBUG
            _log.log(level, "camera %s gives no key frame by ONVIF: %s; its own are waited for", self._name, error)
        finally:
            self._asking = None
