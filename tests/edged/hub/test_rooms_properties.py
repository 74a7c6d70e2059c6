"""Whatever clients do in whatever order, every client can follow who is in the room."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from edged.hub.access import Access, Identity
from edged.hub.rooms import Action, Close, Deliver, Rooms
from metered_realtime.wire import Ack, Direct, Message, Presence, Publish, Send, Subscribe, Unsubscribe

CHANNELS = ("x", "y")
PEER_IDS = ("a", "b", "c", "d", "e")
HOLD_S = 3.0


class Client:
    """What a client believes from the frames it got, as the official ones do."""

    def __init__(self, connection: int, peer_id: str, *, sees: bool) -> None:
        self.connection = connection
        self.peer_id = peer_id
        self.sees = sees
        self.open = True
        self.acked: set[str] = set()
        self.rosters: dict[str, set[str]] = {}
        self.asked: dict[str, str] = {}

    def receive(self, frame: object) -> None:
        match frame:
            case Ack(request_id):
                verb, _, channel = request_id.partition(":")
                if verb == "subscribe":
                    self.acked.add(channel)
                else:
                    self.acked.discard(channel)
                    self.rosters.pop(channel, None)
            case Presence(channel, joined, left):
                self._presence(channel, {one.peer_id for one in joined}, {one.peer_id for one in left})

    def _presence(self, channel: str, joined: set[str], left: set[str]) -> None:
        assert self.sees, "presence without the permission"
        assert channel in self.acked, "presence before the ack"
        assert not (joined and left), "left and joined in one frame"
        assert self.peer_id not in joined | left, "a client is told about itself"
        if self.asked.pop(channel, None):
            assert not left, "a delta came before the roster"
            self.rosters[channel] = joined
            return
        roster = self.rosters[channel]
        assert not joined & roster, "joined twice"
        assert left <= roster, "a stranger left"
        roster |= joined
        roster -= left


class Hub(RuleBasedStateMachine):
    """Random operations; after each, the belief of every client is compared with the truth."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.warm_up_until_s = 2.0
        self.rooms = Rooms(hold_s=HOLD_S, warm_up_until_s=self.warm_up_until_s, max_channels=5)
        self.live: dict[int, Client] = {}
        self.subscribed: dict[str, dict[str, int]] = {channel: {} for channel in CHANNELS}
        self.held: dict[tuple[str, str], float] = {}
        self.serial = 0

    def apply(self, actions: list[Action]) -> list[tuple[int, object]]:
        frames = []
        for action in actions:
            if isinstance(action, Close):
                self.live.pop(action.connection).open = False
                continue
            assert isinstance(action, Deliver)
            assert action.to
            assert len(set(action.to)) == len(action.to)
            for connection in action.to:
                frames.append((connection, action.frame))
                if connection in self.live:
                    self.live[connection].receive(action.frame)
        return frames

    def expire(self) -> None:
        for (channel, peer_id), due_s in list(self.held.items()):
            if due_s <= self.now_s:
                del self.held[channel, peer_id]

    def drop(self, client: Client, *, hold: bool) -> None:
        for channel, seats in self.subscribed.items():
            if seats.get(client.peer_id) == client.connection:
                del seats[client.peer_id]
                if hold:
                    self.held[channel, client.peer_id] = self.now_s + HOLD_S

    @rule(target=clients, peer_id=st.sampled_from(PEER_IDS), sees=st.booleans())
    def connect(self, peer_id: str, sees: bool) -> Client:
        self.serial += 1
        client = Client(self.serial, peer_id, sees=sees)
        self.expire()
        for other in list(self.live.values()):
            if other.peer_id == peer_id:
                self.drop(other, hold=True)
        actions = {"publish", "subscribe", "send"} | ({"presence"} if sees else set())
        self.apply(self.rooms.connect(client.connection, Identity(peer_id, Access(frozenset(actions))), self.now_s))
        self.live[client.connection] = client
        return client

    @rule(client=clients, channel=st.sampled_from(CHANNELS))
    def subscribe(self, client: Client, channel: str) -> None:
        if not client.open:
            return
        self.expire()
        self.apply(self.rooms.tick(self.now_s))
        client.asked[channel] = "roster"
        self.held.pop((channel, client.peer_id), None)
        self.subscribed[channel].pop(client.peer_id, None)
        self.subscribed[channel][client.peer_id] = client.connection
        self.apply(self.rooms.handle(client.connection, Subscribe(channel, f"subscribe:{channel}"), self.now_s))
        if self.now_s >= self.warm_up_until_s and client.sees:
            assert channel not in client.asked, "no roster after a subscribe"

    @rule(client=clients, channel=st.sampled_from(CHANNELS))
    def unsubscribe(self, client: Client, channel: str) -> None:
        if not client.open:
            return
        self.expire()
        if self.subscribed[channel].get(client.peer_id) == client.connection:
            del self.subscribed[channel][client.peer_id]
        self.apply(self.rooms.tick(self.now_s))
        client.asked.pop(channel, None)
        self.apply(self.rooms.handle(client.connection, Unsubscribe(channel, f"unsubscribe:{channel}"), self.now_s))

    @rule(client=consumes(clients), hold=st.booleans())
    def disconnect(self, client: Client, hold: bool) -> None:
        if not client.open:
            return
        client.open = False
        del self.live[client.connection]
        self.expire()
        self.drop(client, hold=hold)
        self.apply(self.rooms.disconnect(client.connection, hold=hold, now_s=self.now_s))

    @rule(client=clients, channel=st.sampled_from(CHANNELS))
    def publish(self, client: Client, channel: str) -> None:
        if not client.open:
            return
        self.expire()
        frames = self.apply(self.rooms.handle(client.connection, Publish(channel, 1, "publish:"), self.now_s))
        got = [connection for connection, frame in frames if isinstance(frame, Message)]
        expected = [one for one in self.subscribed[channel].values() if one != client.connection]
        assert sorted(got) == sorted(expected)

    @rule(client=clients, to=st.sampled_from(PEER_IDS))
    def send(self, client: Client, to: str) -> None:
        if not client.open:
            return
        self.expire()
        frames = self.apply(self.rooms.handle(client.connection, Send(to, 1, "send:"), self.now_s))
        got = [connection for connection, frame in frames if isinstance(frame, Direct)]
        assert got == [one.connection for one in self.live.values() if one.peer_id == to]

    @rule(seconds=st.sampled_from((0.1, 1.0, 2.0, 4.0)))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.expire()
        self.apply(self.rooms.tick(self.now_s))

    @invariant()
    def beliefs_are_true(self) -> None:
        for client in self.live.values():
            for channel, roster in client.rosters.items():
                if channel in client.asked or not client.sees:
                    continue
                seated = set(self.subscribed[channel]) | {peer for where, peer in self.held if where == channel}
                assert roster == seated - {client.peer_id}, "a ghost, or somebody unseen"

    @invariant()
    def a_timer_is_set_while_somebody_waits(self) -> None:
        due_s = self.rooms.next_timer_s
        if self.held:
            assert due_s is not None
            assert due_s <= min(self.held.values())
        assert due_s is None or due_s > self.now_s

    @invariant()
    def nothing_is_kept_for_those_who_left(self) -> None:
        assert self.rooms.connection_count == len(self.live)
        used = {channel for channel, seats in self.subscribed.items() if seats} | {channel for channel, _ in self.held}
        assert self.rooms.channel_count == len(used)


TestHub = Hub.TestCase
TestHub.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
