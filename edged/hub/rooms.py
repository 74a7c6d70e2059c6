"""Channels and their members, and every rule about who is told what in which order (protocol sections 5, 6, 15.1).

Pure: a method takes what happened and the time, and returns what to send and whom to close, in order. A
member whose connection dropped keeps its seat for `hold_s`, so that it can come back without the others noticing
too early; connections that subscribe before `warm_up_until_s` get their first roster together at that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edged.hub.access import Identity
from metered_realtime.wire import (
    Ack,
    ClientFrame,
    Direct,
    Error,
    ErrorCode,
    Message,
    Ping,
    Pong,
    Presence,
    PresencePeer,
    Publish,
    Send,
    ServerFrame,
    Subscribe,
    Unsubscribe,
    WsCloseCode,
    json_size,
)

# A client closes the connection at 1 MiB; a roster above this is continued in further `joined` frames.
MAX_ROSTER_BYTES = 512 * 1024

ConnectionId = int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send one frame to these connections, in this order."""

    to: tuple[ConnectionId, ...]
    frame: ServerFrame


@dataclass(frozen=True, slots=True)
class Close:
    """Close this connection; the rooms have already forgotten it."""

    connection: ConnectionId
    code: WsCloseCode
    reason: str


Action = Deliver | Close


@dataclass(slots=True)
class _Member:
    """A live connection."""

    identity: Identity
    channels: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Seat:
    """A peer's place in one channel; `connection` is None while the place is held for its return."""

    peer: PresencePeer
    connection: ConnectionId | None
    sees_presence: bool
    wants_sender_metadata: bool
    waits_for_roster: bool
    roster_bytes: int


class Rooms:
    """All state of the hub that is not a socket."""

    def __init__(self, *, hold_s: float = 3.0, warm_up_until_s: float = 0.0, max_channels: int = 100) -> None:
        self._hold_s = hold_s
        self._warm_up_until_s = warm_up_until_s
        self._max_channels = max_channels
        self._members: dict[ConnectionId, _Member] = {}
        self._connection_of: dict[str, ConnectionId] = {}
        self._channels: dict[str, dict[str, _Seat]] = {}
        # When each held seat is given up. The hold is constant and time only grows, so this is in order of time.
        self._held: dict[tuple[str, str], float] = {}
        self._waiting: set[str] = set()

    @property
    def connection_count(self) -> int:
        """Live connections."""
        return len(self._members)

    @property
    def channel_count(self) -> int:
        """Channels with at least one seat."""
        return len(self._channels)

    @property
    def next_timer_s(self) -> float | None:
        """When `tick` is due, or None."""
        due = [self._warm_up_until_s] if self._waiting else []
        due += [next(iter(self._held.values()))] if self._held else []
        return min(due, default=None)

    # What happened --------------------------------------------------------------------------------

    def connect(self, connection: ConnectionId, identity: Identity, now_s: float) -> list[Action]:
        """A connection was welcomed. An older one with the same peer id is closed; its seats wait for the newcomer."""
        actions = self.tick(now_s)
        older = self._connection_of.get(identity.peer_id)
        if older is not None:
            actions += self.disconnect(older, hold=True, now_s=now_s)
            # Terminal for the client: two live clients under one id would otherwise replace each other for ever.
            reason = "replaced by a newer connection with the same peer id"
            actions.append(Close(older, WsCloseCode.ADMIN_DISCONNECT, reason))
        self._members[connection] = _Member(identity)
        self._connection_of[identity.peer_id] = connection
        return actions

    def disconnect(self, connection: ConnectionId, *, hold: bool, now_s: float) -> list[Action]:
        """A connection is gone; `hold` keeps its seats for a while, otherwise the others are told at once."""
        actions = self.tick(now_s)
        member = self._members.pop(connection, None)
        if member is None:
            return actions
        peer_id = member.identity.peer_id
        del self._connection_of[peer_id]
        for channel in sorted(member.channels):
            if hold and self._hold_s > 0:
                self._channels[channel][peer_id].connection = None
                self._held[channel, peer_id] = now_s + self._hold_s
            else:
                actions += self._give_up(channel, peer_id)
        return actions

    def handle(self, connection: ConnectionId, frame: ClientFrame, now_s: float) -> list[Action]:
        """A connection sent a frame. Everything returned is to be written before its next frame is read."""
        actions = self.tick(now_s)
        member = self._members.get(connection)
        if member is None:
            return actions
        match frame:
            case Subscribe():
                actions += self._subscribe(connection, member, frame, now_s)
            case Unsubscribe():
                actions += self._unsubscribe(connection, member, frame)
            case Publish():
                actions += self._publish(connection, member, frame)
            case Send():
                actions += self._send(connection, member, frame)
            case Ping():
                actions.append(Deliver((connection,), Pong()))
        return actions

    def tick(self, now_s: float) -> list[Action]:
        """Time has passed: give up seats held too long, deliver the rosters that waited for the end of the warm-up."""
        actions: list[Action] = []
        while self._held:
            (channel, peer_id), due_s = next(iter(self._held.items()))
            if due_s > now_s:
                break
            actions += self._give_up(channel, peer_id)
        if self._waiting and now_s >= self._warm_up_until_s:
            for channel in sorted(self._waiting):
                for seat in tuple(self._channels.get(channel, {}).values()):
                    seat.waits_for_roster = False
                    actions += self._roster(channel, seat)
            self._waiting.clear()
        return actions

    # Requests -------------------------------------------------------------------------------------

    def _subscribe(self, connection: ConnectionId, member: _Member, frame: Subscribe, now_s: float) -> Iterator[Action]:
        """Ack, then the roster, and only then the others: each order is relied on by a real client (6.3)."""
        channel, identity = frame.channel, member.identity
        refusal = identity.access.refusal("subscribe", channel)
        if refusal is None and channel not in member.channels and len(member.channels) >= self._max_channels:
            refusal = "channel_limit_exceeded"
        if refusal is not None:
            yield _error(connection, refusal, frame.request_id)
            return
        yield from _ack(connection, frame.request_id)
        seats = self._channels.setdefault(channel, {})
        before = seats.get(identity.peer_id)
        if before is not None and before.connection == connection:
            before.wants_sender_metadata = frame.include_sender_metadata
            if not before.waits_for_roster:
                yield from self._roster(channel, before)
            return
        # A returning peer gets a new seat at the end of the table; the old one is what the others still see.
        seats.pop(identity.peer_id, None)
        self._held.pop((channel, identity.peer_id), None)
        peer = PresencePeer(identity.peer_id, identity.metadata)
        seat = _Seat(
            peer=peer,
            connection=connection,
            sees_presence=identity.access.may("presence"),
            wants_sender_metadata=frame.include_sender_metadata,
            waits_for_roster=now_s < self._warm_up_until_s,
            roster_bytes=200 + (json_size(identity.metadata) if identity.metadata else 0),
        )
        seats[identity.peer_id] = seat
        member.channels.add(channel)
        if seat.waits_for_roster:
            self._waiting.add(channel)
        else:
            yield from self._roster(channel, seat)
        watchers = self._watchers(channel, seat)
        if before is not None:
            yield from _deliver(watchers, Presence(channel, left=(PresencePeer(identity.peer_id),)))
        yield from _deliver(watchers, Presence(channel, joined=(peer,)))

    def _unsubscribe(self, connection: ConnectionId, member: _Member, frame: Unsubscribe) -> Iterator[Action]:
        yield from _ack(connection, frame.request_id)
        if frame.channel in member.channels:
            member.channels.discard(frame.channel)
            yield from self._give_up(frame.channel, member.identity.peer_id)

    def _publish(self, connection: ConnectionId, member: _Member, frame: Publish) -> Iterator[Action]:
        identity = member.identity
        refusal = identity.access.refusal("publish", frame.channel)
        if refusal is not None:
            yield _error(connection, refusal, frame.request_id)
            return
        plain: list[ConnectionId] = []
        curious: list[ConnectionId] = []
        for seat in self._channels.get(frame.channel, {}).values():
            if seat.connection is not None and seat.connection != connection:
                (curious if seat.wants_sender_metadata else plain).append(seat.connection)
        if identity.metadata is None:
            plain, curious = plain + curious, []
        message = Message(frame.channel, identity.peer_id, frame.data)
        yield from _deliver(tuple(plain), message)
        message = Message(frame.channel, identity.peer_id, frame.data, identity.metadata)
        yield from _deliver(tuple(curious), message)
        yield from _ack(connection, frame.request_id)

    def _send(self, connection: ConnectionId, member: _Member, frame: Send) -> Iterator[Action]:
        target = self._connection_of.get(frame.to)
        if not member.identity.access.may("send"):
            yield _error(connection, "action_not_permitted", frame.request_id)
        elif target is None:
            yield _error(connection, "peer_not_found", frame.request_id)
        else:
            identity = member.identity
            yield Deliver((target,), Direct(identity.peer_id, frame.data, identity.metadata))
            yield from _ack(connection, frame.request_id)

    # Seats ----------------------------------------------------------------------------------------

    def _give_up(self, channel: str, peer_id: str) -> Iterator[Action]:
        """Take a seat away and tell the others."""
        seats = self._channels[channel]
        seat = seats.pop(peer_id)
        self._held.pop((channel, peer_id), None)
        yield from _deliver(self._watchers(channel, seat), Presence(channel, left=(PresencePeer(peer_id),)))
        if not seats:
            del self._channels[channel]
            self._waiting.discard(channel)

    def _roster(self, channel: str, seat: _Seat) -> Iterator[Action]:
        """Every member but the receiver, those held included: they are expected back. Empty rosters are sent too."""
        if seat.connection is None or not seat.sees_presence:
            return
        part: list[PresencePeer] = []
        part_bytes = 0
        for other in self._channels[channel].values():
            if other is seat:
                continue
            if part_bytes > MAX_ROSTER_BYTES:
                yield Deliver((seat.connection,), Presence(channel, joined=tuple(part)))
                part, part_bytes = [], 0
            part.append(other.peer)
            part_bytes += other.roster_bytes
        yield Deliver((seat.connection,), Presence(channel, joined=tuple(part)))

    def _watchers(self, channel: str, seat: _Seat) -> tuple[ConnectionId, ...]:
        """The others who are told who comes and goes; a delta before its first roster would be taken for it."""
        return tuple(
            other.connection
            for other in self._channels[channel].values()
            if other is not seat and other.connection is not None and other.sees_presence and not other.waits_for_roster
        )


def _deliver(to: tuple[ConnectionId, ...], frame: ServerFrame) -> Iterator[Action]:
    if to:
        yield Deliver(to, frame)


def _ack(connection: ConnectionId, request_id: str | None) -> Iterator[Action]:
    if request_id is not None:
        yield Deliver((connection,), Ack(request_id))


_SENTENCES: dict[str, str] = {
    "invalid_channel": "a channel name has at most 256 bytes of UTF-8",
    "channel_reserved": "channels that begin with _metered/, _internal/ or _system/ belong to the service",
    "action_not_permitted": "this key or token does not grant the action",
    "channel_not_authorized": "this key or token does not cover the channel",
    "channel_limit_exceeded": "this connection is in as many channels as it may be",
    "peer_not_found": "no connected peer has this id",
}


def _error(connection: ConnectionId, code: ErrorCode, request_id: str | None) -> Deliver:
    return Deliver((connection,), Error(code, request_id, _SENTENCES[code]))


__all__ = ["MAX_ROSTER_BYTES", "Action", "Close", "ConnectionId", "Deliver", "Rooms"]
