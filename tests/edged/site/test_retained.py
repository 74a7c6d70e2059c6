"""What has to be sent when: changes soon, numbers with the interval, nothing twice, and what is gone is removed."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edged.site.retained import REMOVE, Retained, Wish


def due(retained, now_s):
    return [(topic, wish.payload) for topic, wish in retained.due(now_s)]


def send_all(retained, now_s):
    found = retained.due(now_s)
    for topic, wish in found:
        retained.sent(topic, wish, now_s)
    return [(topic, wish.payload) for topic, wish in found]


def made(wishes=None):
    retained = Retained(interval_s=60.0, soon_s=1.0)
    retained.want({"a": Wish(b"1", "live")} if wishes is None else wishes)
    return retained


def test_everything_is_sent_at_first_and_nothing_twice():
    retained = made({"a": Wish(b"1"), "b": Wish(b"2")})
    assert send_all(retained, 0.0) == [("a", b"1"), ("b", b"2")]
    assert due(retained, 1000.0) == []
    assert retained.next_s(1000.0) is None


def test_news_is_told_soon_but_not_more_often_than_that():
    retained = made()
    send_all(retained, 0.0)
    retained.want({"a": Wish(b"2", "lost")})
    assert due(retained, 0.5) == []
    assert retained.next_s(0.5) == 1.0
    assert send_all(retained, 1.0) == [("a", b"2")]


def test_numbers_wait_for_the_interval():
    retained = made()
    send_all(retained, 0.0)
    retained.want({"a": Wish(b"2", "live")})
    assert due(retained, 59.9) == []
    assert retained.next_s(10.0) == 60.0
    assert due(retained, 60.0) == [("a", b"2")]


def test_news_that_is_taken_back_in_time_is_not_told():
    retained = made()
    send_all(retained, 0.0)
    retained.want({"a": Wish(b"2", "lost")})
    retained.want({"a": Wish(b"1", "live")})
    assert due(retained, 100.0) == []


def test_a_new_connection_is_told_everything_again():
    retained = made()
    send_all(retained, 0.0)
    retained.again()
    assert due(retained, 0.1) == [("a", b"1")]


def test_what_is_wanted_no_more_is_removed_last():
    retained = made({"z": Wish(b"1"), "a": Wish(b"1")})
    send_all(retained, 0.0)
    retained.want({"a": Wish(b"2", "news")})
    assert send_all(retained, 5.0) == [("a", b"2"), ("z", REMOVE)]
    assert due(retained, 100.0) == []
    assert retained.topics == {"a"}


def test_what_an_earlier_life_left_is_removed_unless_it_is_wanted():
    retained = made()
    retained.remember(["old", "a"])
    assert retained.topics == {"old", "a"}
    assert send_all(retained, 0.0) == [("a", b"1"), ("old", REMOVE)]


def test_what_the_broker_refuses_is_not_asked_again_before_the_next_connection():
    retained = made()
    retained.remember(["old"])
    retained.refused("a")
    retained.refused("old")
    assert due(retained, 100.0) == []
    assert retained.next_s(100.0) is None
    retained.again()
    assert due(retained, 100.0) == [("a", b"1"), ("old", REMOVE)]


class Broker(RuleBasedStateMachine):
    """Whatever happens, the broker ends up holding what is wanted and nothing else, and no topic is told too often."""

    topics = st.sampled_from(["a", "b", "c"])
    wishes = st.dictionaries(topics, st.builds(Wish, st.sampled_from([b"1", b"2"]), st.sampled_from(["x", "y"])))

    def __init__(self):
        super().__init__()
        self.retained = Retained(interval_s=60.0, soon_s=1.0)
        self.wanted = {}
        self.held = {}
        self.told_at_s = {}
        self.now_s = 0.0

    @rule()
    def restart(self):
        kept = self.retained.topics
        self.retained = Retained(interval_s=60.0, soon_s=1.0)
        self.retained.remember(kept)
        self.retained.want(self.wanted)
        self.told_at_s.clear()

    @rule()
    def connect_to_a_broker_that_forgot(self):
        self.held.clear()
        self.retained.again()
        self.told_at_s.clear()

    @rule(wanted=wishes)
    def change(self, wanted):
        self.wanted = wanted
        self.retained.want(wanted)

    @rule(seconds=st.sampled_from([0.3, 1.0, 60.0]), all_of_them=st.booleans())
    def send(self, seconds, all_of_them):
        self.now_s += seconds
        found = self.retained.due(self.now_s)
        for topic, wish in found if all_of_them else found[:1]:
            if wish.payload == REMOVE:
                self.held.pop(topic, None)
                self.told_at_s.pop(topic, None)
            else:
                assert self.now_s - self.told_at_s.get(topic, -9.0) >= 0.99
                self.told_at_s[topic] = self.now_s
                self.held[topic] = wish.payload
            self.retained.sent(topic, wish, self.now_s)

    @invariant()
    def in_the_end_it_holds_what_is_wanted(self):
        held = dict(self.held)
        for topic, wish in self.retained.due(self.now_s + 60.0):
            if wish.payload == REMOVE:
                held.pop(topic, None)
            else:
                held[topic] = wish.payload
        assert held == {topic: wish.payload for topic, wish in self.wanted.items()}


TestBroker = Broker.TestCase
