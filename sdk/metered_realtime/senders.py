"""The sections of one connection that we send in: a permanent sender each, whose track may change or be none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from metered_realtime import aiortc_adapter, aiortc_codecs
from metered_realtime.description import SessionFacts
from metered_realtime.errors import MeteredRealtimeError
from metered_realtime.local_media import LocalTrack
from metered_realtime.media.source import SenderTrack

# Beyond this many unused sections of a kind, a new track takes over an old section, though some receivers then keep
# the old track id for it.
MAX_IDLE = 8


@dataclass(slots=True, eq=False)
class Sender:
    """One section of ours. `told` is whether the last description we gave says that it sends."""

    kind: str
    mime_type: str | None
    track_id: str
    stream_id: str | None
    track: SenderTrack
    local: LocalTrack | None
    transceiver: Any = None
    told: bool = False
    is_refused: bool = False
    prior_mid: str | None = None
    also_as: tuple[str, ...] = ()

    @property
    def mid(self) -> str | None:
        """The section's mid, once it has been offered."""
        return self.transceiver.mid if self.transceiver is not None else None

    @property
    def needs_offer(self) -> bool:
        """Whether the other side does not know yet what we want."""
        if self.is_refused:
            return False
        return (self.local is not None) != self.told


@dataclass(slots=True)
class Senders:
    """All sections of ours in one connection, oldest first."""

    _all: list[Sender] = field(default_factory=list)
    _is_paused: bool = False

    def __iter__(self) -> Any:
        return iter(self._all)

    def sync(self, wanted: Iterable[LocalTrack]) -> None:
        """Send exactly `wanted`: what is not in it falls silent at once, what is new gets a section."""
        wanted = list(wanted)
        for sender in self._all:
            if sender.local is not None and sender.local not in wanted:
                sender.local = None
                sender.track.switch(None)
        served = [sender.local for sender in self._all]
        for local in wanted:
            if local not in served:
                self._assign(local)

    def pause(self) -> None:
        """The path is lost: read no source, as if the other side were not there, until `resume()`."""
        self._is_paused = True
        for sender in self._all:
            sender.track.switch(None)

    def resume(self) -> None:
        """There is a path again: encoded pictures begin with a key frame."""
        if self._is_paused:
            self._is_paused = False
            for sender in self._all:
                self._feed(sender)

    def _feed(self, sender: Sender) -> None:
        if sender.local is not None and not self._is_paused:
            sender.track.switch(sender.local.source.open_reader())

    def replace(self, old: LocalTrack, new: LocalTrack) -> bool:
        """Put `new` behind the section that sends `old`. False where that takes another codec, and so a new section."""
        sender = next((each for each in self._all if each.local is old), None)
        if sender is None or sender.is_refused or not _fits(sender, new):
            return False
        sender.local = new
        self._feed(sender)
        return True

    def refusal(self, local: LocalTrack) -> MeteredRealtimeError | None:
        """Return why the track is not sent, as far as that is known: nobody here, or not the other side, speaks it."""
        sender = next((each for each in self._all if each.local is local), None)
        if sender is not None and sender.is_refused:
            codec = sender.mime_type or "any codec we have"
            return MeteredRealtimeError(f"the {local.kind} track {local.track_id} is not sent: {codec} was refused")
        try:
            aiortc_codecs.codec_preferences(local.kind, local.mime_type, local.also_as)
        except aiortc_codecs.UnsupportedCodecError as error:
            return error
        return None

    def _assign(self, local: LocalTrack) -> None:
        refused = next((each for each in self._all if _has_refused(each, local)), None)
        if refused is not None:  # another section would be refused as well
            refused.local, refused.track_id, refused.stream_id = local, local.track_id, local.stream_id
            return
        idle = [each for each in self._all if each.local is None and not each.is_refused and _fits(each, local)]
        same = next((each for each in idle if each.track_id == local.track_id), None)
        sender = same if same is not None else idle[0] if len(idle) >= MAX_IDLE else None
        if sender is None:
            track = SenderTrack(local.kind)
            sender = Sender(local.kind, local.mime_type, local.track_id, local.stream_id, track, None)
            sender.also_as = local.also_as
            self._all.append(sender)
        sender.local = local
        sender.track_id, sender.stream_id = local.track_id, local.stream_id
        self._feed(sender)
        if sender.transceiver is not None:
            aiortc_adapter.set_msid(sender.transceiver.sender, sender.stream_id, sender.track_id)

    def adopt(self, before: Senders) -> None:
        """Take over what an earlier connection sent, with the mids it had there."""
        for earlier in before._all:
            if earlier.local is not None:
                self._assign(earlier.local)
                self._all[-1].prior_mid = earlier.mid or earlier.prior_mid

    def open_sections(self, pc: Any) -> list[Sender]:
        """Give every sender that has something to send a section; returns those whose codec nobody here speaks."""
        refused = []
        for sender in self._all:
            if sender.transceiver is not None or sender.local is None or sender.is_refused:
                continue
            try:
                self.open_section(pc, sender)
            except aiortc_codecs.UnsupportedCodecError:
                sender.is_refused = True
                refused.append(sender)
        return refused

    def open_section(self, pc: Any, sender: Sender) -> Any:
        """Give the sender its section, and return the transceiver. Raises UnsupportedCodecError."""
        sender.transceiver = aiortc_adapter.add_sender(pc, sender.track, sender.mime_type, sender.also_as)
        aiortc_adapter.set_msid(sender.transceiver.sender, sender.stream_id, sender.track_id)
        return sender.transceiver

    def set_directions(self) -> None:
        """Bring the directions of our sections in line with whether they have something to send."""
        for sender in self._all:
            if sender.transceiver is None:
                continue
            receives = sender.transceiver.direction in ("sendrecv", "recvonly")
            if sender.local is not None:
                sender.transceiver.direction = "sendrecv" if receives else "sendonly"
            else:
                sender.transceiver.direction = "recvonly" if receives else "inactive"

    def settle(self, ours: SessionFacts, theirs: SessionFacts) -> list[Sender]:
        """Note what both descriptions say now; returns the senders the other side has just refused."""
        told = {section.mid: section.is_sending for section in ours.sections}
        rejected = {section.mid for section in theirs.sections if section.is_rejected}
        refused = []
        for sender in self._all:
            if sender.mid is None:
                continue
            sender.told = told.get(sender.mid, False)
            if sender.mid in rejected and not sender.is_refused:
                sender.is_refused = True
                refused.append(sender)
        return refused

    @property
    def codecs(self) -> frozenset[str]:
        """The MIME types that both sides agreed on in the sections we send in."""
        agreed = (each.transceiver for each in self._all if each.told and not each.is_refused)
        return frozenset(name for transceiver in agreed for name in aiortc_codecs.agreed_codecs(transceiver))

    def stop(self) -> None:
        """Stop reading every source."""
        for sender in self._all:
            sender.track.stop()


def _has_refused(sender: Sender, local: LocalTrack) -> bool:
    """A section for this one codec was refused, and is not used by another track."""
    is_alike = (sender.kind, sender.mime_type, sender.also_as) == (local.kind, local.mime_type, local.also_as)
    return sender.is_refused and sender.local is None and is_alike and local.mime_type is not None


def _fits(sender: Sender, local: LocalTrack) -> bool:
    # A section of several codecs may have ended with one in which this track cannot be sent.
    is_as_wide = local.also_as == sender.also_as
    return sender.kind == local.kind and local.mime_type in (None, sender.mime_type) and is_as_wide
