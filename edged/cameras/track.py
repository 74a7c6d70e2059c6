"""A camera's track as the peer sees it from the start; what it is made of, and with it WebRTC, is loaded only when the
camera is first watched, which spares a gateway without viewers half its memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edged.cameras.rate import Rate

if TYPE_CHECKING:
    from metered_realtime.media.access_unit import AccessUnit
    from metered_realtime.media.encoded import EncodedVideoSource


class CameraTrack:
    """Has the shape that `MeteredPeer.add_stream` takes for a source of readers; lives as long as the camera."""

    kind = "video"
    mime_type = "video/H264"

    def __init__(
        self,
        *,
        on_demand: Callable[[bool], None],
        on_key_frame_wanted: Callable[[], bool] | None = None,
        clock: Callable[[], float],
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
    ) -> None:
        self.id = id or str(uuid.uuid4())
        self._on_demand = on_demand
        self._on_key_frame_wanted = on_key_frame_wanted
        self._clock = clock
        self._source: EncodedVideoSource | None = None
        self._rate = Rate()

    @property
    def bps(self) -> float:
        """Bits per second of the pictures; of a camera that is closed, what it had last."""
        return self._rate.bps()

    @property
    def missed_by_viewers(self) -> int:
        """Pictures that viewers were not given because they did not keep up, all added up."""
        return 0 if self._source is None else self._source.stats().dropped_units

    async def load(self) -> None:
        """Get ready for pictures; in a thread, for the first time takes seconds on a small board."""
        if self._source is None:
            await asyncio.to_thread(import_module, "metered_realtime.media.encoded")
            self._loaded()

    def open_reader(self) -> Any:
        """Return a track for one peer. Whoever asks for it has a peer connection, and so has loaded WebRTC."""
        return self._loaded().open_reader()

    def push(self, unit: AccessUnit) -> None:
        """Hand over the next picture."""
        self._rate.add(self._clock(), unit.size_bytes)
        self._loaded().push(unit)

    def rebase(self) -> None:
        """The camera restarted or stopped: what comes next continues the timeline, with a key frame."""
        if self._source is not None:
            self._source.rebase()

    def _loaded(self) -> EncodedVideoSource:
        if self._source is None:
            from metered_realtime.media.encoded import EncodedVideoSource  # noqa: PLC0415 - see the module

            self._source = EncodedVideoSource(
                id=self.id,
                on_demand=self._on_demand,
                on_key_frame_wanted=self._on_key_frame_wanted,
                clock=self._clock,
            )
        return self._source
