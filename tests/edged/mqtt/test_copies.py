"""Copies of one message for overlapping filters, and messages that only look like copies."""

from edged.mqtt.copies import Copies, identifier

A, B = identifier("+/temp"), identifier("house/#")


def deliver(copies, payload, *marks, topic="house/temp", retain=False):
    return copies.is_copy(topic, payload, retain=retain, marks=marks)


def test_the_same_for_another_subscription_is_a_copy():
    copies = Copies(["+/temp", "house/#"])
    assert [deliver(copies, b"1", A), deliver(copies, b"1", B)] == [False, True]


def test_the_same_for_the_same_subscription_is_a_new_message():
    copies = Copies(["+/temp", "house/#"])
    marks = [A, B, A, B, B, A]
    assert [deliver(copies, b"1", mark) for mark in marks] == [False, True, False, True, False, True]


def test_another_content_is_a_new_message():
    copies = Copies(["+/temp", "house/#"])
    deliver(copies, b"1", A)
    assert not deliver(copies, b"2", B)
    assert not deliver(copies, b"2", A, topic="barn/temp")
    assert not deliver(copies, b"2", B, topic="barn/temp", retain=True)


def test_one_delivery_for_all_subscriptions_has_no_copies():
    copies = Copies(["+/temp", "house/#"])
    assert not deliver(copies, b"1", A, B)
    assert not deliver(copies, b"1", A, B)


def test_without_marks_or_with_those_of_an_earlier_configuration_nothing_is_a_copy():
    copies = Copies(["+/temp", "house/#"])
    assert [deliver(copies, b"1"), deliver(copies, b"1")] == [False, False]
    assert [deliver(copies, b"1", 7), deliver(copies, b"1", A)] == [False, False]


def test_identifiers_are_valid_and_lasting():
    assert identifier("house/#") == identifier("house/#")
    assert all(1 <= identifier(f"f/{n}") <= 268_435_455 for n in range(1000))
