"""What the broker has retained: news once, and a flood of it waits for live readings."""

from edged.telemetry.retained import Retained


def test_a_value_is_news_once():
    retained = Retained(100)
    assert not retained.is_repeat("a", b"1")
    assert retained.is_repeat("a", b"1")
    assert not retained.is_repeat("b", b"1")
    assert not retained.is_repeat("a", b"2")
    assert retained.is_repeat("a", b"2")


def test_what_is_remembered_is_bounded_and_forgotten_all_at_once():
    retained = Retained(1000)
    for number in range(50_000):
        assert not retained.is_repeat(f"t/{number}", b"1")
    assert len(retained._seen) == 1000
    assert retained.is_repeat("t/49999", b"1")
    assert not retained.is_repeat("t/0", b"1")


def test_the_first_thousand_go_as_live_ones_do_and_the_rest_of_a_flood_does_not():
    retained = Retained(100)
    at_once = [retained.is_flood(1_000_000) for _ in range(50_000)]
    assert at_once.index(True) == 1000
    assert all(at_once[1000:])
    assert [retained.is_flood(1_000_100) for _ in range(11)] == [False] * 10 + [True]


def test_after_a_while_it_is_no_flood_any_more():
    retained = Retained(100)
    for _ in range(2000):
        retained.is_flood(1_000_000)
    assert not any(retained.is_flood(1_010_000) for _ in range(1000))
    assert retained.is_flood(1_010_000)
