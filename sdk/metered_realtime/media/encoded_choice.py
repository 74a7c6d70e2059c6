"""One picture in several codecs: every peer gets it in one that it takes, with no negotiation when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from metered_realtime.media.encoded import EncodedVideoSource
from metered_realtime.media.encoded_reader import EncodedReader, UnitSink


class EncodedVideoChoice:
    """A track made of encoded sources of the same picture, for `MeteredPeer.add_track`/`add_stream`.

    ::

        h264, h265 = EncodedVideoSource(), EncodedVideoSource(mime_type="video/H265")
        peer.add_track(EncodedVideoChoice([h264, h265], preferred="video/H265"))

    Peers are offered all the codecs in one section, in the order of `sources`. Each is sent the preferred one if it
    takes that, else the first that it takes, else nothing; `on_demand` of a source tells when somebody is sent it. All
    calls belong to the event loop's thread. `preferred`: the first, if it is not given. Raises ValueError for no
    sources, for two of one codec, for VP8 and for a `preferred` that is none of them.
    """

    kind = "video"

    def __init__(self, sources: Sequence[EncodedVideoSource], *, preferred: str | None = None) -> None:
        self._sources = {source.mime_type: source for source in sources}
        if not sources or len(self._sources) != len(sources) or "video/VP8" in self._sources:
            raise ValueError("sources must be one or more EncodedVideoSource of different codecs, none of them VP8")
        self.id = sources[0].id
        self.mime_type, *also_as = self._sources
        self.also_as = tuple(also_as)
        self._preferred = self._known(preferred or self.mime_type)
        self._readers: set[ChoiceReader] = set()

    @property
    def preferred(self) -> str:
        """The MIME type of what peers are sent that take it."""
        return self._preferred

    def prefer(self, mime_type: str) -> None:
        """Send this one to every peer that takes it, from its next key frame on. Raises ValueError for an unknown."""
        self._preferred = self._known(mime_type)
        for reader in tuple(self._readers):
            reader.turn()

    def open_reader(self) -> MediaStreamTrack:
        """Return a track for one peer; until it is told what the peer takes it gives nothing."""
        return ChoiceReader(self)

    def open_tap(self, *, max_queued: int | None = None) -> MediaStreamTrack:
        """Return a reader that stays with one codec, as files need it: H.264 if there is any."""
        return self._sources.get("video/H264", self._sources[self._preferred]).open_reader()

    def pick(self, agreed: Collection[str]) -> EncodedVideoSource | None:
        """Return what a peer is sent that takes these codecs; None: nothing."""
        order = (self._preferred, *self._sources)
        return next((self._sources[each] for each in order if each in agreed), None)

    def joined(self, reader: ChoiceReader) -> None:
        """A reader is told when another source is preferred."""
        self._readers.add(reader)

    def left(self, reader: ChoiceReader) -> None:
        """A reader has ended."""
        self._readers.discard(reader)

    def _known(self, mime_type: str) -> str:
        if mime_type not in self._sources:
            raise ValueError(f"preferred must be one of {', '.join(self._sources)}, not {mime_type!r}")
        return mime_type


class ChoiceReader(MediaStreamTrack):
    """One peer's view of a choice: that of `EncodedReader`, of one source at a time."""

    kind = "video"

    def __init__(self, choice: EncodedVideoChoice) -> None:
        super().__init__()
        self._choice = choice
        self._agreed: tuple[str, ...] | None = None
        self._source: EncodedVideoSource | None = None
        self._reader: EncodedReader | None = None
        self._turned = asyncio.Event()

    @property
    def id(self) -> str:
        return self._choice.id

    @property
    def mime_type(self) -> str | None:
        """What is read at the moment."""
        return None if self._source is None else self._source.mime_type

    def agree(self, mime_types: Collection[str]) -> None:
        """The peer takes these codecs."""
        self._agreed = tuple(mime_types)
        if self.readyState == "live":
            self._choice.joined(self)
            self.turn()

    def turn(self) -> None:
        """Read what is best now."""
        source = None if self._agreed is None else self._choice.pick(self._agreed)
        if source is self._source or self.readyState != "live":
            return
        before, self._source = self._reader, source
        self._reader = None if source is None else source.open_reader()
        if before is not None:
            if self._reader is not None:
                self._reader.start()  # so that a camera which feeds both is not let go of between them
            before.stop()
        self._turned.set()

    async def feed(self, sink: UnitSink) -> None:
        """Call `sink` for each unit until another source, on a clock of its own, goes on; MediaStreamError ends it."""
        reader = await self._present()
        try:
            await reader.feed(sink)
        except MediaStreamError:
            if reader is self._reader:
                raise

    async def recv(self) -> Any:
        """Return the next packet; who was never told of any codecs is taken to take them all."""
        if self._agreed is None:
            self.agree((self._choice.mime_type, *self._choice.also_as))
        while True:
            reader = await self._present()
            try:
                return await reader.recv()
            except MediaStreamError:
                if reader is self._reader:
                    raise

    async def _present(self) -> EncodedReader:
        while self._reader is None:
            if self.readyState != "live":
                raise MediaStreamError
            self._turned.clear()
            await self._turned.wait()
        return self._reader

    def request_key_frame(self) -> None:
        """Ask for a picture that needs no other."""
        self._ask(EncodedReader.request_key_frame)

    def await_key_frame(self) -> None:
        """Whoever reads takes up again with the next key frame, and could do so now."""
        self._ask(EncodedReader.await_key_frame)

    def lagged(self) -> None:
        """Whoever reads could not take what it was given."""
        self._ask(EncodedReader.lagged)

    def _ask(self, what: Callable[[EncodedReader], None]) -> None:
        if self._reader is not None:
            what(self._reader)

    def stop(self) -> None:
        super().stop()
        self._choice.left(self)
        if self._reader is not None:
            self._reader.stop()
        self._turned.set()
