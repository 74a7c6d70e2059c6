from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.cameras.handover import Handover
from edged.cameras.watch_messages import Quality, Wish


class Scene:
    """One camera whose two pictures are live as the test says, and one viewer."""

    def __init__(self, *live: Quality) -> None:
        self.live = set(live)
        self.handover = Handover(lambda _name, quality: quality in self.live)

    def plan(self, wish: Wish) -> Wish:
        return self.handover.plan("p1", {"yard": wish})["yard"]


def test_the_first_choice_is_given_at_once() -> None:
    assert Scene().plan("sub") == "sub"


def test_a_live_picture_goes_on_until_the_other_one_is_live() -> None:
    scene = Scene("main")
    scene.plan("main")
    assert scene.plan("sub") == "main"
    assert (scene.handover.waiting, scene.handover.awaited) == (("p1",), {("yard", "sub")})
    scene.live.add("sub")
    assert scene.plan("sub") == "sub"
    assert (scene.handover.waiting, scene.handover.awaited) == ((), set())


def test_a_picture_that_is_not_live_is_not_kept() -> None:
    scene = Scene("main")
    scene.plan("main")
    scene.plan("sub")
    scene.live.clear()
    assert scene.plan("sub") == "sub"


def test_nothing_is_kept_for_who_wants_nothing_or_is_gone() -> None:
    scene = Scene("main")
    scene.plan("main")
    scene.plan("sub")
    assert scene.plan("none") == "none"
    assert scene.handover.awaited == set()
    assert scene.plan("sub") == "sub", "there was no picture before it"
    scene = Scene("main")
    scene.plan("main")
    scene.plan("sub")
    scene.handover.gone("p1")
    scene.handover.gone("p1")
    assert scene.handover.waiting == ()


@given(st.lists(st.tuples(st.sampled_from(["main", "sub", "none"]), st.sets(st.sampled_from(["main", "sub"])))))
def test_one_waits_only_for_what_it_is_not_sent_and_only_with_a_picture(steps: list[tuple[Wish, set[Quality]]]) -> None:
    scene = Scene()
    for wish, live in steps:
        scene.live = live
        now = scene.plan(wish)
        assert (now != wish) == bool(scene.handover.awaited)
        if now != wish:
            assert now in live
            assert wish not in live
