"""A camera's track as the peer sees it from the start; what it is made of, and with it WebRTC, is loaded only when the
camera is first watched, which spares a gateway without viewers half its memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from edged.cameras.rate import Rate

if TYPE_CHECKING:
    from metered_realtime.media.access_unit import AccessUnit
    from metered_realtime.media.encoded import EncodedVideoSource
    from metered_realtime.media.encoded_choice import EncodedVideoChoice

Codec = Literal["H264", "H265"]
_MIME_TYPES: dict[Codec, str] = {"H264": "video/H264", "H265": "video/H265"}


def _ignore() -> None:
    """Nobody asked to be told."""


class CameraTrack:
    """Has the shape that `MeteredPeer.add_stream` takes for a source of readers; lives as long as the camera.

    Every viewer is offered H.264 and H.265, and sent the camera's own (`follow`) if it takes that. What else there is
    of the two is pushed by whoever makes it. `on_demand` is told whether anybody reads, `on_read` that the readers of
    one codec came or went; `on_key_frame_wanted` says whether a key frame of this codec will be made.
    """

    kind = "video"
    mime_type = "video/H264"
    also_as = ("video/H265",)

    def __init__(
        self,
        *,
        on_demand: Callable[[bool], None],
        on_key_frame_wanted: Callable[[Codec], bool] | None = None,
        clock: Callable[[], float],
        new_group_after_s: float = 1.0,
        id: str | None = None,  # noqa: A002 - the name the track has in WebRTC
        on_read: Callable[[], None] = _ignore,
    ) -> None:
        self.id = id or str(uuid.uuid4())
        self._on_demand = on_demand
        self._on_key_frame_wanted = on_key_frame_wanted
        self._on_read = on_read
        self._clock = clock
        self._new_group_after_s = new_group_after_s
        self._rate = Rate()
        self._read: set[Codec] = set()
        self._own: Codec = "H264"
        self._sources: dict[Codec, EncodedVideoSource] = {}
        self._choice: EncodedVideoChoice | None = None

    @property
    def bps(self) -> float:
        """Bits per second of the camera's own pictures; of a camera that is closed, what it had last."""
        return self._rate.bps()

    @property
    def fps(self) -> float:
        """The camera's own pictures per second; of a camera that is closed, what it had last."""
        return self._rate.per_s()

    @property
    def viewers(self) -> int:
        """How many are sent the camera's pictures, in whatever codec, or wait for the first."""
        return sum(source.viewers for source in self._sources.values())

    @property
    def missed_by_viewers(self) -> int:
        """Pictures that viewers were not given because they did not keep up, all added up."""
        return sum(source.stats().dropped_units for source in self._sources.values())

    async def load(self) -> None:
        """Get ready for pictures; in a thread, for the first time takes seconds on a small board."""
        if self._choice is None:
            await asyncio.to_thread(import_module, "metered_realtime.media.encoded_choice")
            self._loaded()

    @property
    def own_codec(self) -> Codec:
        """What the camera sends, as far as it is known."""
        return self._own

    def is_read(self, codec: Codec) -> bool:
        """Whether somebody is sent, or waits for, this codec."""
        return codec in self._read

    def open_reader(self) -> Any:
        """Return a track for one peer. Whoever asks for it has a peer connection, and so has loaded WebRTC."""
        return self._loaded().open_reader()

    def open_codec(self, codec: Codec) -> Any:
        """Return a track that gives this codec alone."""
        self._loaded()
        return self._sources[codec].open_reader()

    def follow(self, codec: Codec) -> None:
        """The camera sends this codec from now on."""
        if codec != self._own:
            self._own = codec
            self.rebase(codec)
            self._loaded().prefer(_MIME_TYPES[codec])

    def push(self, unit: AccessUnit, codec: Codec | None = None) -> None:
        """Hand over the next picture: the camera's own, or of the codec that is named."""
        self._loaded()
        if codec in (None, self._own):
            self._rate.add(self._clock(), unit.size_bytes)
        self._sources[codec or self._own].push(unit)

    def rebase(self, codec: Codec | None = None) -> None:
        """The camera restarted or stopped: what comes next continues the timeline, with a key frame."""
        if codec in (None, self._own):
            self._rate.stopped()
        for each, source in self._sources.items():
            if codec in (None, each):
                source.rebase()

    def _watched(self, codec: Codec, watched: bool) -> None:
        before = bool(self._read)
        self._read = self._read | {codec} if watched else self._read - {codec}
        if bool(self._read) != before:
            self._on_demand(watched)
        self._on_read()

    def _key_frame_wanted(self, codec: Codec) -> bool:
        return self._on_key_frame_wanted is not None and self._on_key_frame_wanted(codec)

    def _loaded(self) -> EncodedVideoChoice:
        if self._choice is None:
            from metered_realtime.media.encoded import EncodedVideoSource  # noqa: PLC0415 - see the module
            from metered_realtime.media.encoded_choice import EncodedVideoChoice  # noqa: PLC0415 - as above

            for codec, mime_type in _MIME_TYPES.items():
                self._sources[codec] = EncodedVideoSource(
                    id=self.id,
                    mime_type=mime_type,
                    new_group_after_s=self._new_group_after_s,
                    on_demand=partial(self._watched, codec),
                    on_key_frame_wanted=partial(self._key_frame_wanted, codec),
                    clock=self._clock,
                )
            self._choice = EncodedVideoChoice(tuple(self._sources.values()), preferred=_MIME_TYPES[self._own])
        return self._choice
