"""Local offers with what aiortc lacks for them: own mids and order, rollback, ICE restart (RFC 8829, RFC 9429).

With `aiortc_adapter` the place of aiortc's private names; `tests/sdk/test_aiortc_offers.py` is the contract.
"""

from __future__ import annotations

# ruff: noqa: SLF001 - keeping aiortc's private names in one place is what these files are for
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from aiortc import RTCRtpTransceiver, RTCSessionDescription

from metered_realtime.aiortc_adapter import (
    PeerConnection,
    begin_restart,
    channel_needs_offer,
    ice_transport,
    local_sdp,
    remote_sdp,
    require_channel_section,
    role_is_set,
    undo_restart,
)
from metered_realtime.description import read_description
from metered_realtime.ice_servers import IceServerConfig
from metered_realtime.sdp_rewrite import arrange_offer, drop_end_of_candidates, pin_numbers, say_trickle


@dataclass(slots=True)
class MadeOffer:
    """What making an offer changed, so that `take_back` can undo it."""

    new_transceivers: list[RTCRtpTransceiver]
    codecs: list[tuple[RTCRtpTransceiver, Any, Any]]
    channel_mid_before: str | None
    role_was_open: bool
    is_restart: bool
    sdp: str = ""
    new_mids: dict[RTCRtpTransceiver, str] = field(default_factory=dict)


async def make_offer(
    pc: PeerConnection,
    *,
    new_mid: Callable[[], str],
    layout: Sequence[tuple[str, str]] = (),
    channel_mid: str | None = None,
    with_channel: bool = True,
    earlier: Sequence[str] = (),
    restart: Sequence[IceServerConfig] | None = None,
    told_mids: Mapping[RTCRtpTransceiver, str] | None = None,
) -> MadeOffer:
    """Make a local offer with the candidates of this host; `sdp` of the result is what to send.

    `layout` (kind, mid): the sections of an earlier connection, which come first and in this order. `channel_mid`
    names the section for data channels; without `with_channel` none is opened. `earlier`: descriptions whose codec
    and extension numbers must be kept. `restart`: look for a new path, with these servers.
    `told_mids`: of sections in offers that were taken back, though the other side may have answered them.
    """
    if channel_mid is not None:
        require_channel_section(pc)
    transceivers = pc.getTransceivers()
    made = MadeOffer(
        new_transceivers=[each for each in transceivers if each.mid is None],
        codecs=[(each, each._codecs, each._headerExtensions) for each in transceivers if each.mid is not None],
        channel_mid_before=pc.sctp.mid if pc.sctp is not None else None,
        role_was_open=not role_is_set(pc),
        is_restart=restart is not None,
    )
    held = [text for text in (local_sdp(pc), remote_sdp(pc)) if text]
    try:
        if restart is not None:
            await begin_restart(pc, restart)
        hidden = None if with_channel or not channel_needs_offer(pc) else pc.sctp
        if hidden is not None:
            hidden.mid = " "  # aiortc opens a section for any data channel without a mid
        raw = (await pc.createOffer()).sdp
        if hidden is not None:
            hidden.mid = None
        # aiortc has just reset these to its own tables, and a receiver that starts now would use them.
        _restore_codecs(made)
        order = _arrangement(pc, raw, layout, new_mid=new_mid, channel_mid=channel_mid, told_mids=told_mids or {})
        by_index = {each._get_mline_index(): each for each in transceivers}
        for place, (index, _) in enumerate(order):
            if index in by_index:
                by_index[index]._set_mline_index(place)
            else:
                pc._RTCPeerConnection__sctp_mline_index = place  # type: ignore[attr-defined]
        text = say_trickle(pin_numbers(arrange_offer(raw, order), held or earlier))
        await pc.setLocalDescription(RTCSessionDescription(sdp=text, type="offer"))
    except BaseException:
        take_back(pc, made)
        raise
    made.new_mids = {each: each.mid for each in made.new_transceivers if each.mid is not None}
    made.sdp = drop_end_of_candidates(local_sdp(pc))
    return made


def _arrangement(
    pc: PeerConnection,
    raw: str,
    layout: Sequence[tuple[str, str]],
    *,
    new_mid: Callable[[], str],
    channel_mid: str | None,
    told_mids: Mapping[RTCRtpTransceiver, str],
) -> list[tuple[int, str]]:
    """Return (index in `raw`, mid) for each section in the order to send."""
    known = {each.mid for each in pc.getTransceivers()} | {pc.sctp.mid if pc.sctp is not None else None}
    told = {each._get_mline_index(): told_mids[each] for each in pc.getTransceivers() if each in told_mids}
    rest = list(enumerate(read_description(raw).sections))
    order: list[tuple[int, str, str]] = []
    for kind, mid in layout:
        found = next((entry for entry in rest if entry[1].kind == kind), None)
        if found is not None:
            rest.remove(found)
            order.append((found[0], kind, mid))
    for index, section in rest:
        if section.mid in known:
            mid = section.mid
        elif section.kind == "application":
            mid = _likely_channel_mid(pc)
        else:
            # The other side counts as we do, if it is one of ours.
            used = known | {taken for _, _, taken in order} | {channel_mid}
            mids = chain([told[index]] if index in told else [], iter(new_mid, None))
            mid = next(free for free in mids if free not in used)
        order.append((index, section.kind, mid))
    return [
        (index, channel_mid if kind == "application" and channel_mid is not None else mid) for index, kind, mid in order
    ]


def _likely_channel_mid(pc: PeerConnection) -> str:
    """Return the mid a browser would give its own section for data channels now: it counts its sections.

    Where both sides open one at the same moment, Chromium only goes on if both have the same mid.
    """
    numbers = [int(each.mid) for each in pc.getTransceivers() if each.mid is not None and each.mid.isdecimal()]
    return str(max(numbers, default=-1) + 1)


def take_back(pc: PeerConnection, made: MadeOffer) -> None:
    """Undo a local offer that was not answered: the rollback that aiortc lacks (RFC 8829 section 4.1.10.2).

    What was gathered is kept; sections that were new are offered anew by the next offer.
    """
    if pc.signalingState not in ("have-local-offer", "stable"):
        return
    if made.is_restart:
        undo_restart(pc)
    pc._RTCPeerConnection__pendingLocalDescription = None  # type: ignore[attr-defined]
    for transceiver in made.new_transceivers:
        transceiver._set_mid(None)  # type: ignore[arg-type]
        transceiver._set_mline_index(None)  # type: ignore[arg-type]
    _restore_codecs(made)
    if pc.sctp is not None:
        pc.sctp.mid = made.channel_mid_before
    ice = ice_transport(pc)
    if ice is not None and made.role_was_open:
        ice._role_set = False
        ice._connection.ice_controlling = False
    if pc.signalingState != "stable":
        pc._RTCPeerConnection__setSignalingState("stable")  # type: ignore[attr-defined]


def _restore_codecs(made: MadeOffer) -> None:
    for transceiver, codecs, extensions in made.codecs:
        transceiver._codecs, transceiver._headerExtensions = codecs, extensions
