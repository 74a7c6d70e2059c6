"""One RTCPeerConnection's life: its senders, its receivers, and the descriptions exchanged for it. Used once.

Loads aiortc, so it is imported with the first connection. Which description comes when is `negotiation`'s decision.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metered_realtime import aiortc_adapter, aiortc_offers, aiortc_stats
from metered_realtime.description import SessionFacts, read_description
from metered_realtime.local_media import LocalTrack
from metered_realtime.negotiation_actions import Need
from metered_realtime.receivers import MediaChange, ReceivedMedia, Receivers
from metered_realtime.sdp_rewrite import usable_candidate
from metered_realtime.senders import Sender, Senders
from metered_realtime.stats import ConnectionSample, PeerLink
from metered_realtime.trickle import CandidateInit, Trickle

if TYPE_CHECKING:
    from metered_realtime.connection_performer import SessionOptions

# aiortc's close waits for the other side's DTLS and ICE, which may be gone.
CLOSE_TIMEOUT_S = 2.0
# Per description of the other side (protocol section 13.2).
MAX_CANDIDATES = 200
MAX_CANDIDATE_CHARS = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionEvents:
    """Whom a session tells. None of these is called after `aclose` began."""

    state_changed: Callable[[RtcSession, str], None]
    media_changed: Callable[[MediaChange], None]
    channel_opened: Callable[[Any], None]
    candidate_found: Callable[[RtcSession, CandidateInit], None]
    path_changed: Callable[[RtcSession, bool], None]
    link_changed: Callable[[RtcSession, PeerLink], None]


class RtcSession:
    """A connection and what belongs to it alone. `layout` and `earlier` come from the session it replaces."""

    def __init__(
        self,
        options: SessionOptions,
        events: SessionEvents,
        new_mid: Callable[[], str],
        *,
        layout: Sequence[tuple[str, str]] = (),
        earlier: Sequence[str] = (),
    ) -> None:
        self._events = events
        self._new_mid = new_mid
        self._layout = layout
        self._earlier = earlier
        self._ice_servers = options.ice_servers
        self._made: aiortc_offers.MadeOffer | None = None
        self._trickle = Trickle()
        self._told_layout: tuple[tuple[str, str], ...] = ()
        self._told_mids: dict[Any, str] = {}
        self._candidates = 0
        self._remote_ufrag = ""
        self._is_closing = False
        self.senders = Senders()
        self._receivers = Receivers(self._track_ended, options.receives)
        self.pc = aiortc_adapter.open_connection(
            options.ice_servers(),
            relay_only=options.relay_only,
            ssl_context=options.ssl_context,
            on_candidate=self._candidate_found,
            on_path=self._path_changed,
            on_link=self._link_changed,
        )
        self.pc.on("connectionstatechange", self._state_changed)
        self.pc.on("track", self._track_opened)
        self.pc.on("datachannel", self._channel_opened)

    # State -----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """One of new, connecting, connected, failed (the path is lost) and closed (the other side closed it)."""
        return aiortc_adapter.connection_state(self.pc)

    @property
    def is_usable(self) -> bool:
        """Whether descriptions can still be applied."""
        return self.pc.signalingState != "closed"

    @property
    def can_restart(self) -> bool:
        """Whether the connection lives, so that a new path is of use to it."""
        return self.is_usable and self.state in ("connecting", "connected")

    @property
    def need(self) -> Need:
        """What the other side has not been told."""
        if not self.is_usable:
            return "nothing"
        layout_is_open = bool(self._layout) and not self._has_remote
        if layout_is_open or any(sender.needs_offer for sender in self.senders):
            return "media"
        return "channel" if aiortc_adapter.channel_needs_offer(self.pc) else "nothing"

    @property
    def offered_layout(self) -> bool:
        """Whether sections of an earlier connection were opened that the other side has not confirmed."""
        return bool(self._layout) and not self._has_remote and bool(self.pc.getTransceivers())

    @property
    def descriptions(self) -> tuple[str, ...]:
        """The descriptions in force, ours first."""
        return tuple(text for text in (aiortc_adapter.local_sdp(self.pc), aiortc_adapter.remote_sdp(self.pc)) if text)

    @property
    def layout(self) -> tuple[tuple[str, str], ...]:
        """Kind and mid of each section the other side holds, or may hold, in order."""
        remote = aiortc_adapter.remote_sdp(self.pc)
        held = read_description(remote).layout if remote else tuple(self._layout)
        # What we offered last may have been answered, and the answer lost.
        return self._told_layout if self._told_layout[: len(held)] == held else held

    @property
    def _has_remote(self) -> bool:
        return bool(aiortc_adapter.remote_sdp(self.pc))

    # Our media -------------------------------------------------------------------------------------

    def sync(self, wanted: Iterable[LocalTrack]) -> None:
        """Send exactly these tracks."""
        self.senders.sync(wanted)

    async def make_offer(
        self, channel_mid: str | None, *, with_channel: bool, restart: bool = False
    ) -> tuple[str | None, list[Sender]]:
        """Make an offer of all that is wanted; returns it, or None, and the senders that cannot be offered.

        `restart`: it also asks for a new path.
        """
        layout = self._layout if not self._has_remote else ()
        if layout:
            self._open_layout()
            with_channel = with_channel or any(kind == "application" for kind, _ in layout)
        refused = self.senders.open_sections(self.pc)
        self._set_directions()
        opens_channel = with_channel and (self.pc.sctp is not None or channel_mid is not None)
        if not self.pc.getTransceivers() and not opens_channel:
            return None, refused
        self._made = await aiortc_offers.make_offer(
            self.pc,
            new_mid=self._new_mid,
            layout=layout,
            channel_mid=channel_mid,
            with_channel=with_channel,
            earlier=self._earlier,
            restart=tuple(self._ice_servers()) if restart else None,
            told_mids=self._told_mids,
        )
        return self._made.sdp, refused

    def _set_directions(self) -> None:
        self.senders.set_directions()
        self._receivers.set_directions(self.pc.getTransceivers())

    def _open_layout(self) -> None:
        """Open the sections the other side may still hold, in its order, before any other."""
        opened = {sender.prior_mid: sender for sender in self.senders if sender.transceiver is None}
        if self.pc.getTransceivers():
            return
        for kind, mid in self._layout:
            if kind == "application":
                aiortc_adapter.require_channel_section(self.pc)
            elif mid in opened and opened[mid].kind == kind:
                self.senders.open_section(self.pc, opened[mid])
            else:
                aiortc_adapter.add_receiver(self.pc, kind)

    def take_back_offer(self) -> None:
        """Forget the pending offer."""
        for sender in self.senders:
            sender.prior_mid = self._told_mids.get(sender.transceiver, sender.prior_mid)
        if self._made is not None:
            aiortc_offers.take_back(self.pc, self._made)
            self._made = None

    # The other side's descriptions -------------------------------------------------------------------

    async def take_offer(self, sdp: str, facts: SessionFacts, *, restart: bool = False) -> tuple[str, list[Sender]]:
        """Apply an offer and return the answer, and the senders it refuses. `restart`: both look for a new path."""
        if not self._has_remote:
            self._bind_sections(facts)
        try:
            if restart:
                await aiortc_adapter.begin_restart(self.pc, tuple(self._ice_servers()))
                await aiortc_adapter.follow_restart(self.pc, sdp)
            await aiortc_adapter.apply_offer(self.pc, sdp)
        except Exception:
            if restart:
                aiortc_adapter.undo_restart(self.pc)  # the other side will never hear of the new credentials
            raise
        self._set_directions()
        self._announce(facts)
        answer = await aiortc_adapter.make_answer(self.pc, sdp)
        return answer, self.senders.settle(read_description(answer), facts)

    def _bind_sections(self, facts: SessionFacts) -> None:
        """In a new connection, send in the same sections of the other side's session as before."""
        places = {section.mid: (index, section) for index, section in enumerate(facts.sections)}
        for sender in self.senders:
            index, section = places.get(sender.prior_mid or "", (0, None))
            if section is None or section.kind != sender.kind or sender.transceiver is not None:
                continue
            transceiver = self.senders.open_section(self.pc, sender)
            aiortc_adapter.bind_section(transceiver, section.mid, index)

    async def take_answer(self, sdp: str, facts: SessionFacts) -> list[Sender]:
        """Apply the answer to our offer; returns the senders it refuses."""
        if self._made is not None and self._made.is_restart:
            await aiortc_adapter.follow_restart(self.pc, sdp)
        await aiortc_adapter.apply_answer(self.pc, sdp)
        self._made = None
        refused = self.senders.settle(read_description(aiortc_adapter.local_sdp(self.pc)), facts)
        self._announce(facts)
        return refused

    def _announce(self, facts: SessionFacts) -> None:
        self._candidates = 0
        self._remote_ufrag = facts.ufrag
        change = self._receivers.settle(facts)
        if change.added or change.removed:
            self._events.media_changed(change)

    async def start_media(self) -> None:
        """The connection is up: start what was negotiated while it was coming up."""
        if self.state == "connected":
            await aiortc_adapter.start_media(self.pc)

    @property
    def lacks_candidates(self) -> bool:
        """Whether connecting waits for a candidate of ours; with the first one `connect` has to be called."""
        return self.is_usable and aiortc_adapter.lacks_candidates(self.pc)

    async def connect(self) -> None:
        """Connect, with candidates that came after both descriptions. Returns when that is done or has failed."""
        await aiortc_adapter.start_media(self.pc)

    async def add_candidate(self, init: dict[str, Any] | None) -> None:
        """Add a trickled candidate (RTCIceCandidateInit), if it is of use. Raises ValueError where it cannot be read.

        The end of candidates is not passed on: a browser whose own were all useless is still to be heard.
        """
        text, ufrag = (init or {}).get("candidate"), (init or {}).get("usernameFragment")
        if not isinstance(text, str) or not text or len(text) > MAX_CANDIDATE_CHARS or not self._has_remote:
            return
        if isinstance(ufrag, str) and ufrag != self._remote_ufrag:
            return  # of an offer that gave way to ours
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES or not usable_candidate(text):
            return
        try:
            await aiortc_adapter.add_candidate(self.pc, text)
        except (AssertionError, IndexError) as error:
            raise ValueError(str(error)) from None

    async def sample(self) -> ConnectionSample:
        """Return what the connection has counted until now."""
        places = {each.mid: each for each in self.pc.getTransceivers() if each.mid is not None}
        sent = [
            aiortc_stats.CountedTrack("send", each.track_id, each.transceiver)
            for each in self.senders
            if each.local is not None and not each.is_refused
        ]
        received = [
            aiortc_stats.CountedTrack("receive", each.track.id, places.get(each.mid)) for each in self._receivers
        ]
        return await aiortc_stats.sample(self.pc, [*sent, *received])

    # Our candidates ----------------------------------------------------------------------------------

    def described(self, sdp: str) -> list[CandidateInit]:
        """A description of ours goes out; returns the candidates to send right behind it."""
        facts = read_description(sdp)
        self._told_layout = facts.layout
        if self._made is not None and self._made.sdp == sdp:
            self._told_mids.update(self._made.new_mids)
        return self._trickle.described(facts, sdp)

    def _candidate_found(self, candidate: str | None) -> None:
        for init in self._trickle.found(aiortc_adapter.local_ufrag(self.pc), candidate):
            if not self._is_closing:
                self._events.candidate_found(self, init)

    def _path_changed(self, is_found: bool) -> None:
        if not self._is_closing:
            if is_found:
                self.senders.resume()
            else:
                self.senders.pause()
            self._events.path_changed(self, is_found)

    @property
    def link(self) -> PeerLink | None:
        """What is known of the way to the other side at this moment."""
        return self.pc.link_meter.link

    def _link_changed(self, link: PeerLink) -> None:
        if not self._is_closing:
            self._events.link_changed(self, link)

    # aiortc's events ---------------------------------------------------------------------------------

    def _state_changed(self) -> None:
        if not self._is_closing:
            self._events.state_changed(self, self.state)

    def _track_opened(self, track: Any) -> None:
        for transceiver in self.pc.getTransceivers():
            if transceiver.receiver.track is track and transceiver.mid is not None:
                self._receivers.connect(transceiver.mid, transceiver.receiver)

    def _channel_opened(self, channel: Any) -> None:
        if not self._is_closing:
            self._events.channel_opened(channel)

    def _track_ended(self, media: ReceivedMedia) -> None:
        # Where the whole transport ended, the stream is interrupted: another session will bring it again.
        if not self._is_closing and self.is_usable and aiortc_adapter.is_transport_up(self.pc):
            self._events.media_changed(MediaChange(removed=(media,)))

    # End ---------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Be silent from now on: no events, no source read, every received track ended. `aclose` does the rest."""
        self._is_closing = True
        self.senders.stop()
        self._receivers.stop()

    async def aclose(self) -> None:
        """Close the connection; the other side is told by DTLS."""
        self.abandon()
        try:
            await asyncio.wait_for(self.pc.close(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            _log.debug("a peer connection did not close within %s s", CLOSE_TIMEOUT_S)
