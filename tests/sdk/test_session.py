"""The pure signalling session: decisions by values and times, and a random life that must keep its promises."""

from __future__ import annotations

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from metered_realtime import errors, events, wire
from metered_realtime.options import ReconnectOptions, SubscribeOptions
from metered_realtime.requests_in_flight import ACK_TIMEOUT_S, REPLAY_TRIES
from metered_realtime.session import GOING_AWAY_PATIENCE_S, OVER_LIMIT_FLOOR_S, WELCOME_TIMEOUT_S, Session
from metered_realtime.session_actions import Dial, End, HangUp, Log, Notify, Ready, Settle, Transmit

WELCOME = wire.encode(wire.Welcome("me", None, 1, 65536))


def new_session(**changes):
    ids = iter(range(10_000))
    options = {
        "reconnect": ReconnectOptions(),
        "inactivity_timeout_s": 60.0,
        "auto_resubscribe": True,
        "new_request_id": lambda: f"r{next(ids)}",
        "random": lambda: 0.5,
    }
    return Session(**(options | changes))


def connected(now_s=0.0, **changes):
    session = new_session(**changes)
    session.start()
    session.socket_opened(now_s)
    session.receive_text(WELCOME, now_s)
    return session


def of(kind, actions):
    return [action for action in actions if isinstance(action, kind)]


def test_start_dials_and_the_welcome_makes_it_ready():
    session = new_session()
    assert session.start() == [Notify(events.StateChange("idle", "connecting")), Dial()]
    assert session.socket_opened(0.0) == []
    assert session.next_timer() == WELCOME_TIMEOUT_S
    actions = session.receive_text(WELCOME, 0.1)
    assert of(Ready, actions) == [Ready()]
    assert session.state == "connected"


def test_second_welcome_is_ignored():
    assert of(Log, connected().receive_text(WELCOME, 1.0))


def test_start_in_any_other_state_is_refused():
    with pytest.raises(errors.SignallingError):
        connected().start()


def test_ping_goes_out_after_a_third_of_the_limit_and_again_while_silent():
    session = connected(inactivity_timeout_s=30.0)
    assert session.next_timer() == 10.0
    assert session.handle_timer(10.0) == [Transmit('{"type":"ping"}')]
    assert session.handle_timer(20.0) == [Transmit('{"type":"ping"}')]
    assert session.handle_timer(30.0) == [HangUp(4000, "inactivity")]
    assert session.handle_timer(31.0) == []


def test_any_frame_counts_as_life():
    session = connected(inactivity_timeout_s=30.0)
    session.receive_text('{"type":"pong"}', 25.0)
    assert session.handle_timer(30.0) == []
    assert session.next_timer() == 35.0


def test_a_message_that_may_take_longer_holds_the_watchdog_off_and_no_longer():
    session = connected(inactivity_timeout_s=30.0)
    session.request(wire.Publish("room", "large", "r"), 5.0, 60.0)
    session.handle_timer(10.0)
    assert of(HangUp, session.handle_timer(30.0)) == []
    late = session.handle_timer(65.0)
    assert [type(each.error) for each in of(Settle, late)] == [errors.AckTimeoutError]
    assert of(HangUp, late)


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("inf")])
def test_watchdog_can_be_switched_off(limit_s):
    session = connected(inactivity_timeout_s=limit_s)
    assert session.next_timer() is None
    assert session.handle_timer(1e9) == []


def test_missing_welcome_hangs_up_once():
    session = new_session()
    session.start()
    session.socket_opened(0.0)
    assert session.handle_timer(WELCOME_TIMEOUT_S) == [HangUp(1000, "no welcome")]
    assert session.handle_timer(WELCOME_TIMEOUT_S + 1) == []


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (50, 30.0)])
def test_delays_double_up_to_the_cap(attempt, delay_s):
    session = connected()
    now_s = 100.0
    for _ in range(attempt):
        session.socket_closed(1006, "", now_s)
    assert session.next_timer() == now_s + delay_s
    assert session.handle_timer(now_s + delay_s) == [Dial()]


def test_welcome_resets_the_delays():
    session = connected()
    for _ in range(5):
        session.socket_closed(1006, "", 0.0)
    session.socket_opened(1.0)
    session.receive_text(WELCOME, 1.0)
    session.socket_closed(1006, "", 2.0)
    assert session.next_timer() == 2.5


def test_thousandth_attempt_of_a_patient_client_does_not_overflow():
    session = connected(reconnect=ReconnectOptions(max_attempts=float("inf")))
    for _ in range(2000):
        session.socket_closed(1006, "", 0.0)
    assert session.next_timer() == 30.0


def test_over_limit_waits_at_least_thirty_seconds_once():
    session = connected()
    session.socket_closed(4010, "", 0.0)
    assert session.next_timer() == OVER_LIMIT_FLOOR_S
    session.socket_closed(1006, "", 0.0)
    assert session.next_timer() == 1.0


def waits_after_going_away(luck, *, code=1001, retry_after_ms=7000):
    session = connected(random=lambda: luck)
    session.receive_text(json.dumps({"type": "going_away", "retryAfterMs": retry_after_ms}), 0.0)
    session.socket_closed(code, "", 1.0)
    return session.next_timer() - 1.0


@pytest.mark.parametrize("luck", [0.0, 0.5, 0.99])
def test_going_away_is_obeyed_and_not_by_all_clients_at_one_moment(luck):
    assert waits_after_going_away(luck) == pytest.approx(7.0 * (1 + 0.2 * luck))


def test_longer_wait_of_going_away_outlasts_over_limit():
    assert waits_after_going_away(0.0, code=4010, retry_after_ms=60_000) == 60.0


def test_longer_wait_of_over_limit_outlasts_going_away():
    assert waits_after_going_away(0.5, code=4010) == OVER_LIMIT_FLOOR_S


def test_a_service_that_said_it_goes_and_stays_is_left():
    session = connected()
    session.receive_text('{"type":"going_away","retryAfterMs":7000}', 0.0)
    now_s = 0.0
    while now_s < 7.0 + GOING_AWAY_PATIENCE_S:
        assert of(HangUp, session.handle_timer(now_s)) == []
        now_s = session.next_timer()
        session.receive_text('{"type":"pong"}', now_s)
    assert of(HangUp, session.handle_timer(now_s)) == [HangUp(4000, "the service is going away")]
    session.socket_closed(4000, "", now_s)
    assert session.next_timer() == now_s + 0.5


def test_going_away_of_one_connection_is_forgotten_with_the_next():
    session = connected()
    session.receive_text('{"type":"going_away","retryAfterMs":7000}', 0.0)
    session.socket_closed(1001, "", 0.0)
    session.socket_opened(8.0)
    session.receive_text(WELCOME, 8.0)
    session.socket_closed(1006, "", 9.0)
    assert session.next_timer() == 9.5


def test_attempts_are_counted_to_the_limit():
    session = connected(reconnect=ReconnectOptions(max_attempts=2))
    assert of(End, session.socket_closed(1006, "", 0.0)) == []
    assert of(End, session.socket_closed(1006, "", 0.0)) == []
    assert of(End, session.socket_closed(1006, "", 0.0)) == [End(forget_listeners=True)]
    assert session.state == "closed"


@pytest.mark.parametrize("code", [4001, 4003, 4012, 4020])
def test_terminal_code_ends_the_session(code):
    actions = connected().socket_closed(code, "no", 0.0)
    assert Notify(events.Disconnected(code, "no", False)) in actions
    assert of(End, actions)


def test_first_failure_ends_connect_and_keeps_the_listeners():
    session = new_session()
    session.start()
    actions = session.socket_closed(401, "handshake rejected", 0.0)
    [ready] = of(Ready, actions)
    assert (ready.error.close_code, ready.error.close_reason) == (401, "handshake rejected")
    assert of(End, actions) == [End(forget_listeners=False)]
    assert session.start()


def test_request_is_settled_by_its_ack_error_timeout_or_drop():
    session = connected()
    for request_id in "abcd":
        session.request(wire.Publish("c", 1, request_id), 0.0)
    assert session.receive_text('{"type":"ack","requestId":"a"}', 1.0) == [Settle("a")]
    [refused] = session.receive_text('{"type":"error","requestId":"b","code":"over_message_quota"}', 1.0)
    assert refused.error.code == "over_message_quota"
    session.abandon("c")
    assert session.receive_text('{"type":"ack","requestId":"c"}', 1.0) == []
    [late] = [action for action in session.handle_timer(ACK_TIMEOUT_S) if isinstance(action, Settle)]
    assert isinstance(late.error, errors.AckTimeoutError)
    session.request(wire.Publish("c", 1, "e"), 20.0)
    [dropped] = of(Settle, session.socket_closed(1006, "", 21.0))
    assert isinstance(dropped.error, errors.DisconnectedError)


def test_request_while_not_connected_is_refused():
    with pytest.raises(errors.NotConnectedError):
        new_session().request(wire.Publish("c", 1, "a"), 0.0)


def test_request_of_a_client_that_is_closing_is_refused():
    session = connected()
    session.stop(1000, "bye")
    with pytest.raises(errors.NotConnectedError, match="closing"):
        session.request(wire.Publish("c", 1, "a"), 0.0)


def test_new_life_starts_without_the_subscriptions_of_the_last():
    session = connected()
    session.subscriptions.update({"a": SubscribeOptions()})
    session.stop(1000, "bye")
    session.stopped()
    session.start()
    session.socket_opened(1.0)
    assert of(Transmit, session.receive_text(WELCOME, 1.0)) == []


def test_frame_may_exceed_the_cap_by_its_envelope_only():
    session = connected()
    session.request(wire.Publish("c", "x" * 65_534, "a"), 0.0)
    with pytest.raises(errors.OversizedPayloadError):
        session.request(wire.Publish("c", "x" * 65_535, "b"), 0.0)


def test_unknown_type_answer_of_an_old_service_is_swallowed():
    assert connected().receive_text('{"type":"error","code":"unknown_type"}', 0.0) == []


def test_uncorrelated_error_is_an_event():
    [action] = connected().receive_text('{"type":"error","code":"x","message":"m","requestId":"no"}', 0.0)
    assert action == Notify(events.ServerError("x", "m", "no"))


def replayed(session, now_s):
    session.socket_closed(1006, "", now_s)
    session.socket_opened(now_s)
    return [json.loads(action.text) for action in of(Transmit, session.receive_text(WELCOME, now_s))]


def test_subscriptions_are_renewed_after_a_reconnect():
    session = connected()
    session.subscriptions.update({"a": SubscribeOptions(), "b": SubscribeOptions(include_sender_metadata=True)})
    frames = replayed(session, 1.0)
    assert [(frame["channel"], frame.get("includeSenderMetadata")) for frame in frames] == [("a", None), ("b", True)]
    assert session.receive_text(json.dumps({"type": "ack", "requestId": frames[0]["requestId"]}), 1.0) == []


def test_refused_renewal_is_retried_three_times_two_seconds_apart():
    session = connected()
    session.subscriptions.update({"a": SubscribeOptions()})
    [frame] = replayed(session, 0.0)
    now_s, tries = 0.0, 1
    while True:
        refusal = json.dumps({"type": "error", "requestId": frame["requestId"], "code": "backend_error"})
        session.receive_text(refusal, now_s)
        now_s += 2.0
        sent = of(Transmit, session.handle_timer(now_s))
        if not sent:
            break
        [frame] = [json.loads(action.text) for action in sent]
        tries += 1
    assert tries == REPLAY_TRIES


def test_renewal_is_dropped_when_the_application_unsubscribed_meanwhile():
    session = connected()
    session.subscriptions.update({"a": SubscribeOptions()})
    [frame] = replayed(session, 0.0)
    session.receive_text(json.dumps({"type": "error", "requestId": frame["requestId"], "code": "x"}), 0.0)
    session.subscriptions.clear()
    assert of(Transmit, session.handle_timer(2.0)) == []


def test_token_failures_back_off_and_are_reported_from_the_third():
    session = connected()
    session.socket_closed(4002, "", 0.0)
    reports = []
    for attempt in range(1, 5):
        actions = session.token_failed(ValueError("no ?token=abc"), float(attempt))
        reports += [(action.event.consecutive_failures, str(action.event.err)) for action in of(Notify, actions)]
    assert reports == [(3, "no ?token=***"), (4, "no ?token=***")]
    session.token_obtained()
    assert of(Notify, session.token_failed(ValueError("x"), 9.0)) == []


def test_giving_up_on_the_token_provider_ends_with_a_disconnected():
    session = connected(reconnect=ReconnectOptions(max_attempts=1))
    session.socket_closed(4002, "expired", 0.0)
    actions = session.token_failed(ValueError("x"), 1.0)
    assert Notify(events.Disconnected(4002, "token provider failed", False)) in actions
    assert of(End, actions)


def test_stop_fails_what_waits_and_never_dials_again():
    session = connected()
    session.request(wire.Publish("c", 1, "a"), 0.0)
    actions = session.stop(1000, "bye")
    assert of(HangUp, actions) == [HangUp(1000, "bye")]
    assert [action.request_id for action in of(Settle, actions)] == ["a"]
    assert of(Dial, session.socket_closed(1000, "bye", 1.0)) == []
    assert of(End, session.stopped()) == [End(forget_listeners=True)]
    assert session.next_timer() is None


class SessionLife(RuleBasedStateMachine):
    """Any order of drops, welcomes, requests, answers and time."""

    def __init__(self):
        super().__init__()
        self.session = self.make_session()
        self.now_s = 0.0
        self.dialling = self.open = self.ended = self.ready = False
        self.asked: set[str] = set()
        self.settled: list[str] = []
        self.count = 0
        self.do(self.session.start())

    def make_session(self):
        return new_session()

    def do(self, actions):
        for action in actions:
            match action:
                case Dial():
                    assert not self.open
                    assert not self.ended
                    self.dialling = True
                case Settle():
                    self.settled.append(action.request_id)
                case Transmit() | HangUp():
                    assert self.open
                case Ready():
                    self.ready = True
                case End():
                    self.ended = True
                    self.dialling = False

    @precondition(lambda self: self.dialling)
    @rule(opens=st.booleans(), code=st.sampled_from([1006, 401, 4010]))
    def dial_ends(self, opens, code):
        self.dialling = False
        if opens:
            self.open = True
            self.do(self.session.socket_opened(self.now_s))
        else:
            self.do(self.session.socket_closed(code, "", self.now_s))

    @precondition(lambda self: self.dialling)
    @rule()
    def token_fails(self):
        self.dialling = False
        self.do(self.session.token_failed(ValueError("no token"), self.now_s))

    @rule()
    def application_closes(self):
        self.do(self.session.stop(1000, "bye"))
        assert not self.session.next_timer() or self.open
        if self.open:
            self.open = False
            self.do(self.session.socket_closed(1000, "bye", self.now_s))
        self.do(self.session.stopped())

    @precondition(lambda self: self.open)
    @rule(code=st.sampled_from([1000, 1001, 1006, 4001, 4002, 4010]))
    def drop(self, code):
        self.open = False
        self.do(self.session.socket_closed(code, "", self.now_s))

    @precondition(lambda self: self.open)
    @rule()
    def welcome(self):
        self.do(self.session.receive_text(WELCOME, self.now_s))

    @rule(subscribe=st.booleans())
    def request(self, subscribe):
        self.count += 1
        request_id = f"u{self.count}"
        if self.session.state != "connected":
            with pytest.raises(errors.NotConnectedError):
                self.session.request(wire.Subscribe("c", request_id), self.now_s)
            return
        if subscribe:
            self.session.subscriptions["c"] = SubscribeOptions()
        self.session.request(wire.Subscribe("c", request_id), self.now_s)
        self.asked.add(request_id)

    @precondition(lambda self: self.open and self.asked)
    @rule(data=st.data(), refuse=st.booleans())
    def answer(self, data, refuse):
        request_id = data.draw(st.sampled_from(sorted(self.asked)))
        frame = wire.Error("backend_error", request_id) if refuse else wire.Ack(request_id)
        self.do(self.session.receive_text(wire.encode(frame), self.now_s))

    @rule(seconds=st.floats(0.0, 40.0))
    def time_passes(self, seconds):
        self.now_s += seconds
        due = self.session.next_timer()
        if due is not None and due <= self.now_s:
            self.do(self.session.handle_timer(self.now_s))

    @precondition(lambda self: self.ended)
    @rule()
    def start_again(self):
        self.ended = self.ready = False
        self.do(self.session.start())

    @invariant()
    def every_request_is_settled_at_most_once_and_none_is_forgotten(self):
        assert len(self.settled) == len(set(self.settled))
        assert all(each in self.session._requests for each in self.asked - set(self.settled))
        if not self.open and self.session.state != "connected":
            assert not len(self.session._requests)

    @invariant()
    def a_living_session_always_has_something_to_wait_for(self):
        if not self.ended:
            assert self.dialling or self.open or self.session.next_timer() is not None

    @invariant()
    def the_state_fits_the_connection(self):
        if self.session.state == "connected":
            assert self.open
        if self.ended:
            assert self.session.state == "closed"
            assert self.ready


SessionLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_session_life = SessionLife.TestCase
