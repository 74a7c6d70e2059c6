"""Packets of filters, and which filters need a mark."""

from __future__ import annotations

import pytest

from edged.mqtt.subscribing import batches, evened, overlapping


def test_few_filters_are_one_packet():
    assert list(batches([("a", 1), ("b", 0)])) == [[("a", 1), ("b", 0)]]
    assert list(batches([])) == []


def test_many_filters_are_packets_of_a_hundred_in_their_order():
    wanted = [(f"t/{n}", 1) for n in range(250)]
    packets = list(batches(wanted))
    assert [len(packet) for packet in packets] == [100, 100, 50]
    assert [pair for packet in packets for pair in packet] == wanted


def test_long_filters_are_smaller_packets():
    wanted = [(f"{n}/{'x' * 6000}", 1) for n in range(5)]
    assert [len(packet) for packet in batches(wanted)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["a", "b"], set()),
        (["a", "#", "$SYS/x"], {"a", "#"}),
        (["a/+", "b/+", "c/1"], set()),
        (["a/+", "+/b", "c"], {"a/+", "+/b"}),
        (["a/+", "a/1", "a/2", "b/1"], {"a/+", "a/1", "a/2"}),
    ],
)
def test_filters_that_share_topics_are_found(filters, found):
    assert overlapping(filters) == found


def test_beyond_a_bound_all_are_taken_for_overlapping():
    filters = [f"{n}/+" for n in range(500)]
    assert overlapping(filters) == set(filters)


def test_filters_whose_messages_may_come_twice_ask_for_the_same_qos():
    wanted = (("a/#", 1), ("a/b", 0), ("c", 0))
    assert evened(wanted, {"a/#", "a/b"}) == (("a/#", 1), ("a/b", 1), ("c", 0))
    assert evened(wanted[1:], {"a/b"}) == wanted[1:]
    assert evened(wanted, ()) == wanted
