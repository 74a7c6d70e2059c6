"""The page of `edged status`: what people see first, in the width they have."""

from edged.status.board import PartStatus
from edged.status.document import Identity, document
from edged.status.page import page

PARTS = [
    PartStatus("telemetry", "lost", "no connection to the hub at wss://hub.example.org: it does not answer", 90.0),
    PartStatus("mqtt", "live", "connected to 127.0.0.1:1883", 10.0),
    PartStatus("camera yard", "idle", "", 0.0),
]
FIGURES = {
    "telemetry": {"received": 1203, "delivered": 1200, "waiting": 2, "dropped": {"no_route": 1}, "clock": "set"},
    "routes": {"farm/#": {"readings": 1200, "filtered": {"unchanged": 3}, "last_time_ms": None}},
    "cameras": {"yard": {"state": "idle", "viewers": 0, "fps": None}},
    "uplink": {
        "rtt_ms": 34,
        "last_error": "",
        "oldest_s": None,
        "pace_per_s": 80.0,
        "budget": {"used": 500, "limit": 100_000, "state": "ok"},
    },
}
IDENTITY = Identity("farm-1", "1.2.3", 42, 0.0)


def made(parts=PARTS, figures=FIGURES, **more):
    return page(document(IDENTITY, parts, figures, now_s=100.0, now_ms=0), **more)


def test_the_whole_page():
    assert made() == (
        "edged 1.2.3, gateway farm-1, running for 1 min 40 s (pid 42)\n"
        "\n"
        "PART         STATE  FOR         DETAIL\n"
        "telemetry    lost   10 s        no connection to the hub at wss://hub.example.org: it does not answer\n"
        "mqtt         live   1 min 30 s  connected to 127.0.0.1:1883\n"
        "camera yard  idle   1 min 40 s  -\n"
        "\n"
        "telemetry  clock set\n"
        "\n"
        "ROUTE   READINGS  FILTERED         LAST\n"
        "farm/#  1,200     3 (unchanged 3)  -\n"
        "\n"
        "CAMERA  STATE  VIEWERS  FPS\n"
        "yard    idle   0        -\n"
        "\n"
        "uplink     rtt 34 ms, pace 80/s\n"
        "\n"
        "budget     used 500, limit 100,000, state ok\n"
        "\n"
        "account    received 1,203 = delivered 1,200 + waiting 2 + dropped 1 (no_route 1)\n"
        "\n"
        "trouble: telemetry lost\n"
    )


def test_no_line_is_wider_than_the_terminal():
    lines = made(width=60).splitlines()
    assert max(len(line) for line in lines if not line.startswith(("account", "trouble"))) <= 60
    assert "telemetry    lost   10 s        no connection to the hub ..." in lines


def test_a_long_sentence_of_figures_breaks_between_them():
    figures = {"outbox": {f"figure_{index}": index for index in range(9)}}
    lines = made((), figures, width=40).splitlines()[2:]
    assert lines[0] == "outbox     figure 0 0, figure 1 1,"
    assert all(len(line) <= 40 for line in lines)
    assert all(line.startswith(" " * 11) for line in lines[1:])


def test_there_is_no_colour_unless_it_is_asked_for():
    assert "\x1b" not in made()
    painted = made(colour=True)
    assert "\x1b[31mlost\x1b[0m" in painted
    assert " \x1b[32mlive\x1b[0m " in painted


def test_only_the_state_is_painted():
    painted = made([PartStatus("lost sheep", "lost", "", 0.0)], {}, colour=True)
    assert "lost sheep  \x1b[31mlost\x1b[0m " in painted


def test_an_account_that_does_not_add_up_is_loud():
    figures = {"telemetry": {"received": 10, "delivered": 7, "waiting": 0, "dropped": {}}}
    assert "THIS DOES NOT ADD UP: 3 messages are unaccounted for" in made((), figures)


def test_what_comes_from_the_network_cannot_steer_the_terminal():
    figures = {"routes": {"a\x1b[2J": {"readings": 1, "note": "b\x1b[2J"}}}
    assert "\x1b" not in made([PartStatus("x\x1b", "live", "d\x1b", 0.0)], figures)


def test_a_gateway_that_does_nothing_has_a_page():
    assert made((), {}) == "edged 1.2.3, gateway farm-1, running for 1 min 40 s (pid 42)\n"
