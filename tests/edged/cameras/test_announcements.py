from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from edged.cameras.announcements import MAX_NEWCOMERS, Announcements


def drain(news: Announcements) -> list[tuple[str | None, str]]:
    out = []
    while (item := news.take()) is not None:
        out.append(item)
    return out


def test_a_change_is_told_to_everybody_once_however_often_it_changed() -> None:
    news = Announcements(["yard", "gate"])
    news.changed("yard")
    news.changed("yard")
    assert drain(news) == [(None, "yard")]


def test_a_newcomer_is_told_every_camera() -> None:
    news = Announcements(["yard", "gate"])
    news.arrived("p1")
    assert drain(news) == [("p1", "yard"), ("p1", "gate")]


def test_who_left_is_told_nothing() -> None:
    news = Announcements(["yard"])
    news.arrived("p1")
    news.gone("p1")
    news.gone("p2")
    assert drain(news) == []


def test_after_a_break_everybody_is_told_everything_once() -> None:
    news = Announcements(["yard", "gate"])
    news.arrived("p1")
    news.changed("gate")
    news.rejoined()
    assert drain(news) == [(None, "yard"), (None, "gate")]


def test_newcomers_are_bounded() -> None:
    news = Announcements(["yard"])
    for number in range(MAX_NEWCOMERS + 5):
        news.arrived(f"p{number}")
    news.arrived("p1")
    assert news.refused == 5
    assert len(drain(news)) == MAX_NEWCOMERS


def test_who_waits_already_can_be_told_more_however_many_wait() -> None:
    news = Announcements(["yard"])
    for number in range(MAX_NEWCOMERS):
        news.arrived(f"p{number}")
    news.tell("p1", "gate")
    news.tell("beyond", "gate")
    told = drain(news)
    assert ("p1", "gate") in told
    assert (news.refused, len(told)) == (1, MAX_NEWCOMERS + 1)


class AnyNews(RuleBasedStateMachine):
    """Whoever listens knows the newest state of every camera once all is told."""

    def __init__(self) -> None:
        super().__init__()
        self.names = ["a", "b", "c"]
        self.news = Announcements(self.names)
        self.state = dict.fromkeys(self.names, 0)
        self.known: dict[str, dict[str, int]] = {}

    @rule(name=st.sampled_from(["a", "b", "c"]))
    def change(self, name: str) -> None:
        self.state[name] += 1
        self.news.changed(name)

    @rule(peer=st.sampled_from(["p", "q"]))
    def arrive(self, peer: str) -> None:
        self.known[peer] = {}
        self.news.arrived(peer)

    @rule(peer=st.sampled_from(["p", "q"]))
    def leave(self, peer: str) -> None:
        self.known.pop(peer, None)
        self.news.gone(peer)

    @rule()
    def rejoin(self) -> None:
        self.news.rejoined()

    @rule(count=st.integers(0, 3))
    def tell_some(self, count: int) -> None:
        for _ in range(count):
            self.tell()

    @rule()
    def tell_all(self) -> None:
        while self.tell():
            pass
        assert all(known == self.state for known in self.known.values())

    def tell(self) -> bool:
        item = self.news.take()
        if item is None:
            return False
        peer, name = item
        for listener in self.known if peer is None else [peer]:
            self.known[listener][name] = self.state[name]
        return True


TestAnyNews = AnyNews.TestCase
TestAnyNews.settings = settings(max_examples=60, deadline=None)


def test_one_peer_is_told_one_camera_anew_behind_what_everybody_is_told() -> None:
    news = Announcements(["yard", "gate"])
    news.tell("p1", "yard")
    news.tell("p1", "yard")
    news.changed("gate")
    assert drain(news) == [(None, "gate"), ("p1", "yard")]


def test_peers_beyond_the_bound_are_told_nothing_anew() -> None:
    news = Announcements(["yard"])
    for number in range(MAX_NEWCOMERS + 1):
        news.tell(f"p{number}", "yard")
    news.tell("p0", "yard")
    assert len(drain(news)) == MAX_NEWCOMERS
