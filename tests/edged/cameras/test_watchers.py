from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged.cameras.link_choice import LinkWaits
from edged.cameras.watch_messages import MAX_REASONS
from edged.cameras.watchers import INTERVAL_S, MAX_WATCHERS, SLOW_LINK, Watchers

CAMERAS = {"yard": True, "gate": False}


def watch(**cameras: Any) -> dict[str, Any]:
    return {"type": "edged/watch", "cameras": cameras}


def viewer() -> Watchers:
    watchers = Watchers(CAMERAS)
    watchers.arrived("p1")
    return watchers


def test_who_asks_for_nothing_gets_the_main_picture_of_every_camera() -> None:
    watchers = viewer()
    assert list(watchers.choice("p1").items()) == [("yard", "main"), ("gate", "main")]
    assert watchers.take(0) is None
    assert watchers.due_in_s(0) is None


def test_what_is_asked_for_is_chosen_and_answered() -> None:
    watchers = viewer()
    watchers.asked("p1", {**watch(yard="sub"), "id": 5})
    assert watchers.take(0) == (
        "p1",
        {"type": "edged/watching", "cameras": {"yard": "sub", "gate": "main"}, "reasons": {}, "id": 5},
    )
    assert watchers.choice("p1") == {"yard": "sub", "gate": "main"}
    assert watchers.take(9) is None


def test_what_is_not_named_stays_and_a_star_is_every_other() -> None:
    watchers = viewer()
    watchers.asked("p1", watch(yard="sub"))
    watchers.asked("p1", watch(gate="none"))
    assert watchers.choice("p1") == {"yard": "sub", "gate": "none"}
    watchers.asked("p1", watch(**{"gate": "main", "*": "none"}))
    assert watchers.choice("p1") == {"yard": "none", "gate": "main"}


def test_a_second_picture_that_is_not_there_is_the_main_one_with_the_reason() -> None:
    watchers = viewer()
    watchers.asked("p1", watch(**{"*": "sub", "barn": "main"}))
    found = watchers.take(0)
    assert found is not None
    assert found[1]["cameras"] == {"yard": "sub", "gate": "main"}
    assert set(found[1]["reasons"]) == {"gate", "barn"}


def test_many_wishes_are_carried_out_as_one_and_not_too_often() -> None:
    watchers = viewer()
    watchers.asked("p1", watch(yard="none"))
    assert watchers.take(0.0) is not None
    for wish in ("sub", "main", "none", "sub"):
        watchers.asked("p1", watch(yard=wish))
    assert watchers.take(0.0) is None
    assert watchers.due_in_s(0.0) == INTERVAL_S
    assert watchers.due_in_s(9.0) == 0.0
    found = watchers.take(INTERVAL_S)
    assert found is not None
    assert found[1]["cameras"]["yard"] == "sub"
    assert watchers.take(9.0) is None


def test_one_who_floods_does_not_keep_another_waiting() -> None:
    watchers = viewer()
    watchers.arrived("p2")
    watchers.asked("p1", watch())
    watchers.take(0.0)
    watchers.asked("p1", watch())
    watchers.asked("p2", watch(yard="none"))
    found = watchers.take(0.0)
    assert found is not None
    assert found[0] == "p2"


def test_a_gateway_gets_nothing_unless_it_asks() -> None:
    watchers = viewer()
    watchers.arrived("p2", is_gateway=True)
    assert watchers.is_gateway("p1")
    assert not watchers.is_gateway("p1"), "it has said so"
    assert not watchers.is_gateway("p2")
    assert not watchers.is_gateway("stranger")
    assert watchers.choice("p1") == watchers.choice("p2") == {"yard": "none", "gate": "none"}
    watchers.asked("p2", watch(gate="main"))
    assert watchers.choice("p2") == {"yard": "none", "gate": "main"}


def test_a_request_of_no_use_is_answered_with_what_is_wrong() -> None:
    watchers = viewer()
    watchers.asked("p1", {"type": "edged/watch"})
    found = watchers.take(0)
    assert found is not None
    assert "must be an object" in found[1]["error"]
    assert found[1]["cameras"] == {"yard": "main", "gate": "main"}


def test_strangers_are_not_listened_to_and_who_left_is_forgotten() -> None:
    watchers = viewer()
    watchers.asked("stranger", watch(yard="none"))
    assert watchers.choice("stranger") == {"yard": "main", "gate": "main"}
    watchers.asked("p1", watch(yard="none"))
    watchers.gone("p1")
    watchers.gone("p1")
    assert watchers.take(0) is None


def test_the_number_of_members_is_bounded() -> None:
    watchers = Watchers(CAMERAS)
    for number in range(MAX_WATCHERS + 1):
        watchers.arrived(f"p{number}")
    watchers.arrived("p1")
    assert watchers.refused == 1
    last = f"p{MAX_WATCHERS}"
    watchers.asked(last, watch(yard="none"))
    assert watchers.take(0) is None
    assert watchers.choice(last) == {"yard": "main", "gate": "main"}


def test_reasons_that_pile_up_before_the_answer_are_bounded() -> None:
    watchers = viewer()
    for batch in range(5):
        watchers.asked("p1", watch(**{f"{batch}-{number}": "main" for number in range(30)}))
    found = watchers.take(0)
    assert found is not None
    assert len(found[1]["reasons"]) == MAX_REASONS


WAITS = LinkWaits(confirm_s=1, settle_s=5, retry_s=20)


class Site:
    """Two cameras with second pictures and one without; two viewers, the first on a thin link."""

    def __init__(self) -> None:
        self.lowerable = {"yard": 4e6, "barn": 2e6}
        self.watchers = Watchers({"yard": True, "barn": True, "gate": False}, lowerable=self.lowerable.get, waits=WAITS)
        self.watchers.arrived("p1")
        self.watchers.arrived("p2")
        self.now_s = 50.0
        self.watchers.linked("p1", self.now_s, is_thin=True)

    def next(self, wait_s: float) -> dict[str, Any]:
        """Return the next answer, which is p1's and comes after that time."""
        assert self.watchers.take(self.now_s) is None
        assert self.watchers.due_in_s(self.now_s) == wait_s
        self.now_s += wait_s
        found = self.watchers.take(self.now_s)
        assert found is not None
        assert found[0] == "p1"
        assert found[1]["cameras"] == self.watchers.choice("p1")
        return found[1]


def test_a_viewer_on_a_thin_link_gets_second_pictures_one_after_the_other_and_is_told_why() -> None:
    site = Site()
    assert site.next(WAITS.confirm_s) == {
        "type": "edged/watching",
        "cameras": {"yard": "sub", "barn": "main", "gate": "main"},
        "reasons": {"yard": SLOW_LINK},
    }
    assert site.next(WAITS.settle_s)["reasons"] == {"yard": SLOW_LINK, "barn": SLOW_LINK}
    assert set(site.watchers.choice("p2").values()) == {"main"}, "never at the expense of another"
    assert site.watchers.counts(("p1", "p2")) == (2, 1)


def test_its_main_pictures_come_back_after_a_while() -> None:
    site = Site()
    site.next(WAITS.confirm_s)
    site.watchers.linked("p1", site.now_s, is_thin=False)
    answer = site.next(WAITS.retry_s)
    assert (answer["cameras"]["yard"], answer["reasons"]) == ("main", {})
    assert site.watchers.take(site.now_s + 99) is None
    assert site.watchers.due_in_s(site.now_s) is None
    assert site.watchers.counts(("p1", "p2")) == (2, 0)


def test_what_a_viewer_asks_for_stays_its_wish_on_a_thin_link() -> None:
    site = Site()
    site.next(WAITS.confirm_s)
    site.watchers.asked("p1", {**watch(yard="none", barn="sub"), "id": 7})
    found = site.watchers.take(site.now_s + 1)
    assert found is not None
    assert found[1] == {
        "type": "edged/watching",
        "cameras": {"yard": "none", "barn": "sub", "gate": "main"},
        "reasons": {},
        "id": 7,
    }
    site.watchers.asked("p1", watch(yard="main", gate="none"))
    found = site.watchers.take(site.now_s + 2)
    assert found is not None
    assert found[1]["cameras"] == {"yard": "sub", "barn": "sub", "gate": "none"}
    assert found[1]["reasons"] == {"yard": SLOW_LINK}


def test_an_answer_that_nobody_asked_for_repeats_nothing_of_the_last_request() -> None:
    site = Site()
    site.watchers.asked("p1", {"type": "edged/watch", "id": 7})
    found = site.watchers.take(site.now_s)
    assert found is not None
    assert (found[1]["id"], "error" in found[1]) == (7, True)
    assert set(site.next(WAITS.confirm_s)) == {"type", "cameras", "reasons"}


def test_a_second_picture_in_trouble_is_no_way_out() -> None:
    site = Site()
    site.next(WAITS.confirm_s)
    del site.lowerable["yard"]
    found = site.watchers.take(site.now_s + 1)
    assert found is not None
    assert found[1]["cameras"]["yard"] == "main"
    site.lowerable["yard"] = 4e6
    found = site.watchers.take(site.now_s + 2)
    assert found is not None
    assert found[1]["cameras"]["yard"] == "sub"


def test_a_thin_link_of_who_left_or_is_a_stranger_keeps_nobody_busy() -> None:
    site = Site()
    site.watchers.gone("p1")
    site.watchers.linked("stranger", site.now_s, is_thin=True)
    site.watchers.link_renewed("stranger", site.now_s)
    assert site.watchers.take(site.now_s + 9) is None
    assert site.watchers.due_in_s(site.now_s) is None
    assert site.watchers.counts(("p2", "stranger")) == (2, 0)
    site.watchers.arrived("p1")
    assert site.watchers.take(site.now_s + 9) is None, "its link is a new one"


def test_an_answer_that_was_not_heard_is_given_again_as_things_are_then() -> None:
    watchers = viewer()
    watchers.asked("p1", {**watch(yard="sub"), "id": 5})
    found = watchers.take(0.0)
    assert found is not None
    watchers.unheard(*found)
    watchers.unheard("stranger", found[1])
    assert watchers.take(INTERVAL_S) == found
    watchers.unheard(*found)
    watchers.asked("p1", {**watch(yard="none"), "id": 6})
    found = watchers.take(9.0)
    assert found is not None
    assert (found[1]["id"], found[1]["cameras"]["yard"]) == (6, "none")
    watchers.unheard(*found)
    watchers.gone("p1")
    assert watchers.take(99.0) is None


def test_a_gateway_is_no_viewer() -> None:
    watchers = viewer()
    watchers.arrived("p2", is_gateway=True)
    assert watchers.counts(("p1", "p2")) == (1, 0)


def test_who_wishes_nothing_or_is_not_connected_is_no_viewer() -> None:
    watchers = viewer()
    watchers.arrived("p2")
    watchers.asked("p2", {"cameras": {"*": "none"}})
    assert watchers.counts(("p1", "p2")) == (1, 0)
    assert watchers.counts(()) == (0, 0)
    assert watchers.counts(("p1", "one too many for a choice")) == (2, 0)


class Members(RuleBasedStateMachine):
    """Against a model: a dictionary of wishes per member."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers = Watchers(CAMERAS)
        self.model: dict[str, dict[str, str]] = {}
        self.waiting: set[str] = set()
        self.now_s = 0.0

    peers = st.sampled_from(["p1", "p2", "p3"])
    wishes = st.dictionaries(st.sampled_from(["yard", "gate", "*", "x"]), st.sampled_from(["main", "sub", "none", "?"]))

    @rule(peer_id=peers)
    def arrive(self, peer_id: str) -> None:
        self.watchers.arrived(peer_id)
        self.model[peer_id] = dict.fromkeys(CAMERAS, "main")
        self.waiting.discard(peer_id)

    @rule(peer_id=peers)
    def leave(self, peer_id: str) -> None:
        self.watchers.gone(peer_id)
        self.model.pop(peer_id, None)
        self.waiting.discard(peer_id)

    @rule(peer_id=peers, wishes=wishes)
    def ask(self, peer_id: str, wishes: dict[str, str]) -> None:
        self.watchers.asked(peer_id, watch(**wishes))
        if peer_id in self.model:
            self.waiting.add(peer_id)
            good = {name: wish for name, wish in wishes.items() if wish != "?"}
            if "*" in good:
                self.model[peer_id] = dict.fromkeys(CAMERAS, good["*"])
            self.model[peer_id].update({name: wish for name, wish in good.items() if name in CAMERAS})

    @rule()
    def serve(self) -> None:
        due_in_s = self.watchers.due_in_s(self.now_s)
        assert (due_in_s is None) == (not self.waiting)
        self.now_s += due_in_s or 0.0
        if (found := self.watchers.take(self.now_s)) is not None:
            self.waiting.remove(found[0])

    @invariant()
    def everybody_gets_what_can_be_had_of_what_was_asked(self) -> None:
        for peer_id, wishes in self.model.items():
            gate = "main" if wishes["gate"] == "sub" else wishes["gate"]
            assert self.watchers.choice(peer_id) == {"yard": wishes["yard"], "gate": gate}


TestMembers = Members.TestCase
TestMembers.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
