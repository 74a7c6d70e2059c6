from __future__ import annotations

from typing import Any

import pytest

from edged.cameras.browsers import browser_roads


def roads(
    verdict: Any, codec: str = "H264", profile: str = "Constrained Baseline", others: Any = "refused"
) -> dict[str, tuple[str, str]]:
    found = browser_roads(verdict, codec=codec, profile=profile, others=others)
    return {road.browser: (road.gets, road.note) for road in found}


def test_every_browser_gets_h264_or_nothing() -> None:
    assert {gets for gets, _ in roads("as it is").values()} == {"H.264 as it is"}
    assert {gets for gets, _ in roads("encoded").values()} == {"H.264 encoded here"}
    assert set(roads("refused").values()) == {("nothing", "")}
    assert roads("unreachable") == {}
    assert [*roads("as it is")] == ["Chrome, Edge", "Firefox", "Safari", "Android"]


def test_firefox_promises_baseline_only() -> None:
    assert "Baseline" not in roads("as it is")["Firefox"][1]
    assert "promises Baseline only" in roads("as it is", profile="High")["Firefox"][1]
    assert "Baseline" not in roads("encoded", profile="High")["Firefox"][1]


@pytest.mark.parametrize("verdict", ["encoded", "refused"])
def test_of_h265_it_is_told_who_could_show_it(verdict: str) -> None:
    notes = {browser: note for browser, (_, note) in roads(verdict, codec="H265").items()}
    assert notes["Firefox"].startswith("has no H.265")
    assert "from version 18" in notes["Safari"]
    assert all(note.endswith("it is not sent as it is") for note in notes.values())


@pytest.mark.parametrize(
    ("others", "second"), [("encoded", "H.264 encoded here"), ("refused", "sub, if that is H.264")]
)
def test_h265_goes_as_it_is_to_those_who_have_it(others: str, second: str) -> None:
    told = roads("as it is", codec="H265", profile="Main", others=others)
    assert told["Firefox"] == (second, "has no H.265")
    assert {gets for browser, (gets, _) in told.items() if browser != "Firefox"} == {"H.265 as it is"}
    assert told["Chrome, Edge"][1].endswith(f"with a decoder in hardware; else {second}")
