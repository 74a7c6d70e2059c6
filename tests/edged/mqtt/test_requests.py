"""Which reply answers which request."""

from __future__ import annotations

import pytest

from edged.mqtt.requests import Request, Requests


@pytest.fixture
def requests():
    return Requests()


def asked(requests, mark=b"1", topic="re", is_reply=lambda _payload: True):
    """Begin a request; return it and the list its replies land in."""
    replies = []
    request = Request(topic, mark, replies.append, is_reply)
    requests.begin(request)
    return request, replies


def test_a_reply_without_a_mark_answers_the_one_that_waits(requests):
    _request, replies = asked(requests)
    assert requests.take("re", b"yes", b"")
    assert replies == [b"yes"]
    assert not requests.take("other", b"yes", b"")


def test_a_second_request_waits_for_the_first(requests):
    first, _replies = asked(requests)
    assert not requests.may_begin("re")
    assert requests.may_begin("other")
    assert requests.end(first)
    assert requests.may_begin("re")


def test_a_sender_that_marks_may_be_asked_twice_at_a_time(requests):
    _first, replies = asked(requests)
    requests.take("re", b"yes", b"1")
    assert requests.may_begin("re")
    second, others = asked(requests, b"2")
    assert requests.take("re", b"no", b"2")
    assert (replies, others) == ([b"yes"], [b"no"])
    assert not requests.end(second)


def test_a_mark_of_somebody_else_answers_nobody(requests):
    _request, replies = asked(requests)
    assert not requests.take("re", b"late", b"0")
    assert replies == []


def test_a_sender_that_marks_no_more_is_asked_once_at_a_time(requests):
    asked(requests)
    requests.take("re", b"yes", b"1")
    asked(requests, b"2")
    assert not requests.take("re", b"whose?", b"")
    assert not requests.may_begin("re")


def test_a_payload_can_tell_more_than_the_topic(requests):
    _request, replies = asked(requests, is_reply=lambda payload: payload == b"mine")
    assert not requests.take("re", b"other", b"")
    assert requests.take("re", b"mine", b"")
    assert replies == [b"mine"]


def test_a_late_reply_answers_nobody_and_its_topic_is_known(requests):
    request, replies = asked(requests)
    assert not requests.is_known("other")
    requests.end(request)
    assert not requests.take("re", b"late", b"")
    assert replies == []
    assert requests.is_known("re")
    assert requests.end(request)


def test_topics_are_those_that_are_waited_on_and_memory_is_bounded(requests):
    for number in range(300):
        request, _replies = asked(requests, topic=f"re/{number}")
        if number:
            requests.end(request)
    assert list(requests.topics()) == ["re/0"]
    assert requests.is_awaited("re/0")
    assert not requests.is_awaited("re/299")
    assert not requests.is_known("re/1")
    assert requests.is_known("re/299")
