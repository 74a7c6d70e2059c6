"""Renewing a token by a second connection, whatever the service makes of the first one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from metered_realtime import errors, events, wire
from metered_realtime.options import ReconnectOptions, SubscribeOptions
from metered_realtime.renewal import EARLIEST_SHARE, HOLD_S, LATEST_SHARE
from metered_realtime.renewing_session import CONFIRM_AFTER_S, MOVE_LIMIT_S, RenewingSession
from metered_realtime.session import WELCOME_TIMEOUT_S
from metered_realtime.session_actions import Abandon, Adopt, Dial, End, HangUp, Log, Notify, Ready, Settle, Transmit

from . import test_session
from .test_session import of

SERVER_S = 1_700_000_000
DUE_S = 100 * (EARLIEST_SHARE + (LATEST_SHARE - EARLIEST_SHARE) * 0.5)


def welcome(life_s: float | None = 100, at_s: float = 0.0) -> str:
    expires_at = None if life_s is None else int(SERVER_S + at_s + life_s)
    return wire.encode(wire.Welcome("me", expires_at, int((SERVER_S + at_s) * 1000), 65536))


def new_session(**changes):
    ids = iter(range(10_000))
    options = {
        "reconnect": ReconnectOptions(),
        "inactivity_timeout_s": 0.0,
        "auto_resubscribe": True,
        "new_request_id": lambda: f"r{next(ids)}",
        "has_tokens": True,
        "random": lambda: 0.5,
    }
    return RenewingSession(**(options | changes))


def connected(life_s=100, **changes):
    session = new_session(**changes)
    session.start()
    session.socket_opened(0.0)
    session.receive_text(welcome(life_s), 0.0)
    session.subscriptions["room"] = SubscribeOptions()
    return session


def dialling(**changes):
    """Return a session that has a fresh token, at DUE_S."""
    session = connected(**changes)
    assert session.next_timer() == DUE_S
    assert session.handle_timer(DUE_S) == [Dial("beside")]
    assert session.token_for_renewal(DUE_S, is_new=True)
    return session


def moved(**changes):
    """Return a session that has just been welcomed on the second connection, and what it wants done."""
    session = dialling(**changes)
    assert session.socket_opened(DUE_S, "beside") == []
    return session, session.receive_text(welcome(100, DUE_S), DUE_S, "beside")


def request(session, request_id, now_s=DUE_S):
    return session.request(wire.Publish("room", 1, request_id), now_s)[1]


def frames(actions):
    return [json.loads(action.text) for action in of(Transmit, actions)]


def ack(request_id):
    return wire.encode(wire.Ack(request_id))


def message(data, channel="room"):
    return wire.encode(wire.Message(channel, "other", data))


# The good course -------------------------------------------------------------------------------------


def test_the_new_connection_takes_over_and_the_old_one_is_closed_when_it_has_the_channels():
    session, actions = moved()
    assert actions[0] == Adopt()
    [notified] = of(Notify, actions)
    assert notified.event.is_reconnect
    assert session.state == "connected"
    [subscribe] = frames(actions)
    assert (subscribe["type"], subscribe["channel"]) == ("subscribe", "room")
    assert of(HangUp, actions) == []
    assert session.receive_text(ack(subscribe["requestId"]), DUE_S) == [HangUp(1000, "the token was renewed", "old")]
    assert session.socket_closed(1000, "", DUE_S, "old") == []
    assert session.next_timer() == DUE_S + CONFIRM_AFTER_S


def test_the_next_renewal_is_planned_from_the_new_token():
    session, actions = moved()
    session.receive_text(ack(frames(actions)[0]["requestId"]), DUE_S)
    session.socket_closed(1000, "", DUE_S, "old")
    session.handle_timer(session.next_timer())
    session.receive_text(ack("r1"), DUE_S + 2)
    assert session.next_timer() == 2 * DUE_S


def test_after_the_end_of_the_old_one_the_channels_are_subscribed_once_more():
    session, actions = moved()
    session.receive_text(ack(frames(actions)[0]["requestId"]), DUE_S)
    session.socket_closed(1000, "", DUE_S, "old")
    [again] = frames(session.handle_timer(DUE_S + CONFIRM_AFTER_S))
    assert (again["type"], again["channel"]) == ("subscribe", "room")


def test_a_service_that_ends_the_old_one_itself_needs_no_second_subscription():
    session, actions = moved()
    session.socket_closed(4020, "replaced", DUE_S, "old")
    session.receive_text(ack(frames(actions)[0]["requestId"]), DUE_S)
    assert session.handle_timer(DUE_S + CONFIRM_AFTER_S) == []


def test_a_client_without_channels_closes_the_old_connection_at_once():
    session = dialling()
    session.subscriptions.clear()
    session.socket_opened(DUE_S, "beside")
    actions = session.receive_text(welcome(100, DUE_S), DUE_S, "beside")
    assert of(HangUp, actions) == [HangUp(1000, "the token was renewed", "old")]


def test_the_old_connection_is_closed_though_the_service_never_accepts_the_channels():
    session, _ = moved()
    assert of(HangUp, session.handle_timer(DUE_S + MOVE_LIMIT_S)) == [HangUp(1000, "the token was renewed", "old")]


def test_a_channel_is_heard_on_the_old_line_until_the_new_one_has_it():
    session, actions = moved()
    assert session.receive_text(message(1), DUE_S, "old") == [Notify(events.Message("room", "other", 1))]
    assert session.receive_text(wire.encode(wire.Direct("other", 1)), DUE_S, "old") == []
    assert session.receive_text("nonsense", DUE_S, "old")[0].message.startswith("a frame")
    session.receive_text(ack(frames(actions)[0]["requestId"]), DUE_S)
    assert session.receive_text(message(2), DUE_S, "old") == []
    assert session.receive_text(message(2), DUE_S) == [Notify(events.Message("room", "other", 2))]


def test_requests_wait_for_the_new_connection_and_none_is_lost():
    session = connected()
    assert request(session, "before") is not None
    session.handle_timer(DUE_S)
    session.token_for_renewal(DUE_S, is_new=True)
    assert request(session, "held") is None
    session.socket_opened(DUE_S, "beside")
    actions = session.receive_text(welcome(100, DUE_S), DUE_S, "beside")
    assert [frame["type"] for frame in frames(actions)] == ["subscribe", "publish"]
    assert session.receive_text(ack("before"), DUE_S, "old") == [Settle("before")]
    assert session.receive_text(ack("held"), DUE_S) == [Settle("held")]


def test_requests_left_on_the_old_connection_fail_with_it():
    session = connected()
    for request_id in "ab":
        request(session, request_id)
    session.handle_timer(DUE_S)
    session.token_for_renewal(DUE_S, is_new=True)
    session.socket_opened(DUE_S, "beside")
    session.receive_text(welcome(100, DUE_S), DUE_S, "beside")
    refusal = wire.encode(wire.Error("over_message_quota", "a"))
    [refused] = session.receive_text(refusal, DUE_S, "old")
    assert refused.error.code == "over_message_quota"
    [lost] = session.socket_closed(1006, "", DUE_S, "old")
    assert isinstance(lost.error, errors.DisconnectedError)


# Newest wins: the service ends the first connection as soon as the second one comes ---------------------


@pytest.mark.parametrize("code", [4020, 1000, 1006])
def test_nobody_hears_of_a_first_connection_that_ends_for_the_sake_of_the_second(code):
    session = dialling()
    assert request(session, "held") is None
    assert session.socket_closed(code, "replaced", DUE_S) == []
    assert session.state == "connected"
    assert request(session, "later") is None
    session.socket_opened(DUE_S, "beside")
    actions = session.receive_text(welcome(100, DUE_S), DUE_S, "beside")
    assert not [each for each in of(Notify, actions) if not isinstance(each.event, events.Connected)]
    assert [frame["type"] for frame in frames(actions)] == ["subscribe", "publish", "publish"]
    assert of(HangUp, actions) == []


@pytest.mark.parametrize(("lost", "refused", "told"), [(1006, 401, 1006), (4020, 1006, 1006), (4020, 4020, 4020)])
def test_where_the_second_one_fails_too_the_client_is_disconnected(lost, refused, told):
    session = dialling()
    request(session, "held")
    session.socket_closed(lost, "", DUE_S)
    actions = session.socket_closed(refused, "no", DUE_S + 1, "beside")
    [settled] = of(Settle, actions)
    assert isinstance(settled.error, errors.NotConnectedError)
    [gone] = [each.event for each in of(Notify, actions) if isinstance(each.event, events.Disconnected)]
    assert (gone.code, gone.will_reconnect) == (told, told == 1006)
    assert session.state == ("reconnecting" if told == 1006 else "closed")


def test_a_second_connection_that_takes_too_long_is_not_waited_for():
    session = dialling()
    session.socket_closed(1006, "", DUE_S)
    assert session.next_timer() == DUE_S + HOLD_S
    actions = session.handle_timer(DUE_S + HOLD_S)
    assert actions[0] == Abandon()
    assert session.state == "reconnecting"
    assert session.next_timer() == DUE_S + HOLD_S + 0.5


def test_requests_do_not_wait_for_ever_for_a_second_connection():
    session = dialling()
    request(session, "held")
    assert frames(session.handle_timer(DUE_S + HOLD_S))[0]["requestId"] == "held"
    assert request(session, "next") is not None


def test_too_much_to_hold_is_sent_or_refused():
    session = dialling()
    big = "x" * 60_000
    for number in range(17):
        session.request(wire.Publish("room", big, f"h{number}"), DUE_S)
    assert session.request(wire.Publish("room", big, "more"), DUE_S)[1] is not None
    session.socket_closed(4020, "", DUE_S)
    with pytest.raises(errors.NotConnectedError, match="being replaced"):
        session.request(wire.Publish("room", big, "too much"), DUE_S)


# Failures ----------------------------------------------------------------------------------------------


def test_a_failing_provider_is_asked_again_before_the_end_and_reported_from_the_third_time():
    session = connected(life_s=1000)
    heard = []
    for _ in range(4):
        now_s = session.next_timer()
        assert session.handle_timer(now_s) == [Dial("beside")]
        heard += session.token_failed(ValueError("token=abc"), now_s, "beside")
    assert [each.event.consecutive_failures for each in of(Notify, heard)] == [3, 4]
    assert len(of(Log, heard)) == 1
    assert session.state == "connected"
    now_s = session.next_timer()
    session.handle_timer(now_s)
    assert session.token_for_renewal(now_s, is_new=True)


def test_a_token_the_provider_keeps_is_asked_for_again_without_a_word():
    session = connected()
    session.handle_timer(DUE_S)
    assert not session.token_for_renewal(DUE_S, is_new=False)
    assert session.next_timer() == DUE_S + 1.0


@pytest.mark.parametrize("code", [4001, 4010, 1006, 401])
def test_a_second_connection_that_is_refused_costs_the_first_nothing(code):
    session = dialling()
    request(session, "held")
    actions = session.socket_closed(code, "no", DUE_S, "beside")
    assert [type(each) for each in actions] == [Log, Transmit]
    assert session.state == "connected"
    assert session.next_timer() == DUE_S + 1.0


@pytest.mark.parametrize(
    ("lost", "after_s", "told"),
    [(1006, 0.0, 1006), (1006, HOLD_S, 4020), (4020, 0.0, 4020)],
    ids=["lost with its welcome", "long ago", "both are sent away"],
)
def test_a_first_connection_that_ends_for_a_second_one_that_was_lost_is_made_again(lost, after_s, told):
    session = dialling()
    session.socket_opened(DUE_S, "beside")
    session.socket_closed(lost, "", DUE_S, "beside")
    actions = session.socket_closed(4020, "replaced by a newer connection", DUE_S + after_s)
    [gone] = [each.event for each in of(Notify, actions) if isinstance(each.event, events.Disconnected)]
    assert (gone.code, gone.will_reconnect) == (told, told == 1006)
    if told == 1006:
        session.socket_opened(DUE_S + 1.0)
        session.receive_text(welcome(), DUE_S + 1.0)
        session.socket_closed(4020, "now it is meant", DUE_S + 1.0)
    assert session.state == "closed"


def test_a_second_connection_without_a_welcome_is_given_up():
    session = dialling()
    session.socket_opened(DUE_S, "beside")
    session.handle_timer(DUE_S + HOLD_S)
    assert session.receive_text(wire.encode(wire.Pong()), DUE_S, "beside") == []
    assert session.handle_timer(DUE_S + WELCOME_TIMEOUT_S)[0] == Abandon()


def test_a_drop_while_the_provider_is_asked_is_an_ordinary_drop():
    session = connected()
    session.handle_timer(DUE_S)
    actions = session.socket_closed(1006, "", DUE_S)
    assert actions[0] == Abandon()
    assert session.state == "reconnecting"
    assert not session.token_for_renewal(DUE_S, is_new=True)
    assert session.token_failed(ValueError("late"), DUE_S, "beside") == []
    assert session.socket_opened(DUE_S, "beside") == [Abandon()]
    assert session.receive_text(welcome(), DUE_S, "beside") == []


def test_a_drop_of_the_new_connection_takes_the_old_one_with_it():
    session, _ = moved()
    actions = session.socket_closed(1006, "", DUE_S)
    assert HangUp(1000, "replaced", "old") in actions
    assert session.state == "reconnecting"


@pytest.mark.parametrize("changes", [{"has_tokens": False}, {"reconnect": None}, {"life_s": None}])
def test_where_nothing_can_be_renewed_nothing_is(changes):
    assert connected(**changes).next_timer() is None


def test_without_resubscription_the_application_does_it():
    session, actions = moved(auto_resubscribe=False)
    assert frames(actions) == []
    session.socket_closed(1000, "", DUE_S, "old")
    assert session.handle_timer(DUE_S + CONFIRM_AFTER_S) == []


def test_the_end_of_the_client_ends_every_line():
    session = dialling()
    session.socket_opened(DUE_S, "beside")
    assert of(HangUp, session.stop(1000, "bye")) == [HangUp(1000, "bye")]
    session, _ = moved()
    assert of(HangUp, session.stop(1000, "bye")) == [HangUp(1000, "bye"), HangUp(1000, "bye", "old")]
    session.stopped()
    assert session.next_timer() is None
    session.start()
    session.socket_opened(200.0)
    session.receive_text(welcome(None), 200.0)
    assert session.next_timer() is None


FRAMES = st.fixed_dictionaries(
    {"type": st.sampled_from(["welcome", "ack", "error", "message", "direct", "presence", "going_away", "pong", "x"])},
    optional={
        name: st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers())
        for name in (
            "peerId", "expiresAt", "serverTime", "maxMessageSize", "requestId", "code", "channel", "from", "data",
            "joined", "left", "retryAfterMs", "metadata",
        )
    },
)  # fmt: skip


@settings(deadline=None)
@given(
    frames=st.lists(st.tuples(st.sampled_from(["main", "beside", "old"]), FRAMES | st.text(max_size=20)), max_size=6)
)
def test_no_frame_raises_on_any_line(frames):
    session, _ = moved()
    session.handle_timer(2 * DUE_S)
    session.token_for_renewal(2 * DUE_S, is_new=True)
    for line, frame in frames:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        session.receive_text(text, 2 * DUE_S, line)
        session.next_timer()


# Any order of everything -----------------------------------------------------------------------------------


class RenewingLife(test_session.SessionLife):
    """A session's life, with tokens that expire and a service of any mind about second connections."""

    def __init__(self):
        self.beside, self.old = "none", False
        super().__init__()

    def make_session(self):
        return new_session(inactivity_timeout_s=60.0)

    def do(self, actions):
        for action in actions:
            match action:
                case Dial("beside"):
                    assert self.beside == "none"
                    assert self.session.state == "connected"
                    self.beside = "asking"
                case Adopt():
                    assert self.beside == "open"
                    self.old, self.open, self.beside = self.open, True, "none"
                case Abandon():
                    self.beside = "none"
                case HangUp(line="old"):
                    assert self.old
                case End() | Ready() | _:
                    super().do([action])

    @precondition(lambda self: self.open)
    @rule(life_s=st.sampled_from([None, 3, 10, 100]))
    def welcome(self, life_s):
        self.do(self.session.receive_text(welcome(life_s, self.now_s), self.now_s))

    @precondition(lambda self: self.beside == "asking")
    @rule(answer=st.sampled_from(["new", "same", "failure"]))
    def provider_answers(self, answer):
        self.beside = "none"
        if answer == "failure":
            self.do(self.session.token_failed(ValueError("no token"), self.now_s, "beside"))
        elif self.session.token_for_renewal(self.now_s, is_new=answer == "new"):
            self.beside = "dialling"

    @precondition(lambda self: self.beside == "dialling")
    @rule()
    def beside_opens(self):
        self.beside = "open"
        self.do(self.session.socket_opened(self.now_s, "beside"))

    @precondition(lambda self: self.beside in ("dialling", "open"))
    @rule(code=st.sampled_from([1006, 4001, 4010, 4020]))
    def beside_ends(self, code):
        self.beside = "none"
        self.do(self.session.socket_closed(code, "", self.now_s, "beside"))

    @precondition(lambda self: self.beside == "open")
    @rule(life_s=st.sampled_from([None, 3, 10, 100]))
    def beside_welcomed(self, life_s):
        self.do(self.session.receive_text(welcome(life_s, self.now_s), self.now_s, "beside"))

    @precondition(lambda self: self.old)
    @rule()
    def old_ends(self):
        self.old = False
        self.do(self.session.socket_closed(1000, "", self.now_s, "old"))

    @precondition(lambda self: self.old and self.asked)
    @rule(data=st.data())
    def answer_on_the_old_line(self, data):
        request_id = data.draw(st.sampled_from(sorted(self.asked)))
        self.do(self.session.receive_text(ack(request_id), self.now_s, "old"))

    @invariant()
    def the_state_fits_the_connection(self):
        if self.session.state == "connected":
            assert self.open or self.beside in ("dialling", "open")
        if self.ended:
            assert self.session.state == "closed"
            assert self.ready
            assert self.beside == "none"


RenewingLife.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
test_renewing_life = RenewingLife.TestCase
