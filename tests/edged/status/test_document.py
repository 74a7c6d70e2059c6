"""The status as one value: parts, account, what is not as it should be."""

import pytest

from edged.status.board import PartStatus
from edged.status.document import Account, Identity, account_of, document, short_account

IDENTITY = Identity(gateway="farm-1", version="1.2.3", pid=7, started_s=100.0)
GOOD = {"received": 10, "delivered": 6, "waiting": 1, "dropped": {"no_route": 2, "outbox_full": 1}}


def made(parts=(), figures=None, **more):
    return document(IDENTITY, parts, figures or {}, **{"now_s": 160.0, "now_ms": 1_800_000_060_000, **more})


def test_it_says_who_runs_since_when():
    found = made()
    assert (found["gateway"], found["version"], found["pid"], found["format"]) == ("farm-1", "1.2.3", 7, 1)
    assert (found["uptime_s"], found["started_ms"]) == (60.0, 1_800_000_000_000)


def test_a_clock_that_is_set_later_moves_the_start_with_it():
    assert made(now_ms=60_000)["started_ms"] == 0


def test_parts_in_trouble_are_named_and_only_those():
    parts = [PartStatus("mqtt", "live", "connected", 150.0), PartStatus("telemetry", "lost", "no hub", 159.0)]
    found = made(parts)
    assert found["parts"][1] == {"name": "telemetry", "state": "lost", "detail": "no hub", "for_s": 1.0}
    assert found["trouble"] == ["telemetry lost"]


def test_all_words_are_masked():
    parts = [PartStatus("hub", "failed", "key pk_live_secret", 0.0)]
    figures = {"uplink": {"last": {"error": "of secret"}, "count": 1, "rtt": None}}
    found = made(parts, figures, mask=lambda text: text.replace("secret", "*"))
    assert found["parts"][0]["detail"] == "key pk_live_*"
    assert found["figures"] == {"uplink": {"last": {"error": "of *"}, "count": 1, "rtt": None}}


def test_the_account_of_a_gateway_without_sensors_is_none():
    assert made(figures={"cameras": {}})["account"] is None


def test_an_account_that_adds_up():
    found = made(figures={"telemetry": GOOD})
    assert found["account"] == {
        "received": 10,
        "delivered": 6,
        "waiting": 1,
        "dropped": 3,
        "dropped_by_reason": {"no_route": 2, "outbox_full": 1},
        "unexplained": 0,
    }
    assert found["trouble"] == []


@pytest.mark.parametrize(("received", "missing"), [(11, 1), (9, -1)])
def test_an_account_that_does_not_add_up_is_trouble(received, missing):
    found = made(figures={"telemetry": {**GOOD, "received": received}})
    assert found["account"]["unexplained"] == missing
    assert found["trouble"] == [f"{missing} messages are unaccounted for"]


def test_what_this_life_dropped_is_known_beside_the_totals():
    account = account_of({"telemetry": {**GOOD, "this_life": {"dropped": {"no_route": 1}}}})
    assert account is not None
    assert (account.dropped_count, account.dropped_in_this_life) == (3, {"no_route": 1})


def test_the_account_in_few_words():
    assert short_account(Account(1203, 1200, 2, {"a": 1})) == "1,200 delivered, 2 waiting, 1 dropped"
    assert short_account(Account(1203, 1200, 0, {})) == "3 of 1,203 messages unaccounted for"


def test_figures_that_are_not_there_count_nothing():
    assert account_of({"telemetry": {"received": None, "dropped": "many"}}) == Account(0, 0, 0, {})
