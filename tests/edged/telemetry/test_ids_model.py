"""A model broker that counts its packet ids on, or hands out the lowest that is free; and all that can end, ends.

Two different readings never get one id. A message that comes again keeps its id while it is unacknowledged, and where
the broker counts on and everything goes right also after that.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edged.mqtt.deliveries import Deliveries
from edged.telemetry.ids import ReadingIds, area_bytes

SLOTS = 128
WINDOW = 4


class KilledError(Exception):
    """The process ends in the middle of a step."""


class Fragile:
    """Memory that lasts, and a process that ends before one of its stores."""

    def __init__(self, memory, stores):
        self.memory = memory
        self.stores = stores

    def __getitem__(self, index):
        return self.memory[index]

    def __setitem__(self, index, value):
        if self.stores[0] == 0:
            raise KilledError
        self.stores[0] -= 1
        self.memory[index] = value


@dataclass
class Session:
    """What a broker keeps of us; a copy of it is what it wrote to its disk."""

    queued: list = field(default_factory=list)
    in_flight: dict = field(default_factory=dict)
    """Packet id -> [message, whether it was sent before]"""
    last: int = 0


class World(RuleBasedStateMachine):
    """Broker, link and gateway."""

    counts_on = True

    def __init__(self):
        super().__init__()
        self.area = memoryview(bytearray(area_bytes(SLOTS)))
        self.stores = [-1]
        self.session = Session()
        self.saved = Session()
        self.is_known = False
        self.to_us = []
        self.to_broker = []
        self.connected = False
        self.now_s = 0.0
        self.number = 0
        self.id_of = {}
        self.given = {}
        self.acked_on = {}
        self.uncertain = set()
        self.newest = 0
        self.under = {}
        self.start()

    def start(self):
        self.stores[0] = -1
        self.ids = ReadingIds("g", "l", self.area, slots=SLOTS)
        for name in ("_head", "_prints", "_sequences", "_acked_in"):
            setattr(self.ids, name, Fragile(getattr(self.ids, name), self.stores))
        self.ledger = Deliveries(self._send_ack)
        self.held = []
        self.connected = False

    @precondition(lambda self: self.connected)
    @rule(count=st.sampled_from([1, 5, 60, 140]))
    def a_calm_time(self, count):
        for _ in range(count):
            self.publish(b"21.5", 1)
            self.settle()
            self.now_s += 1

    @precondition(lambda self: self.connected)
    @rule()
    def settle(self):
        while self.to_us or self.held or self.to_broker:
            self.read(100, None)
            self.acknowledge(100)
            self.broker_reads(100)

    @rule(
        before=st.sampled_from([0, 4, 60]),
        after=st.sampled_from([0, 1, 5, 140]),
        broker=st.sampled_from(["lives", "is in an earlier state", "is another one"]),
        count=st.integers(1, 3),
        gateway_dies=st.booleans(),
        answered=st.booleans(),
    )
    def sent_but_never_read(self, before, after, broker, count, gateway_dies, answered):
        self.connect_again()
        self.a_calm_time(before)
        self.broker_saves()
        self.a_calm_time(after)
        if broker != "lives":
            self.broker_dies(remembers=broker != "is another one")
            self.connect_again()
        self.publish(b"21.5", count)
        self.disconnect()
        if gateway_dies:
            self.die()
        if not answered:
            self.connect(answered=False)
        self.connect_again()
        self.settle()

    def connect_again(self):
        if not self.connected:
            self.connect(answered=True)

    def _send_ack(self, packet_id):
        self.to_broker.append(packet_id)

    # The broker ------------------------------------------------------------------------------------

    @rule(payload=st.sampled_from([b"21.5", b"21.5", b"21.5", b"21.6"]), count=st.integers(1, 12))
    def publish(self, payload, count):
        for _ in range(count):
            self.number += 1
            self.session.queued.append((self.number, payload))
        self.send()

    def send(self):
        session = self.session
        while self.connected and session.queued and len(session.in_flight) < WINDOW:
            message = session.queued.pop(0)
            packet_id = self.next_packet_id()
            session.in_flight[packet_id] = [message, True]
            self.to_us.append((packet_id, message, False))

    def next_packet_id(self):
        session = self.session
        if not self.counts_on:
            return next(n for n in range(1, SLOTS) if n not in session.in_flight)
        while True:
            session.last = session.last % (SLOTS - 1) + 1
            if session.last not in session.in_flight:
                return session.last

    @precondition(lambda self: self.to_broker)
    @rule(count=st.integers(1, 30))
    def broker_reads(self, count):
        for packet_id in self.to_broker[:count]:
            self.session.in_flight.pop(packet_id, None)
        del self.to_broker[:count]
        self.send()

    @precondition(lambda self: self.is_known)
    @rule()
    def broker_saves(self):
        self.saved = copy.deepcopy(self.session)

    @rule(remembers=st.booleans())
    def broker_dies(self, remembers):
        self.disconnect()
        # What it forgets is unacknowledged here, and a message under the same packet id cannot be told from it.
        known = {message[0] for message, _sent in self.saved.in_flight.values()} if remembers else set()
        self.uncertain |= {message for message in self.given if message not in self.acked_on and message not in known}
        if not remembers:
            self.saved = Session()
        self.session = copy.deepcopy(self.saved)
        self.is_known = remembers

    # The link --------------------------------------------------------------------------------------

    @precondition(lambda self: not self.connected)
    @rule(answered=st.booleans())
    def connect(self, answered):
        self.ids.connecting()
        self.connected = True
        present, self.is_known = self.is_known, True
        again = list(self.session.in_flight.items())
        self.to_us = [(packet_id, message, True) for packet_id, (message, _sent) in again]
        self.send()
        if not answered:
            self.disconnect()
            return
        self.ledger.connected(session_present=present)
        if not present:
            self.ids.session_lost()

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self):
        self.connected = False
        self.to_us, self.to_broker = [], []
        self.ledger.disconnected()

    # The gateway -----------------------------------------------------------------------------------

    @precondition(lambda self: self.connected and self.to_us)
    @rule(count=st.integers(1, 30), stores=st.none() | st.integers(0, 12))
    def read(self, count, stores):
        for _ in range(min(count, len(self.to_us))):
            packet_id, (number, payload), repeated = self.to_us.pop(0)
            ack = self.ledger.take(packet_id, "t", payload, repeated=repeated)
            if ack is None:
                continue
            self.stores[0] = -1 if stores is None else stores
            try:
                found = self.ids.take("t", payload, packet_id, self.now_s, repeated=repeated)
            except KilledError:
                self.die()
                return
            self.stores[0] = -1
            self.judge(number, packet_id, found, repeated=repeated)
            self.held.append((number, packet_id, ack))

    def judge(self, number, packet_id, found, *, repeated):
        other = self.id_of.setdefault(found, number)
        # A broker that comes up in a state of before its packet ids went round brings what had its own id long ago, and
        # was safe: nothing is lost if it is now taken for a repeat of what came under that packet id since.
        is_safe = repeated and number in self.acked_on
        assert other == number or other in self.uncertain or is_safe, f"messages {other} and {number} are both {found}"
        before = self.given.get(number)
        if repeated and before is not None and number not in self.uncertain and self.is_recent(packet_id):
            acked_on = self.acked_on.get(number)
            is_its_own = self.under.get(packet_id) == number
            if is_its_own and (acked_on is None or (self.ids._in_order and acked_on == self.ids._epoch - 1)):
                assert found == before, f"message {number} was {before} and is {found}"
        if not repeated:
            self.newest = packet_id
        self.under[packet_id] = number
        self.given[number] = found
        self.acked_on.pop(number, None)

    def is_recent(self, packet_id):
        """What came since is less than what is remembered, even if the broker has forgotten it."""
        return not self.counts_on or (self.newest - packet_id) % (SLOTS - 1) < SLOTS * 3 // 8

    @precondition(lambda self: self.held)
    @rule(count=st.integers(1, 30))
    def acknowledge(self, count):
        for number, packet_id, ack in self.held[:count]:
            self.ids.acknowledged(packet_id, self.now_s)
            self.acked_on[number] = self.ids._epoch
            ack()
        del self.held[:count]

    @rule()
    def die(self):
        self.disconnect_quietly()
        self.start()

    def disconnect_quietly(self):
        self.connected = False
        self.to_us, self.to_broker = [], []

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def wait(self, seconds):
        self.now_s += seconds


class LowestFree(World):
    """A broker that uses a packet id again as soon as it is free."""

    counts_on = False


@pytest.mark.parametrize("world", [World, LowestFree])
def test_no_two_readings_have_one_id_and_no_reading_two(world):
    run_state_machine_as_test(world, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))
