"""Who answers when somebody asks: reads everything at that moment."""

import os

from edged import __version__
from edged.status.board import Board
from edged.status.desk import Desk


class Clock:
    now_s = 50.0

    def __call__(self):
        return self.now_s


def desk_with(board, clock):
    return Desk(board, "farm-1", mask=str.upper, clock=clock, wall_ms=lambda: 1_800_000_000_000)


def test_a_document_is_of_the_moment_it_is_asked_for():
    clock = Clock()
    board = Board(clock)
    desk = desk_with(board, clock)
    report = board.reporter("mqtt")
    report("live", "connected")
    board.add_figures("clock", lambda: {"set": 1})
    clock.now_s = 53.0
    found = desk.document()
    assert (found["gateway"], found["version"], found["pid"]) == ("farm-1", __version__, os.getpid())
    assert found["uptime_s"] == 3.0
    assert found["parts"] == [{"name": "mqtt", "state": "live", "detail": "CONNECTED", "for_s": 3.0}]
    assert found["figures"] == {"clock": {"set": 1}}


def test_the_line_has_the_account_in_place_of_where_telemetry_is_connected_to():
    board = Board(Clock())
    desk = desk_with(board, Clock())
    report = board.reporter("telemetry")
    board.add_figures("telemetry", lambda: {"received": 5, "delivered": 4, "waiting": 1, "dropped": {}})
    report("live", "connected to wss://hub")
    assert desk.line() == "telemetry live (4 delivered, 1 waiting, 0 dropped)"
    report("lost", "no answer")
    assert desk.line() == "telemetry lost (no answer)"


def test_the_line_of_a_gateway_of_cameras_has_no_account():
    board = Board(Clock())
    board.reporter("camera yard")("idle", "")
    assert desk_with(board, Clock()).line() == "camera yard idle"
