"""Requests are settled once, and what is held is sent or given back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metered_realtime import errors
from metered_realtime.options import SubscribeOptions
from metered_realtime.requests_in_flight import ACK_TIMEOUT_S, MAX_HELD_BYTES, REPLAY_RETRY_S, RequestsInFlight
from metered_realtime.session_actions import Action, Log, Settle, Transmit


@pytest.fixture
def subscriptions() -> dict[str, SubscribeOptions]:
    return {}


@pytest.fixture
def requests(subscriptions) -> RequestsInFlight:
    ids = iter(range(1000))
    return RequestsInFlight(subscriptions, lambda: f"r{next(ids)}")


def settled(actions: list[Action]) -> dict[str, Any]:
    return {each.request_id: each.error and type(each.error) for each in actions if isinstance(each, Settle)}


def test_a_request_is_settled_once(requests):
    requests.register("a", 0.0)
    assert "a" in requests
    assert settled(requests.settle("a", None, 1.0)) == {"a": None}
    assert requests.settle("a", None, 1.0) == []
    assert requests.next_timer() == float("inf")


def test_a_request_without_an_answer_times_out(requests):
    requests.register("a", 0.0)
    requests.register("b", 5.0)
    assert requests.next_timer() == ACK_TIMEOUT_S
    assert settled(requests.handle_timer(ACK_TIMEOUT_S)) == {"a": errors.AckTimeoutError}
    assert len(requests) == 1


def test_what_is_held_is_sent_in_order_unless_it_is_abandoned(requests):
    for request_id in "abc":
        requests.register(request_id, 0.0)
        assert requests.hold(request_id, request_id * 3)
    requests.abandon("b")
    assert requests.release() == [Transmit("aaa"), Transmit("ccc")]
    assert requests.release() == []
    assert len(requests) == 2


def test_only_so_much_is_held(requests):
    requests.register("a", 0.0)
    requests.register("b", 0.0)
    assert requests.hold("a", "x" * MAX_HELD_BYTES)
    assert not requests.hold("b", "x")
    requests.settle("a", None, 0.0)
    assert requests.hold("b", "x")


def test_the_end_tells_what_was_sent_from_what_never_was(requests):
    for request_id in "ab":
        requests.register(request_id, 0.0)
    requests.hold("b", "text")
    assert settled(requests.fail_all(1006)) == {"a": errors.DisconnectedError, "b": errors.NotConnectedError}
    assert len(requests) == 0
    assert requests.release() == []


def test_a_lost_connection_fails_what_was_sent_and_keeps_what_is_held(requests):
    for request_id in "ab":
        requests.register(request_id, 0.0)
    requests.hold("b", "text")
    assert settled(requests.fail_sent(4020)) == {"a": errors.DisconnectedError}
    assert requests.release() == [Transmit("text")]


def test_the_old_connection_takes_with_it_only_what_was_asked_there(requests):
    for request_id in "abc":
        requests.register(request_id, 0.0)
    requests.hold("c", "text")
    requests.moved()
    requests.register("d", 1.0)
    requests.settle("a", None, 1.0)
    assert settled(requests.fail_old(1000)) == {"b": errors.DisconnectedError}
    assert requests.fail_old(1000) == []
    assert len(requests) == 2


def test_subscriptions_are_replayed_and_refusals_repeated(requests, subscriptions):
    subscriptions.update({"x": SubscribeOptions(include_sender_metadata=True), "y": SubscribeOptions()})
    frames = [json.loads(action.text) for action in requests.replay_all(0.0)]
    assert [(frame["channel"], frame.get("includeSenderMetadata")) for frame in frames] == [("x", True), ("y", None)]
    assert requests.is_moving()
    assert requests.is_moving("x")
    assert requests.settle(frames[0]["requestId"], None, 0.0) == []
    assert not requests.is_moving("x")
    [log] = requests.settle(frames[1]["requestId"], errors.ServerRequestError("backend_error"), 0.0)
    assert isinstance(log, Log)
    assert not requests.is_moving()
    assert requests.next_timer() == REPLAY_RETRY_S
    [again] = requests.handle_timer(REPLAY_RETRY_S)
    assert json.loads(again.text)["channel"] == "y"
    assert settled(requests.fail_all(1006)) == {}


def test_a_channel_left_meanwhile_is_not_replayed(requests, subscriptions):
    subscriptions["x"] = SubscribeOptions()
    [frame] = [json.loads(action.text) for action in requests.replay_all(0.0)]
    requests.settle(frame["requestId"], errors.ServerRequestError("backend_error"), 0.0)
    subscriptions.clear()
    assert requests.handle_timer(REPLAY_RETRY_S) == []


def test_a_request_may_have_a_time_of_its_own(requests):
    requests.register("a", 0.0, 3.0)
    assert requests.next_timer() == requests.silence_allowed_until_s == 3.0
    late = requests.handle_timer(3.0)
    assert [(each.request_id, each.error.timeout) for each in late if isinstance(each, Settle)] == [("a", 3.0)]
    assert requests.silence_allowed_until_s == 0.0


def test_no_request_is_given_up_before_an_earlier_one(requests):
    requests.register("large", 0.0, 60.0)
    requests.register("small", 1.0)
    assert requests.handle_timer(1.0 + ACK_TIMEOUT_S) == []
    assert requests.next_timer() == 60.0
    assert set(settled(requests.handle_timer(60.0))) == {"large", "small"}


def test_silence_is_allowed_only_while_the_first_answer_has_a_time_of_its_own(requests):
    requests.register("plain", 0.0)
    requests.register("large", 0.0, 60.0)
    assert requests.silence_allowed_until_s == 0.0
    requests.settle("plain", None, 1.0)
    assert requests.silence_allowed_until_s == 60.0
    requests.abandon("large")
    assert requests.silence_allowed_until_s == 0.0
