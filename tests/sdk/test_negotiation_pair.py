"""Two sides that negotiate, joined by links that delay and lose: whatever happens, both come to rest and agree."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.sdk.negotiating import Side


class TwoSides(RuleBasedStateMachine):
    """Ordered links that may lose everything under way, as a dropped signalling connection does, and two networks.

    A path needs credentials that both sides hold of each other, gathered where each side now is. Once there it
    carries on over restarts, until a side moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.polite, self.impolite = Side(polite=True), Side(polite=False)
        self.changes = 1
        self.path: tuple[str, int, str, int] | None = None

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.polite, self.impolite

    def other(self, side: Side) -> Side:
        return self.impolite if side is self.polite else self.polite

    @initialize(
        polite_tracks=st.integers(0, 2),
        impolite_tracks=st.integers(0, 2),
        trickling=st.sampled_from("yyyn"),
        takes_back=st.sampled_from("yyyn"),
    )
    def join(self, polite_tracks: int, impolite_tracks: int, trickling: str, takes_back: str) -> None:
        self.polite.takes_back = takes_back == "y"
        for side, tracks in zip(self.sides, (polite_tracks, impolite_tracks), strict=True):
            side.trickles = trickling == "y"
            if tracks:
                self._add(side, tracks)

    def _add(self, side: Side, tracks: int) -> None:
        side.wanted += tracks
        self.changes += 1
        side.perform(side.core.want_offer(side.need, self.now_s), self.now_s)

    @rule(polite=st.booleans())
    def add_a_track(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.wanted < 6:
            self._add(side, 1)

    @rule(polite=st.booleans())
    def deliver_one(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.outgoing:
            self.other(side).receive(side.outgoing.popleft(), self.now_s)

    @rule(polite=st.booleans())
    def finish_creating(self, polite: bool) -> None:
        self.sides[not polite].finish_creating(self.now_s)

    @rule(wait_s=st.sampled_from([0.01, 0.05, 1.0, 5.0, 20.0]))
    def wait(self, wait_s: float) -> None:
        self.now_s += wait_s
        for side in self.sides:
            while actions := side.core.tick(self.now_s):
                side.perform(actions, self.now_s)
            due = side.core.next_timer()
            assert due is None or due > self.now_s, "a shell that obeyed would spin"

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def drop_signalling(self, polite: bool) -> None:
        side = self.sides[not polite]
        side.outgoing.clear()
        self.other(side).outgoing.clear()
        self.changes += 1
        side.perform(side.core.signalling_up(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans(), away_s=st.sampled_from([1.0, 10.0, 100.0]))
    def lose_signalling_for_a_while(self, polite: bool, away_s: float) -> None:
        side = self.sides[not polite]
        side.perform(side.core.signalling_lost(), self.now_s)
        self.notice_paths()
        self.now_s += away_s
        self.drop_signalling(polite)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans(), is_seen=st.booleans())
    def move(self, polite: bool, is_seen: bool) -> None:
        """A side gets other addresses; `is_seen`: its kernel says so."""
        side = self.sides[not polite]
        side.network += 1
        self.changes += 1
        if is_seen:
            side.perform(side.core.network_changed(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def see_a_harmless_change(self, polite: bool) -> None:
        side = self.sides[not polite]
        self.changes += 1
        side.perform(side.core.network_changed(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def lose_the_connection(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.pc.agreed:
            self.changes += 1
            side.perform(side.core.connection_changed("failed", self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans())
    def start_over(self, polite: bool) -> None:
        side = self.sides[not polite]
        if side.pc.agreed:
            self.changes += 1
            side.perform(side.core.renew(self.now_s), self.now_s)

    @precondition(lambda self: self.changes < 12)
    @rule(polite=st.booleans(), is_killed=st.booleans())
    def go_and_come(self, polite: bool, is_killed: bool) -> None:
        """A side has a new connection to the service under its id; `is_killed`: and is another program, which wants the
        same, and whose end nobody was told of."""
        side = self.sides[not polite]
        other = self.other(side)
        self.changes += 1
        side.outgoing.clear()
        other.outgoing.clear()
        if is_killed:
            fresh = Side(polite=polite)
            fresh.trickles, fresh.takes_back, fresh.network = side.trickles, side.takes_back, side.network
            if polite:
                self.polite = fresh
            else:
                self.impolite = fresh
            if side.wanted:
                self._add(fresh, side.wanted)
        else:
            side.perform(side.core.signalling_up(self.now_s), self.now_s)
        other.perform(other.core.returned(self.now_s), self.now_s)

    @rule()
    def notice(self) -> None:
        self.notice_closed_connections()

    @rule()
    def check_paths(self) -> None:
        self.notice_paths()

    def notice_paths(self) -> bool:
        """ICE finds a path where there is one, and misses one that is gone."""
        ends = [(side.pc.session, side.network) for side in self.sides]
        now = (*ends[0], *ends[1])
        found = all(
            side.pc.peer_ufrag == self.other(side).pc.ufrag and side.pc.network.get(side.pc.ufrag) == side.network
            for side in self.sides
        )
        if found:
            self.path = now
        is_there = self.path == now
        noticed = False
        for side in self.sides:
            knows = side.core.recovery.is_connected
            if is_there and not knows and side.core.is_stable and not side.core.recovery.is_dead:
                noticed = True
                changed = [] if not side.pc.is_new else side.core.connection_changed("connected", self.now_s)
                side.pc.is_new = False
                side.perform(changed + side.core.path_found(), self.now_s)
            elif not is_there and knows:
                noticed = True
                side.perform(side.core.path_lost(self.now_s), self.now_s)
        return noticed

    def notice_closed_connections(self) -> bool:
        """DTLS tells the other side of every connection that was replaced."""
        noticed = False
        for side in self.sides:
            closed, side.closed_sessions = side.closed_sessions, []
            other = self.other(side)
            if other.pc.peer_session in closed and other.pc.agreed:
                noticed = True
                other.perform(other.core.connection_changed("closed", self.now_s), self.now_s)
        return noticed

    @invariant()
    def offers_are_bounded(self) -> None:
        for side in self.sides:
            # Each change may be offered, collide, and be sent again three times, after each of a few attempts.
            assert side.offers + side.answers <= 60 * self.changes

    def teardown(self) -> None:
        """Whatever happened: with links that work, both come to rest with everything agreed, and connected."""
        for _ in range(600):
            busy = False
            for side in self.sides:
                side.finish_creating(self.now_s)
                while side.outgoing:
                    busy = True
                    self.other(side).receive(side.outgoing.popleft(), self.now_s)
            if busy or self.notice_paths() or self.notice_closed_connections():
                continue
            timers = [at for side in self.sides if (at := side.core.next_timer()) is not None]
            if not timers:
                break
            self.now_s = max(self.now_s, min(timers))
            for side in self.sides:
                side.perform(side.core.tick(self.now_s), self.now_s)
        else:
            raise AssertionError("the two sides never come to rest")
        for side in self.sides:
            if side.need != "nothing":
                # A side that gave up for want of an answer goes on at the next occasion.
                side.perform(side.core.signalling_up(self.now_s), self.now_s)
        if any(side.outgoing or side.later for side in self.sides):
            self.teardown()
            return
        self._check_at_rest()

    def _check_at_rest(self) -> None:
        for side in self.sides:
            assert side.core.is_stable
            assert side.need == "nothing"
        if any(side.wanted for side in self.sides):
            assert self.polite.pc.agreed == self.impolite.pc.agreed
            assert all(side.core.recovery.is_connected for side in self.sides)


def test_an_offer_that_waits_too_long_is_sent_again_while_a_restart_waits_for_its_answer() -> None:
    """Both became due while nothing could be said."""
    sides = TwoSides()
    sides.join(polite_tracks=1, impolite_tracks=1, trickling="y", takes_back="y")
    sides.finish_creating(polite=True)
    sides.deliver_one(polite=True)
    sides.finish_creating(polite=False)
    sides.lose_signalling_for_a_while(away_s=10.0, polite=False)
    offered = sides.impolite.offers
    sides.wait(5.0)
    assert sides.impolite.offers == offered + 1
    sides.teardown()


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
