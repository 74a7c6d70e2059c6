"""What `RemotePeer.stats` returns, and the rates that come from comparing two calls. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from metered_realtime.options import PeerConnectionState

# Two callers, or one in a hurry, must not make a rate of two packets.
MIN_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePairStats:
    """The path that ICE chose (RFC 8445). Types are `host`, `srflx`, `prflx`, `relay`; addresses are `host:port`.

    `protocol`: how our side reaches its end of the path, `udp`, `tcp` or `tls`. `rtt_s`: of the last consent check.
    """

    local_type: str
    remote_type: str
    protocol: str
    local_address: str
    remote_address: str
    rtt_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackStats:
    """One track that is sent to the peer (`send`) or comes from it (`receive`), since its connection was made.

    `codec` is a MIME type such as `video/H264`. `bytes` counts payload, `packets` RTP packets. `lost`, `jitter_s` and
    `rtt_s` of a sent track are what the peer last reported (RFC 3550 section 6.4), None until it has; a received
    track has no `rtt_s`. `fraction_lost` (0 to 1) is of the last report, or since the call before. `bitrate_bps` is
    bits of payload per second since the call before; None at the first call. `thinned_pictures`: encoded pictures left
    out because the link is thin.
    """

    direction: Literal["send", "receive"]
    kind: str
    track_id: str
    codec: str | None
    ssrc: int | None
    bytes: int
    packets: int
    lost: int | None = None
    fraction_lost: float | None = None
    jitter_s: float | None = None
    rtt_s: float | None = None
    bitrate_bps: float | None = None
    thinned_pictures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLink:
    """What the peer's own reports, and our socket, say about the way to it; of the whole connection.

    `is_thin`: it takes less than we would send, and pictures are left out; with hysteresis. `available_bps`: what it
    takes in bits per second, as far as known (REMB, or transport-wide feedback). `wanted_bps`: what our video for it
    comes to with nothing left out. `fraction_lost` (0 to 1) and `rtt_s`: of the last reports (RFC 3550 section 6.4).
    """

    is_thin: bool
    available_bps: float | None
    wanted_bps: float
    fraction_lost: float | None
    rtt_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSample:
    """The counters of one RTCPeerConnection at one moment. Bytes and packets are of the whole transport, encrypted."""

    pair: CandidatePairStats | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    packets_received: int = 0
    tracks: tuple[TrackStats, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStats:
    """How the connection to one peer does. Counters start anew when the connection is replaced.

    `pair` is None while there is no path, `link` while nothing has been reported. `rtt_s`: of the path, else the
    shortest reported of a sent track. Bytes and packets are of the whole transport, data channels and encryption
    included. `dropped_signals`: descriptions and candidates of the peer that came faster than they could be handled.
    """

    state: PeerConnectionState
    pair: CandidatePairStats | None = None
    link: PeerLink | None = None
    rtt_s: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    packets_sent: int = 0
    packets_received: int = 0
    tracks: tuple[TrackStats, ...] = ()
    dropped_signals: int = 0


def peer_stats(
    state: PeerConnectionState,
    sample: ConnectionSample,
    tracks: tuple[TrackStats, ...],
    *,
    dropped_signals: int,
    link: PeerLink | None = None,
) -> PeerStats:
    """Put together what a connection counted; `tracks` with their rates."""
    reported = [track.rtt_s for track in tracks if track.rtt_s is not None]
    path_rtt_s = sample.pair.rtt_s if sample.pair is not None else None
    return PeerStats(
        state=state,
        pair=sample.pair,
        link=link,
        rtt_s=path_rtt_s if path_rtt_s is not None else min(reported, default=None),
        bytes_sent=sample.bytes_sent,
        bytes_received=sample.bytes_received,
        packets_sent=sample.packets_sent,
        packets_received=sample.packets_received,
        tracks=tracks,
        dropped_signals=dropped_signals,
    )


@dataclass(frozen=True, slots=True)
class _Mark:
    """A track as it was when its rates were last computed."""

    track: TrackStats
    at_s: float


class StatsMeter:
    """Compares the tracks of one peer with what they were at the call before."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str, int | None], _Mark] = {}

    def take(self, tracks: Iterable[TrackStats], now_s: float) -> tuple[TrackStats, ...]:
        """Return the tracks with `bitrate_bps`, and `fraction_lost` where nobody reports it."""
        before, self._marks = self._marks, {}
        return tuple(self._rated(track, before.get(_key(track)), now_s) for track in tracks)

    def _rated(self, track: TrackStats, mark: _Mark | None, now_s: float) -> TrackStats:
        is_same = mark is not None and mark.track.bytes <= track.bytes and mark.track.packets <= track.packets
        if mark is None or not is_same:
            self._marks[_key(track)] = _Mark(track, now_s)
            return track
        passed_s = now_s - mark.at_s
        if passed_s < MIN_INTERVAL_S:
            self._marks[_key(track)] = mark
            known = mark.track
            fraction = track.fraction_lost if track.fraction_lost is not None else known.fraction_lost
            return replace(track, bitrate_bps=known.bitrate_bps, fraction_lost=fraction)
        rated = replace(
            track,
            bitrate_bps=(track.bytes - mark.track.bytes) * 8 / passed_s,
            fraction_lost=track.fraction_lost if track.direction == "send" else _fraction_lost(mark.track, track),
        )
        self._marks[_key(track)] = _Mark(rated, now_s)
        return rated


def _key(track: TrackStats) -> tuple[str, str, int | None]:
    return track.direction, track.track_id, track.ssrc


def _fraction_lost(before: TrackStats, now: TrackStats) -> float | None:
    """Of the packets expected between the two, the part that did not come."""
    if now.lost is None:
        return None
    lost = max(0, now.lost - (before.lost or 0))
    expected = now.packets - before.packets + lost
    return lost / expected if expected else 0.0
