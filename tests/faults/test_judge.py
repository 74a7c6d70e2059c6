"""The judge itself: what it lets pass, and that it sees each kind of fault."""

import pytest

from tests.faults.judge import Handed, Judge, Ledger, percentile

TOPIC = "plant/a"


def ledger_of(count, *, acknowledged=None, topic=TOPIC):
    ledger = Ledger()
    for number in range(count):
        ledger.sent(topic, number, 100.0 + number)
    for number in range(count) if acknowledged is None else acknowledged:
        ledger.acknowledged(topic, number)
    return ledger


def hear(judge, *numbers, ids=None, backlog=False):
    for number in numbers:
        judge.take(TOPIC, number, (ids or {}).get(number, f"id-{number}"), 200.0 + number, backlog=backlog)


def test_all_in_order_is_no_fault():
    judge = Judge(ledger_of(4))
    hear(judge, 0, 1, 2, 3)
    verdict = judge.verdict()
    assert (verdict.sent, verdict.promised, verdict.arrived, verdict.faults) == (4, 4, 4, ())
    assert list(judge.live_latencies_s) == [100.0] * 4


def test_what_was_promised_and_did_not_come_is_lost():
    judge = Judge(ledger_of(5, acknowledged=[0, 1, 2, 3]))
    hear(judge, 0, 2)
    assert judge.missing() == [(TOPIC, 1), (TOPIC, 3)]
    verdict = judge.verdict()
    assert verdict.lost == 2
    assert verdict.faults[:2] == ("2 lost", "first lost: plant/a:1 plant/a:3")


def test_a_repeat_with_the_same_id_is_counted_and_no_fault_also_late():
    judge = Judge(ledger_of(3))
    hear(judge, 0, 1, 2, 0, 1)
    verdict = judge.verdict()
    assert (verdict.repeated, verdict.reordered, verdict.faults) == (2, 0, ())


def test_a_repeat_with_another_id_is_a_fault():
    judge = Judge(ledger_of(2))
    hear(judge, 0, 1)
    hear(judge, 0, ids={0: "new"})
    hear(judge, 0, ids={0: "new"})
    verdict = judge.verdict()
    assert (verdict.renamed, verdict.repeated) == (1, 1)
    assert verdict.faults


def test_a_sensor_that_sent_twice_may_be_heard_under_two_ids():
    ledger = ledger_of(2)
    ledger.sent(TOPIC, 1, 300.0)
    judge = Judge(ledger)
    hear(judge, 0, 1)
    hear(judge, 1, ids={1: "new"})
    assert judge.verdict().faults == ()


def test_one_id_for_two_readings_is_a_fault():
    judge = Judge(ledger_of(2))
    hear(judge, 0, 1, ids={0: "x", 1: "x"})
    assert judge.verdict().ids_twice == 1


def test_a_first_arrival_behind_a_later_one_is_reordered():
    judge = Judge(ledger_of(4))
    hear(judge, 0, 2, 1, 3)
    verdict = judge.verdict()
    assert verdict.reordered == 1
    assert verdict.faults[0] == "1 reordered"


def test_marked_backlog_is_a_stream_of_its_own_where_it_is_allowed():
    allowed, forbidden = Judge(ledger_of(4), is_backlog_marked=True), Judge(ledger_of(4))
    for judge in (allowed, forbidden):
        hear(judge, 2)
        hear(judge, 0, 1, backlog=True)
        hear(judge, 3)
    assert allowed.verdict().faults == ()
    assert list(allowed.live_latencies_s) == [100.0] * 2
    assert "2 marked as backlog" in forbidden.verdict().faults


def test_what_nobody_sent_is_strange():
    judge = Judge(ledger_of(1))
    hear(judge, 0, 1)
    judge.take("plant/b", 0, "other", 0.0)
    assert judge.verdict().strange == 2


def test_the_broker_answers_for_what_it_did_not_hand_over_and_for_the_order_it_hands_over():
    handed = Handed()
    for number in (1, 0, 3):
        handed.take((TOPIC, number), life=0)
    judge = Judge(ledger_of(4), handed=handed)
    hear(judge, 1, 0)
    verdict = judge.verdict()
    assert (verdict.lost, verdict.lost_by_broker, verdict.reordered) == (1, 1, 0)


def test_a_broker_that_hands_over_again_after_its_death_makes_a_new_reading():
    handed = Handed()
    for life in (0, 0, 1):
        handed.take((TOPIC, 0), life)
    judge = Judge(ledger_of(1), handed=handed)
    hear(judge, 0)
    hear(judge, 0, ids={0: "second"})
    assert judge.verdict().renamed == 0
    hear(judge, 0, ids={0: "third"})
    assert judge.verdict().renamed == 1


@pytest.mark.parametrize(("share", "found"), [(0.0, 1), (0.5, 3), (0.95, 4), (1.0, 4)])
def test_percentile_is_a_value_that_was_there(share, found):
    assert percentile([4, 1, 3, 2], share) == found
    assert percentile([], share) == 0.0
