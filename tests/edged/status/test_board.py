"""The status board: the last word of each part, trouble first, and no news twice."""

from edged.status.board import Board, PartStatus


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_board_without_parts_says_so():
    assert Board(Clock()).line() == "nothing to do: no cameras and no telemetry.routes"


def test_trouble_comes_first_and_the_rest_in_order():
    board = Board(Clock())
    mqtt, hub, yard, odd = (board.reporter(name) for name in ("mqtt", "telemetry", "channel farm", "odd"))
    mqtt("live", "connected to 127.0.0.1:1883")
    hub("idle", "")
    yard("lost", "the hub does not answer")
    odd("unheard of", "")
    assert board.line() == (
        "odd unheard of; channel farm lost (the hub does not answer); telemetry idle;"
        " mqtt live (connected to 127.0.0.1:1883)"
    )


def test_a_part_begins_as_connecting():
    board = Board(Clock())
    board.reporter("mqtt")
    assert board.parts() == (PartStatus("mqtt", "connecting", "", 0.0),)


def test_the_time_moves_with_the_state_and_not_with_the_words():
    clock = Clock()
    board = Board(clock)
    report = board.reporter("mqtt")
    clock.now_s = 5.0
    report("lost", "a")
    clock.now_s = 9.0
    report("lost", "b")
    assert board.parts() == (PartStatus("mqtt", "lost", "b", 5.0),)


def test_figures_are_read_when_somebody_asks():
    board = Board(Clock())
    count = {"received": 1, "dropped": {"no_route": 0}}
    board.add_figures("telemetry", lambda: count)
    board.add_figures("clock", lambda: {"set": "yes"})
    count["received"] = 2
    assert board.figures() == {"telemetry": {"received": 2, "dropped": {"no_route": 0}}, "clock": {"set": "yes"}}


def test_figures_of_a_part_that_is_built_anew_replace_the_old():
    board = Board(Clock())
    board.add_figures("uplink", lambda: {"rtt_ms": 1})
    board.add_figures("uplink", lambda: {"rtt_ms": 2})
    assert board.figures() == {"uplink": {"rtt_ms": 2}}


def test_watchers_are_called_with_every_news_and_not_without():
    board = Board(Clock())
    report = board.reporter("mqtt")
    called = []
    board.watch(lambda: called.append(board.line()))
    report("live", "x")
    report("live", "x")
    assert called == ["mqtt live (x)"]


def test_one_callable_may_know_the_figures_of_several_parts():
    board = Board(Clock())
    board.add_figures("uplink", lambda: {"rtt_ms": 1})
    board.add_figures_of_several(lambda: {"uplink": {"rtt_ms": 2}, "budget": {"used": 3}, "loose": 4})
    assert board.figures() == {"uplink": {"rtt_ms": 2}, "budget": {"used": 3}}
