"""Channels and members: who is told what, in which order."""

from __future__ import annotations

from typing import Any

import pytest

from edged.hub.access import Access, Identity
from edged.hub.rooms import MAX_ROSTER_BYTES, Action, Close, Deliver, Rooms
from metered_realtime.wire import (
    Ack,
    Direct,
    Error,
    Message,
    Ping,
    Pong,
    Presence,
    PresencePeer,
    Publish,
    Send,
    ServerFrame,
    Subscribe,
    Unsubscribe,
    WsCloseCode,
)

HOLD_S = 3.0


def who(peer_id: str, metadata: dict[str, Any] | None = None, **access: Any) -> Identity:
    return Identity(peer_id, Access(**access), metadata)


def peers(*ids: str) -> tuple[PresencePeer, ...]:
    return tuple(PresencePeer(peer_id) for peer_id in ids)


def flat(actions: list[Action]) -> list[tuple[int, ServerFrame]]:
    """One pair per receiver, in the order of writing."""
    return [(connection, action.frame) for action in actions if isinstance(action, Deliver) for connection in action.to]


def rooms_with(*members: tuple[int, str], channel: str = "room", **options: Any) -> Rooms:
    rooms = Rooms(hold_s=HOLD_S, **options)
    for connection, peer_id in members:
        rooms.connect(connection, who(peer_id), 0)
        rooms.handle(connection, Subscribe(channel), 0)
    return rooms


# Subscribing ----------------------------------------------------------------------------------------


def test_newcomer_gets_ack_then_roster_before_the_others_hear_of_it():
    rooms = rooms_with((1, "a"), (2, "b"))
    rooms.connect(3, who("c", {"name": "C"}), 1)

    assert flat(rooms.handle(3, Subscribe("room", "r1"), 1)) == [
        (3, Ack("r1")),
        (3, Presence("room", joined=peers("a", "b"))),
        (1, Presence("room", joined=(PresencePeer("c", {"name": "C"}),))),
        (2, Presence("room", joined=(PresencePeer("c", {"name": "C"}),))),
    ]


def test_first_member_gets_an_empty_roster():
    rooms = Rooms()
    rooms.connect(1, who("a"), 0)

    assert flat(rooms.handle(1, Subscribe("room", "r"), 0)) == [(1, Ack("r")), (1, Presence("room"))]


def test_repeated_subscribe_gets_the_roster_again_and_nobody_else_hears_of_it():
    rooms = rooms_with((1, "a"), (2, "b"))

    assert flat(rooms.handle(1, Subscribe("room", "again"), 1)) == [
        (1, Ack("again")),
        (1, Presence("room", joined=peers("b"))),
    ]


def test_request_without_an_id_is_done_without_an_ack():
    rooms = rooms_with((1, "a"), (2, "b"))

    assert flat(rooms.handle(1, Subscribe("room"), 1)) == [(1, Presence("room", joined=peers("b")))]
    assert flat(rooms.handle(1, Publish("room", 1), 1)) == [(2, Message("room", "a", 1))]
    assert flat(rooms.handle(1, Unsubscribe("room"), 1)) == [(2, Presence("room", left=peers("a")))]


def test_roster_above_the_bound_is_continued_in_further_frames():
    rooms = Rooms()
    bag = {"text": "x" * 4000}
    for connection in range(200):
        rooms.connect(connection, who(f"p{connection}", bag), 0)
        rooms.handle(connection, Subscribe("room"), 0)
    rooms.connect(999, who("late"), 0)

    frames = [frame for connection, frame in flat(rooms.handle(999, Subscribe("room"), 0)) if connection == 999]

    assert len(frames) == 2
    assert all(isinstance(frame, Presence) for frame in frames)
    ids = [peer.peer_id for frame in frames for peer in frame.joined]
    assert ids == [f"p{connection}" for connection in range(200)]
    assert all(len(frame.joined) * 4000 < MAX_ROSTER_BYTES + 8000 for frame in frames)


@pytest.mark.parametrize(
    ("channel", "access", "code"),
    [
        ("_metered/x", {}, "channel_reserved"),
        ("_SYSTEM/x", {}, "channel_reserved"),
        ("é" * 129, {}, "invalid_channel"),
        ("room", {"actions": frozenset({"publish"})}, "action_not_permitted"),
        ("room", {"channels": ("farm/*",)}, "channel_not_authorized"),
    ],
)
def test_subscribe_is_refused_with_its_code(channel: str, access: dict[str, Any], code: str):
    rooms = Rooms()
    rooms.connect(1, who("a", **access), 0)

    [(connection, error)] = flat(rooms.handle(1, Subscribe(channel, "r"), 0))

    assert connection == 1
    assert isinstance(error, Error)
    assert (error.code, error.request_id) == (code, "r")
    assert rooms.channel_count == 0


def test_channel_of_256_bytes_is_allowed():
    rooms = Rooms()
    rooms.connect(1, who("a"), 0)

    assert (1, Ack("r")) in flat(rooms.handle(1, Subscribe("é" * 128, "r"), 0))


def test_channels_per_connection_are_limited_but_a_repeated_one_is_not_counted():
    rooms = Rooms(max_channels=2)
    rooms.connect(1, who("a"), 0)
    for channel in ("x", "y", "x"):
        assert isinstance(flat(rooms.handle(1, Subscribe(channel, "r"), 0))[0][1], Ack)

    [(_, error)] = flat(rooms.handle(1, Subscribe("z", "r"), 0))
    assert isinstance(error, Error)
    assert error.code == "channel_limit_exceeded"

    rooms.handle(1, Unsubscribe("x"), 0)
    assert isinstance(flat(rooms.handle(1, Subscribe("z", "r"), 0))[0][1], Ack)


def test_member_without_the_presence_permission_gets_no_presence_but_is_seen():
    rooms = Rooms()
    rooms.connect(1, who("a", actions=frozenset({"subscribe", "publish"})), 0)
    rooms.connect(2, who("b"), 0)

    assert flat(rooms.handle(1, Subscribe("room", "r1"), 0)) == [(1, Ack("r1"))]
    assert flat(rooms.handle(2, Subscribe("room", "r2"), 0)) == [
        (2, Ack("r2")),
        (2, Presence("room", joined=peers("a"))),
    ]
    assert flat(rooms.handle(1, Unsubscribe("room", "r3"), 0)) == [
        (1, Ack("r3")),
        (2, Presence("room", left=peers("a"))),
    ]


def test_unsubscribe_from_a_channel_one_is_not_in_is_acked():
    rooms = rooms_with((1, "a"), (2, "b"))

    assert flat(rooms.handle(1, Unsubscribe("elsewhere", "r"), 0)) == [(1, Ack("r"))]


# Messages -------------------------------------------------------------------------------------------


def test_publish_reaches_every_other_subscriber_and_not_the_sender():
    rooms = rooms_with((1, "a"), (2, "b"), (3, "c"))

    assert flat(rooms.handle(2, Publish("room", {"x": 1}, "r"), 0)) == [
        (1, Message("room", "b", {"x": 1})),
        (3, Message("room", "b", {"x": 1})),
        (2, Ack("r")),
    ]


def test_publish_needs_no_subscription():
    rooms = rooms_with((1, "a"))
    rooms.connect(2, who("b"), 0)

    assert flat(rooms.handle(2, Publish("room", None, "r"), 0)) == [(1, Message("room", "b", None)), (2, Ack("r"))]
    assert flat(rooms.handle(2, Publish("nobody/here", 1, "r"), 0)) == [(2, Ack("r"))]


def test_sender_metadata_goes_to_those_who_asked_for_it():
    rooms = Rooms()
    for connection, peer_id, asked in ((1, "a", True), (2, "b", False), (3, "c", True)):
        rooms.connect(connection, who(peer_id), 0)
        rooms.handle(connection, Subscribe("room", include_sender_metadata=asked), 0)
    rooms.connect(4, who("d", {"role": "cam"}), 0)

    assert flat(rooms.handle(4, Publish("room", 1), 0)) == [
        (2, Message("room", "d", 1)),
        (1, Message("room", "d", 1, {"role": "cam"})),
        (3, Message("room", "d", 1, {"role": "cam"})),
    ]
    assert flat(rooms.handle(1, Publish("room", 1), 0)) == [(2, Message("room", "a", 1)), (3, Message("room", "a", 1))]

    rooms.handle(1, Subscribe("room"), 0)
    assert (1, Message("room", "d", 2)) in flat(rooms.handle(4, Publish("room", 2), 0))


def test_one_publish_is_one_delivery_for_all_receivers():
    rooms = rooms_with(*((connection, f"p{connection}") for connection in range(50)))

    deliveries = [action for action in rooms.handle(0, Publish("room", 1), 0) if isinstance(action, Deliver)]

    assert len(deliveries) == 1
    assert deliveries[0].to == tuple(range(1, 50))


def test_publish_is_refused_without_permission_and_outside_the_patterns():
    rooms = rooms_with((1, "a"))
    rooms.connect(2, who("b", actions=frozenset({"subscribe"})), 0)
    rooms.connect(3, who("c", channels=("other",)), 0)

    for connection, code in ((2, "action_not_permitted"), (3, "channel_not_authorized")):
        [(to, error)] = flat(rooms.handle(connection, Publish("room", 1, "r"), 0))
        assert to == connection
        assert isinstance(error, Error)
        assert error.code == code


def test_send_reaches_the_peer_without_a_channel_and_carries_the_senders_metadata():
    rooms = Rooms()
    rooms.connect(1, who("a", {"role": "cam"}), 0)
    rooms.connect(2, who("b"), 0)

    assert flat(rooms.handle(1, Send("b", [1], "r"), 0)) == [(2, Direct("a", [1], {"role": "cam"})), (1, Ack("r"))]
    assert flat(rooms.handle(2, Send("b", 1, "r"), 0)) == [(2, Direct("b", 1)), (2, Ack("r"))]


def test_send_to_an_unknown_peer_and_without_permission_is_refused():
    rooms = rooms_with((1, "a"))
    rooms.connect(2, who("b", actions=frozenset({"publish"})), 0)

    for connection, to, code in ((1, "nobody", "peer_not_found"), (2, "a", "action_not_permitted")):
        [(_, error)] = flat(rooms.handle(connection, Send(to, 1, "r"), 0))
        assert isinstance(error, Error)
        assert (error.code, error.request_id) == (code, "r")


def test_ping_is_answered():
    rooms = rooms_with((1, "a"))

    assert flat(rooms.handle(1, Ping(), 0)) == [(1, Pong())]


def test_frame_of_a_connection_already_forgotten_does_nothing():
    rooms = rooms_with((1, "a"))

    assert rooms.handle(9, Publish("room", 1, "r"), 0) == []
    assert rooms.disconnect(9, hold=True, now_s=0) == []


# Leaving and coming back ----------------------------------------------------------------------------


def test_clean_leave_is_told_at_once():
    rooms = rooms_with((1, "a"), (2, "b"))

    assert flat(rooms.disconnect(1, hold=False, now_s=1)) == [(2, Presence("room", left=peers("a")))]
    assert rooms.next_timer_s is None


def test_dropped_member_stays_listed_for_the_hold_and_is_then_told():
    rooms = rooms_with((1, "a"), (2, "b"))

    assert flat(rooms.disconnect(1, hold=True, now_s=10)) == []
    assert rooms.next_timer_s == 13
    rooms.connect(3, who("c"), 11)
    assert (3, Presence("room", joined=peers("a", "b"))) in flat(rooms.handle(3, Subscribe("room"), 11))
    assert flat(rooms.tick(12.9)) == []
    assert flat(rooms.tick(13)) == [(2, Presence("room", left=peers("a"))), (3, Presence("room", left=peers("a")))]
    assert rooms.next_timer_s is None


def test_message_to_a_held_peer_is_refused_and_broadcasts_pass_it_by():
    rooms = rooms_with((1, "a"), (2, "b"))
    rooms.disconnect(1, hold=True, now_s=0)

    [(_, error)] = flat(rooms.handle(2, Send("a", 1, "r"), 1))
    assert isinstance(error, Error)
    assert error.code == "peer_not_found"
    assert flat(rooms.handle(2, Publish("room", 1, "r"), 1)) == [(2, Ack("r"))]


def test_same_id_within_the_hold_gets_its_roster_then_the_others_see_left_and_joined_in_two_frames():
    rooms = rooms_with((1, "a"), (2, "b"), (3, "c"))
    rooms.disconnect(1, hold=True, now_s=0)
    rooms.connect(4, who("a", {"new": True}), 1)

    assert flat(rooms.handle(4, Subscribe("room", "r"), 1)) == [
        (4, Ack("r")),
        (4, Presence("room", joined=peers("b", "c"))),
        (2, Presence("room", left=peers("a"))),
        (3, Presence("room", left=peers("a"))),
        (2, Presence("room", joined=(PresencePeer("a", {"new": True}),))),
        (3, Presence("room", joined=(PresencePeer("a", {"new": True}),))),
    ]
    assert rooms.next_timer_s is None


def test_other_id_is_an_ordinary_newcomer_and_the_held_one_leaves_in_its_time():
    rooms = rooms_with((1, "a"), (2, "b"))
    rooms.disconnect(1, hold=True, now_s=0)
    rooms.connect(3, who("a2"), 0.5)

    assert flat(rooms.handle(3, Subscribe("room"), 0.5))[-1] == (2, Presence("room", joined=peers("a2")))
    assert rooms.next_timer_s == HOLD_S


def test_held_seat_ends_before_whatever_comes_later():
    rooms = rooms_with((1, "a"), (2, "b"))
    rooms.disconnect(1, hold=True, now_s=0)

    assert flat(rooms.handle(2, Ping(), HOLD_S)) == [(2, Presence("room", left=peers("a"))), (2, Pong())]


def test_without_a_hold_everybody_hears_at_once():
    rooms = Rooms(hold_s=0)
    for connection, peer_id in ((1, "a"), (2, "b")):
        rooms.connect(connection, who(peer_id), 0)
        rooms.handle(connection, Subscribe("room"), 0)

    assert flat(rooms.disconnect(1, hold=True, now_s=1)) == [(2, Presence("room", left=peers("a")))]


def test_newest_connection_with_an_id_wins_and_the_others_see_it_when_it_subscribes():
    rooms = rooms_with((1, "a"), (2, "b"))

    actions = rooms.connect(3, who("a"), 5)
    assert [(action.connection, action.code) for action in actions if isinstance(action, Close)] == [
        (1, WsCloseCode.ADMIN_DISCONNECT)
    ]
    assert flat(actions) == []
    assert flat(rooms.handle(1, Publish("room", 1, "late"), 5)) == []
    assert flat(rooms.handle(3, Subscribe("room"), 5)) == [
        (3, Presence("room", joined=peers("b"))),
        (2, Presence("room", left=peers("a"))),
        (2, Presence("room", joined=peers("a"))),
    ]
    assert rooms.disconnect(1, hold=True, now_s=6) == []
    assert rooms.connection_count == 2


def test_replaced_connection_that_never_subscribes_again_leaves_after_the_hold():
    rooms = rooms_with((1, "a"), (2, "b"))
    rooms.connect(3, who("a"), 5)

    assert flat(rooms.tick(8)) == [(2, Presence("room", left=peers("a")))]


def test_last_seat_takes_the_channel_with_it():
    rooms = rooms_with((1, "a"))
    assert rooms.channel_count == 1

    rooms.disconnect(1, hold=False, now_s=0)
    assert rooms.channel_count == 0


# Warm-up --------------------------------------------------------------------------------------------


def warming() -> Rooms:
    return Rooms(hold_s=HOLD_S, warm_up_until_s=3)


def test_in_the_warm_up_subscribers_are_acked_and_told_nothing_until_its_end():
    rooms = warming()
    for connection, peer_id in ((1, "a"), (2, "b")):
        rooms.connect(connection, who(peer_id), 0)
        assert flat(rooms.handle(connection, Subscribe("room", "r"), connection)) == [(connection, Ack("r"))]
    assert rooms.next_timer_s == 3

    assert flat(rooms.tick(3)) == [
        (1, Presence("room", joined=peers("b"))),
        (2, Presence("room", joined=peers("a"))),
    ]
    assert rooms.next_timer_s is None


def test_subscriber_after_the_warm_up_is_announced_after_the_rosters_that_waited():
    rooms = warming()
    rooms.connect(1, who("a"), 0)
    rooms.handle(1, Subscribe("room"), 0)
    rooms.connect(2, who("b"), 2)

    assert flat(rooms.handle(2, Subscribe("room"), 3.5)) == [
        (1, Presence("room")),
        (2, Presence("room", joined=peers("a"))),
        (1, Presence("room", joined=peers("b"))),
    ]


def test_repeated_subscribe_in_the_warm_up_is_acked_only():
    rooms = warming()
    rooms.connect(1, who("a"), 0)
    rooms.handle(1, Subscribe("room"), 0)

    assert flat(rooms.handle(1, Subscribe("room", "r"), 1)) == [(1, Ack("r"))]


def test_messages_pass_in_the_warm_up():
    rooms = warming()
    for connection, peer_id in ((1, "a"), (2, "b")):
        rooms.connect(connection, who(peer_id), 0)
        rooms.handle(connection, Subscribe("room"), 0)

    assert flat(rooms.handle(1, Publish("room", 1), 1)) == [(2, Message("room", "a", 1))]


def test_member_that_leaves_in_the_warm_up_is_in_no_roster():
    rooms = warming()
    for connection, peer_id in ((1, "a"), (2, "b"), (3, "c")):
        rooms.connect(connection, who(peer_id), 0)
        rooms.handle(connection, Subscribe("room"), 0)
    rooms.handle(1, Unsubscribe("room"), 1)
    rooms.disconnect(2, hold=False, now_s=1)

    assert flat(rooms.tick(3)) == [(3, Presence("room"))]


def test_member_dropped_in_the_warm_up_is_listed_while_it_is_held():
    rooms = warming()
    for connection, peer_id in ((1, "a"), (2, "b")):
        rooms.connect(connection, who(peer_id), 0)
        rooms.handle(connection, Subscribe("room"), 0)
    rooms.disconnect(1, hold=True, now_s=2)

    assert flat(rooms.tick(3)) == [(2, Presence("room", joined=peers("a")))]
    assert flat(rooms.tick(5)) == [(2, Presence("room", left=peers("a")))]


def test_channel_that_empties_in_the_warm_up_leaves_no_timer():
    rooms = warming()
    rooms.connect(1, who("a"), 0)
    rooms.handle(1, Subscribe("room"), 0)
    rooms.disconnect(1, hold=False, now_s=1)

    assert rooms.next_timer_s is None
    assert flat(rooms.tick(3)) == []
