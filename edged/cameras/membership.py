"""One membership of a channel: who is there, what each member gets, and what is told to whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from edged.cameras.announcements import Announcements
from edged.cameras.errors import LinkLostError
from edged.cameras.handover import Handover
from edged.cameras.link_choice import LinkWaits
from edged.cameras.qualities import Qualities
from edged.cameras.watch_messages import GATEWAY_TYPE, WATCH_TYPE, WATCHING_TYPE, is_gateway
from edged.cameras.watchers import Watchers
from metered_realtime import (
    CodecsAgreed,
    ConnectionReset,
    Data,
    FatalError,
    MeteredPeer,
    MeteredRealtimeError,
    PeerJoined,
    PeerLeft,
    PeerLinkChange,
    RemotePeer,
    StateChange,
)

_log = logging.getLogger(__name__)
_CONNECTED = frozenset({"connected", "reconnecting"})


def _no_refusal(_news: str) -> None:
    return None


class Membership:
    """From before the peer joins to the link's end. `message_of` gives the present text of a piece of news,
    `cameras` are by name. `refusal_of` gives the text of it for members that do not take H.265, where it is another;
    `on_viewers` is told who watches, in words that go on a sentence, whenever that changes."""

    def __init__(
        self,
        peer: MeteredPeer,
        news: Announcements,
        cameras: Mapping[str, Qualities],
        message_of: Callable[[str], dict[str, Any]],
        *,
        refusal_of: Callable[[str], dict[str, Any] | None] = _no_refusal,
        on_viewers: Callable[[str], None] = lambda _viewers: None,
        waits: LinkWaits = LinkWaits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._peer = peer
        self._news = news
        self._cameras = cameras
        self._message_of = message_of
        self._refusal_of = refusal_of
        self._on_viewers = on_viewers
        self._viewers = ""
        self._watchers = Watchers(
            {name: "sub" in camera.streams for name, camera in cameras.items()},
            lowerable=lambda name: cameras[name].lowerable_bps,
            waits=waits,
        )
        self._handover = Handover(lambda name, quality: cameras[name].is_live(quality))
        self._remotes: dict[str, RemotePeer] = {}
        self._awake = asyncio.Event()
        self._link_moved = asyncio.Event()
        self._link_broke = False
        self._fatal: Exception | None = None
        peer.on(FatalError, self._end)
        peer.on(PeerJoined, self._arrived)
        peer.on(PeerLeft, self._gone)
        peer.on(PeerLinkChange, self._link_changed)
        peer.on(Data, self._heard)
        peer.on(StateChange, self._moved)

    def camera_changed(self) -> None:
        """A camera has a new state: there is something to tell, and who waited for it may be sent it."""
        for peer_id in self._handover.waiting:
            self._give(peer_id)
        self._awake.set()

    def end(self) -> None:
        """Nobody is there any more."""
        for peer_id in tuple(self._remotes):
            self._handover.gone(peer_id)
        self._keep_open()

    async def announce(self) -> None:
        """Tell what there is to tell, and give members what they ask for, until the link ends for good; raises what
        ended it."""
        self._news.rejoined()
        while self._fatal is None:
            told = self._next() if self._peer.state == "joined" else None
            if told is None:
                await self._until_awake()
                continue
            peer_id, message = told
            try:
                await (self._peer.send(message) if peer_id is None else self._peer.send_to(peer_id, message))
            except MeteredRealtimeError as error:
                # A viewer who left, or a link that is down: after that everything is told again.
                _log.debug("%s was not sent: %s", message["type"], error)
                if peer_id is not None and message["type"] == WATCHING_TYPE:
                    self._watchers.unheard(peer_id, message)
        raise self._fatal

    async def watch_link(self, detail: str, up: Callable[[str], None]) -> None:
        """One spell of the link, for `keep_running`: raises LinkLostError when it breaks. The first is up already."""
        if self._link_broke:
            await self._until_link("joined")
            up(detail)
        await self._until_link("reconnecting")
        self._link_broke = True
        raise LinkLostError("the connection to the hub is lost")

    def _next(self) -> tuple[str | None, dict[str, Any]] | None:
        if (answer := self._watchers.take(asyncio.get_running_loop().time())) is not None:
            self._give(answer[0])
            self._keep_open()
            self._count_viewers()
            return answer
        news = self._news.take()
        return None if news is None else (news[0], self._text_for(*news))

    def _text_for(self, peer_id: str | None, news: str) -> dict[str, Any]:
        """Members that cannot be shown a picture others see are told so, each by itself."""
        refusal = self._refusal_of(news)
        if refusal is not None and peer_id is None:
            for each in filter(self._lacks_h265, self._remotes):
                self._news.tell(each, news)
        is_refused = refusal is not None and peer_id is not None and self._lacks_h265(peer_id)
        return refusal if refusal is not None and is_refused else self._message_of(news)

    def _lacks_h265(self, peer_id: str) -> bool:
        codecs = self._remotes[peer_id].codecs if peer_id in self._remotes else ()
        return "video/H264" in codecs and "video/H265" not in codecs

    async def _until_awake(self) -> None:
        self._awake.clear()
        due_in_s = self._watchers.due_in_s(asyncio.get_running_loop().time()) if self._peer.state == "joined" else None
        try:
            async with asyncio.timeout(due_in_s):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _until_link(self, state: str) -> None:
        while self._peer.state != state:
            self._link_moved.clear()
            await self._link_moved.wait()

    def _give(self, peer_id: str) -> None:
        """Send a member what was chosen for it; what it has already goes on."""
        if (remote := self._remotes.get(peer_id)) is not None:
            given = self._handover.plan(peer_id, self._watchers.choice(peer_id))
            remote.choose_media([self._cameras[name].streams[one] for name, one in given.items() if one != "none"])

    def _keep_open(self) -> None:
        """Open what members wait for, and give up what nobody waits for any more."""
        awaited = self._handover.awaited
        for name, camera in self._cameras.items():
            for quality, picture in camera.cameras.items():
                picture.prepare(wanted=(name, quality) in awaited)

    def _count_viewers(self) -> None:
        # A program that takes readings alone is a member, too, and never answers an offer.
        connected = (peer_id for peer_id, remote in self._remotes.items() if remote.state in _CONNECTED)
        viewers, slow = self._watchers.counts(connected)
        words = f", {viewers} viewer{'' if viewers == 1 else 's'}" if viewers else ""
        words += f", {slow} on a slow link" if slow else ""
        if words != self._viewers:
            self._viewers = words
            self._on_viewers(words)

    # From the peer -----------------------------------------------------------------------------------

    def _end(self, event: FatalError) -> None:
        self._fatal = event.err
        self._awake.set()

    def _arrived(self, event: PeerJoined) -> None:
        peer_id = event.peer.id
        self._remotes[peer_id] = event.peer
        event.peer.on(ConnectionReset, lambda _: self._link_renewed(peer_id))
        event.peer.on(CodecsAgreed, lambda _: self._agreed(peer_id))
        event.peer.on(StateChange, lambda _: self._count_viewers())
        self._watchers.arrived(peer_id, is_gateway=is_gateway(event.peer.metadata))
        self._give(peer_id)
        self._news.arrived(peer_id)
        self._count_viewers()
        self._awake.set()

    def _agreed(self, peer_id: str) -> None:
        """It is known what a member takes."""
        if self._lacks_h265(peer_id):
            for news in self._news.all:
                if self._refusal_of(news) is not None:
                    self._news.tell(peer_id, news)
        self._awake.set()

    def _gone(self, event: PeerLeft) -> None:
        self._remotes.pop(event.peer.id, None)
        self._watchers.gone(event.peer.id)
        self._handover.gone(event.peer.id)
        self._news.gone(event.peer.id)
        self._count_viewers()
        self._keep_open()

    def _heard(self, event: Data) -> None:
        message = event.data
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == WATCH_TYPE:
            self._watchers.asked(event.sender_peer_id, message)
            self._awake.set()
        elif kind == GATEWAY_TYPE and self._watchers.is_gateway(event.sender_peer_id):
            self._give(event.sender_peer_id)
            self._keep_open()
            self._count_viewers()
            _log.info("member %s of the channel is another gateway: it is sent no picture", event.sender_peer_id)

    def _link_changed(self, event: PeerLinkChange) -> None:
        now_s = asyncio.get_running_loop().time()
        self._watchers.linked(event.peer.id, now_s, is_thin=event.link.is_thin)
        self._count_viewers()
        self._awake.set()

    def _link_renewed(self, peer_id: str) -> None:
        self._watchers.link_renewed(peer_id, asyncio.get_running_loop().time())
        self._count_viewers()
        self._awake.set()

    def _moved(self, event: StateChange) -> None:
        if event.to == "joined":
            self._news.rejoined()
        self._link_moved.set()
        self._awake.set()
