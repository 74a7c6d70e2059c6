from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.cameras.link_choice import LinkChoice, LinkWaits

WAITS = LinkWaits(confirm_s=1, settle_s=5, retry_s=20, max_retry_s=300, held_s=180)
MAINS = {"yard": 4e6, "gate": 1e6, "barn": 2e6}


class Link:
    """One viewer, and a clock that goes on to whenever the choice wants to be looked at."""

    def __init__(self, mains: dict[str, float] | None = None) -> None:
        self.choice = LinkChoice(WAITS)
        self.mains = MAINS if mains is None else mains
        self.now_s = 100.0

    def is_thin(self, is_thin: bool) -> None:
        self.choice.linked(self.now_s, is_thin=is_thin)

    def next(self) -> tuple[str, ...]:
        """Go on to the next change, and return what is lowered then."""
        for _ in range(1000):
            due_s = self.choice.next_s(self.now_s, self.mains)
            assert due_s != float("inf"), "nothing can come of it"
            self.now_s = max(self.now_s, due_s)
            if self.choice.step(self.now_s, self.mains):
                return self.choice.lowered
        raise AssertionError("nothing came of it")

    def passed(self, since_s: float) -> float:
        return self.now_s - since_s


def thin(mains: dict[str, float] | None = None) -> Link:
    link = Link(mains)
    link.is_thin(True)
    return link


def failed(link: Link, after_s: float = 2.0) -> float:
    """A main picture is tried and the link turns out too thin; return how long it took until it was tried."""
    since_s = link.now_s
    assert link.next() == ()
    waited_s = link.passed(since_s)
    link.now_s += after_s
    link.is_thin(True)
    assert link.next() == ("yard",)
    link.is_thin(False)
    return waited_s


def test_nothing_is_to_be_done_where_the_link_is_wide_enough() -> None:
    link = Link()
    assert link.choice.next_s(link.now_s, MAINS) == float("inf")
    assert not link.choice.step(link.now_s, MAINS)
    assert link.choice.is_idle


def test_the_heaviest_is_lowered_first_and_not_all_at_once() -> None:
    link = thin()
    since_s = link.now_s
    assert link.next() == ("yard",)
    assert link.passed(since_s) == WAITS.confirm_s
    assert link.next() == ("yard", "barn")
    assert link.passed(since_s) == WAITS.confirm_s + WAITS.settle_s
    assert link.next() == ("yard", "barn", "gate")


def test_a_link_that_is_thin_for_a_moment_changes_nothing() -> None:
    link = thin()
    link.now_s += 0.9
    link.is_thin(False)
    link.now_s += 10
    assert not link.choice.step(link.now_s, MAINS)
    assert link.choice.is_idle


def test_a_thin_link_with_nothing_to_lower_is_looked_at_now_and_then() -> None:
    link = thin({})
    link.now_s += 10
    assert not link.choice.step(link.now_s, {})
    assert link.choice.next_s(link.now_s, {}) == link.now_s + WAITS.settle_s
    assert not link.choice.is_idle
    link.mains = MAINS
    assert link.next() == ("yard",)


def test_what_was_lowered_last_is_tried_first_one_at_a_time() -> None:
    link = thin()
    link.next()
    link.next()
    link.is_thin(False)
    since_s = link.now_s
    assert link.next() == ("yard",)
    assert link.passed(since_s) == WAITS.retry_s
    assert link.next() == ()
    assert link.passed(since_s) == 2 * WAITS.retry_s
    assert link.choice.is_idle


def test_nothing_is_tried_while_the_link_is_thin() -> None:
    link = thin({"yard": 1e6})
    link.next()
    link.now_s += 1000
    assert not link.choice.step(link.now_s, link.mains)
    assert link.choice.lowered == ("yard",)


def test_the_wait_grows_with_every_try_that_fails() -> None:
    link = thin({"yard": 1e6})
    link.next()
    link.is_thin(False)
    assert [failed(link) for _ in range(6)] == [20, 40, 80, 160, 300, 300]


def test_a_try_that_held_starts_the_waits_over() -> None:
    link = thin({"yard": 1e6})
    link.next()
    link.is_thin(False)
    failed(link)
    failed(link)
    assert failed(link, after_s=WAITS.held_s) == 80
    assert failed(link) == 20


def test_what_was_tried_is_what_goes_back_though_another_one_is_heavier() -> None:
    link = thin()
    link.next()
    link.next()
    link.is_thin(False)
    assert link.next() == ("yard",)
    link.is_thin(True)
    assert link.next() == ("yard", "barn")
    link.mains = {**MAINS, "gate": 9e6}
    link.is_thin(False)
    assert link.next() == ("yard",)
    link.is_thin(True)
    assert link.next() == ("yard", "barn")


def test_what_is_not_wished_as_it_is_raised_is_no_try() -> None:
    link = thin({"yard": 1e6})
    link.next()
    link.is_thin(False)
    link.mains = {}
    assert link.next() == ()
    link.mains = {"yard": 1e6}
    link.is_thin(True)
    assert link.next() == ("yard",)
    link.is_thin(False)
    assert failed(link) == WAITS.retry_s


def test_another_link_is_tried_without_the_failures_of_the_old_one() -> None:
    link = thin({"yard": 1e6})
    link.next()
    link.is_thin(False)
    failed(link)
    failed(link)
    link.choice.renewed(link.now_s)
    assert failed(link) == WAITS.retry_s


@given(
    st.lists(
        st.tuples(st.floats(0, 400), st.booleans(), st.dictionaries(st.sampled_from("abc"), st.floats(0, 1e7))),
        max_size=40,
    )
)
def test_one_change_at_a_time_and_never_a_busy_loop(steps: list[tuple[float, bool, dict[str, float]]]) -> None:
    choice = LinkChoice(WAITS)
    now_s = 0.0
    for wait_s, is_thin, mains in steps:
        now_s += wait_s
        choice.linked(now_s, is_thin=is_thin)
        before = choice.lowered
        changed = choice.step(now_s, mains)
        assert abs(len(choice.lowered) - len(before)) == changed
        assert len(set(choice.lowered)) == len(choice.lowered)
        assert not changed or is_thin == (len(choice.lowered) > len(before))
        while choice.next_s(now_s, mains) <= now_s:
            assert choice.step(now_s, mains)
