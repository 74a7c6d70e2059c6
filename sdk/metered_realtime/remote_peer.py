"""`RemotePeer`: one other member of the channel as the application sees it, whatever happens to the connection."""

from __future__ import annotations

from typing import Any, Protocol

from metered_realtime.emitter import Emitter
from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.logger import Logger
from metered_realtime.media_choice import Media
from metered_realtime.options import PeerConnectionState
from metered_realtime.stats import PeerLink, PeerStats


class Link(Protocol):
    """What a remote peer is attached to."""

    state: PeerConnectionState
    metadata: dict[str, Any] | None
    codecs: frozenset[str]

    @property
    def polite(self) -> bool: ...
    @property
    def pc(self) -> Any: ...
    @property
    def link(self) -> PeerLink | None: ...
    async def send(self, data: Any) -> None: ...
    def create_data_channel(self, label: str, **parameters: Any) -> Any: ...
    def choose_media(self, media: Media | None) -> None: ...
    async def stats(self) -> PeerStats: ...


class RemotePeer(Emitter):
    """A member of the channel; made by `MeteredPeer`, found in `PeerJoined`.

    Emits `StateChange`, `Track`, `StreamAdded`, `StreamRemoved`, `ConnectionReset`, `DataChannelOpened`,
    `CodecsAgreed`, `NegotiationError`, `IceCandidateError`, `PeerLinkChange`. After the connection was renewed, tracks
    and streams are announced anew with new objects.
    """

    def __init__(self, peer_id: str, link: Link, *, logger: Logger | None = None) -> None:
        super().__init__(logger=logger)
        self.id = peer_id
        self._link = link

    def __repr__(self) -> str:
        return f"RemotePeer({self.id!r}, {self.state})"

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the peer's token says about it publicly, as of the last list of members."""
        return self._link.metadata

    @property
    def state(self) -> PeerConnectionState:
        """`idle` (nothing to exchange yet), `connecting`, `connected`, `reconnecting` or `closed`."""
        return self._link.state

    @property
    def polite(self) -> bool:
        """Whether our side gives way when two offers cross: our peer id is the smaller one."""
        return self._link.polite

    @property
    def codecs(self) -> frozenset[str]:
        """The MIME types that the peer takes of those it was offered for what it is sent; empty before its first word.

        What it was not offered is not among them. `CodecsAgreed` tells of changes.
        """
        return self._link.codecs

    @property
    def pc(self) -> Any:
        """The aiortc RTCPeerConnection. Another one after each renewal: read it again at `connected`."""
        return self._link.pc

    @property
    def link(self) -> PeerLink | None:
        """What is known of the way to the peer at this moment; None while nothing has been reported.

        A thin link is sent less: of each group of pictures of an H.264 track only as much from its start as it takes.
        `PeerLinkChange` tells when `is_thin` changes.
        """
        return self._link.link

    async def send(self, data: Any) -> None:
        """Send any JSON value to this peer through the service.

        Raises as `MeteredPeer.send_to`, and MeteredRealtimeError once the peer has left.
        """
        self._check_present()
        await self._link.send(data)

    def create_data_channel(self, label: str, **kwargs: Any) -> Any:
        """Open a data channel and return aiortc's RTCDataChannel; wrap it in `DataChannel` for sends that wait.

        Keywords as of `RTCPeerConnection.createDataChannel`. The channel ends with the present connection. Raises
        MeteredRealtimeError once the peer has left.
        """
        self._check_present()
        return self._link.create_data_channel(label, **kwargs)

    def choose_media(self, media: Media | None) -> None:
        """Send this peer exactly these of the tracks and `MediaStream`s that we send, or will; None: all of them.

        May be called at any time, also before anything is sent; a plain (not coroutine) `PeerJoined` handler calls it
        before the peer is told of any track. A track that no peer gets is not read. The choice holds for as long as
        the peer is a member, and follows `replace_track`. Raises TypeError for what is neither track nor stream.
        """
        self._link.choose_media(media)

    async def stats(self) -> PeerStats:
        """Return how the connection does at this moment: path, round trip, and counters and rates per track.

        Rates are computed since the call before. While there is no connection the counters are 0; raises nothing.
        """
        return await self._link.stats()

    def _check_present(self) -> None:
        if self.state == "closed":
            raise MeteredRealtimeError(f"peer {self.id} has left")
