"""Presence frames to joins, leaves and survivors."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from metered_realtime.frames import PresencePeer
from metered_realtime.roster import MAX_PEERS, MAX_RESUBSCRIBES, SNAPSHOT_TIMEOUT_S, Roster, RosterChange


def peers(*ids: str) -> tuple[PresencePeer, ...]:
    return tuple(PresencePeer(peer_id) for peer_id in ids)


def welcomed(*members: str) -> Roster:
    roster = Roster()
    assert roster.welcomed("me", 0.0, is_reconnect=False)
    roster.presence(peers(*members), ())
    return roster


def test_members_join_and_leave() -> None:
    roster = welcomed()
    assert roster.presence(peers("a", "b"), ()) == RosterChange(joined=peers("a", "b"))
    assert roster.members == ("a", "b")
    assert roster.presence((), peers("a")) == RosterChange(left=("a",))
    assert "a" not in roster
    assert "b" in roster


def test_ourselves_and_those_known_already_do_not_join() -> None:
    assert welcomed("a").presence(peers("me", "a"), ()) == RosterChange()


def test_somebody_unknown_cannot_leave_and_nobody_leaves_twice() -> None:
    assert welcomed("a").presence((), peers("x", "a", "a")).left == ("a",)


def test_joined_and_left_in_one_frame_ends_as_gone() -> None:
    roster = welcomed()
    change = roster.presence(peers("a"), peers("a"))
    assert (change.joined, change.left) == (peers("a"), ("a",))
    assert roster.members == ()


def test_members_beyond_the_limit_are_counted_and_left_out() -> None:
    roster = welcomed(*(f"p{n}" for n in range(MAX_PEERS)))
    change = roster.presence(peers("late"), ())
    assert (change.joined, change.dropped) == ((), 1)


def test_the_first_frame_after_a_reconnect_is_the_whole_list() -> None:
    roster = welcomed("a", "b")
    roster.dropped()
    assert not roster.welcomed("me", 10.0, is_reconnect=True)
    change = roster.presence((PresencePeer("b", {"new": 1}), *peers("c")), peers("b"))
    assert change == RosterChange(
        survived=(PresencePeer("b", {"new": 1}),), joined=peers("c"), left=("a",), is_snapshot=True
    )
    assert roster.presence(peers("d"), ()) == RosterChange(joined=peers("d"))


def test_with_nobody_to_remember_nothing_is_awaited() -> None:
    roster = welcomed()
    roster.dropped()
    assert roster.welcomed("me", 10.0, is_reconnect=True)
    assert roster.next_timer() is None


def test_our_own_former_id_is_not_a_member() -> None:
    roster = welcomed("a")
    roster.dropped()
    roster.welcomed("me2", 10.0, is_reconnect=True)
    assert roster.presence(peers("a", "me"), ()).joined == ()


def test_a_missing_list_is_asked_for_again_and_finally_given_up() -> None:
    roster = welcomed("a")
    roster.dropped()
    roster.welcomed("me", 0.0, is_reconnect=True)
    assert roster.overdue(SNAPSHOT_TIMEOUT_S - 0.1) is None
    for attempt in range(1, MAX_RESUBSCRIBES + 1):
        assert roster.next_timer() == attempt * SNAPSHOT_TIMEOUT_S
        assert roster.overdue(attempt * SNAPSHOT_TIMEOUT_S) is True
    assert roster.overdue(1000.0) is False
    assert roster.next_timer() is None
    assert roster.overdue(2000.0) is None


def test_the_list_ends_the_wait_and_another_drop_suspends_it() -> None:
    roster = welcomed("a")
    roster.dropped()
    roster.welcomed("me", 0.0, is_reconnect=True)
    roster.dropped()
    assert roster.next_timer() is None
    roster.welcomed("me", 5.0, is_reconnect=True)
    roster.presence(peers("a"), ())
    assert roster.next_timer() is None


def test_clearing_returns_who_was_there() -> None:
    roster = welcomed("a", "b")
    roster.dropped()
    assert roster.clear() == ("a", "b")
    assert not roster.awaits_snapshot


IDS = st.lists(st.sampled_from(["me", "a", "b", "c", "d"]), max_size=5)


class Channel(RuleBasedStateMachine):
    """The roster against a plain set of who the service says is there."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.roster.welcomed("me", 0.0, is_reconnect=False)
        self.seen: set[str] = set()

    def _apply(self, change: RosterChange) -> None:
        assert {peer.peer_id for peer in change.survived} <= self.seen
        for peer in change.joined:
            assert peer.peer_id not in self.seen
            self.seen.add(peer.peer_id)
        for peer_id in change.left:
            self.seen.remove(peer_id)
        assert self.seen == set(self.roster.members)

    @rule(joined=IDS, left=IDS)
    def frame(self, joined: list[str], left: list[str]) -> None:
        is_snapshot = self.roster.awaits_snapshot
        before = set(self.seen)
        self._apply(self.roster.presence(peers(*joined), peers(*left)))
        expected = set(joined) if is_snapshot else (before | set(joined)) - set(left)
        assert self.seen == expected - {"me"}

    @rule()
    def reconnect(self) -> None:
        self.roster.dropped()
        self.roster.welcomed("me", 0.0, is_reconnect=True)


TestChannel = Channel.TestCase
