"""The ledger remembers what was carried out, across the process's own death, and forgets nothing too early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.commands.ledger import LEDGER_BYTES, SLOTS, Ledger, digest
from edged.commands.messages import DONE, refused

SENDER, CONTENT = digest("peer-1"), digest("content")


def new(memory: bytearray | None = None, *, now_s: float = 100.0, keep_s: float = 70.0) -> Ledger:
    return Ledger(bytearray(LEDGER_BYTES) if memory is None else memory, keep_s=keep_s, now_s=now_s)


def test_an_id_is_known_from_when_it_begins() -> None:
    ledger = new()

    assert ledger.find("a") is None
    assert ledger.begin("a", SENDER, CONTENT, 100)
    found = ledger.find("a")
    assert found is not None
    assert (found.sender, found.content, found.answer().reason) == (SENDER, CONTENT, "unknown")
    ledger.end("a", DONE)
    found = ledger.find("a")
    assert found is not None
    assert found.answer().ok


@pytest.mark.parametrize("reason", ["timeout", "unknown", "broker_refused", "broker_unreachable", "late"])
def test_the_next_life_knows_the_outcome(reason: str) -> None:
    memory = bytearray(LEDGER_BYTES)
    first = new(memory)
    for command_id in ("done", "begun", "failed"):
        first.begin(command_id, SENDER, CONTENT, 100)
    first.end("done", DONE)
    first.end("failed", refused(reason, "why"))  # type: ignore[arg-type]

    second = new(memory, now_s=101)
    outcomes = {name: found.answer().reason for name in ("done", "begun", "failed") if (found := second.find(name))}
    assert outcomes == {"done": "", "begun": "unknown", "failed": reason}
    assert len(second) == 3


def test_what_is_young_is_never_overwritten_and_what_is_old_is() -> None:
    ledger = new(keep_s=10)
    for number in range(SLOTS):
        assert ledger.begin(str(number), SENDER, CONTENT, 100)

    assert not ledger.begin("one too many", SENDER, CONTENT, 109.9)
    assert ledger.find("0") is not None
    assert ledger.begin("later", SENDER, CONTENT, 110.1)
    assert ledger.find("0") is None
    assert ledger.find("1") is not None
    assert len(ledger) == SLOTS


def test_the_next_life_goes_on_with_the_oldest() -> None:
    memory = bytearray(LEDGER_BYTES)
    first = new(memory)
    for number in range(SLOTS):
        first.begin(str(number), SENDER, CONTENT, 100 + number)
    second = new(memory, now_s=10_000)

    assert second.begin("new", SENDER, CONTENT, 10_000)
    assert second.find("0") is None
    assert second.find(str(SLOTS - 1)) is not None


def test_a_life_that_begins_within_the_same_millisecond_knows_it() -> None:
    memory = bytearray(LEDGER_BYTES)
    new(memory, now_s=100.0).begin("a", SENDER, CONTENT, 101.2656)

    assert new(memory, now_s=101.2656).find("a") is not None


def test_an_entry_of_another_boot_is_forgotten() -> None:
    memory = bytearray(LEDGER_BYTES)
    new(memory).begin("a", SENDER, CONTENT, 5000)

    assert new(memory, now_s=10).find("a") is None


@given(st.binary(max_size=400), st.integers(0, LEDGER_BYTES - 400))
def test_damage_is_never_an_error(noise: bytes, at: int) -> None:
    memory = bytearray(LEDGER_BYTES)
    first = new(memory)
    first.begin("a", SENDER, CONTENT, 100)
    memory[at : at + len(noise)] = noise

    ledger = new(memory)
    found = ledger.find("a")
    assert found is None or found.answer()
    assert ledger.begin("b", SENDER, CONTENT, 101)
    assert ledger.find("b") is not None


def test_any_text_has_a_digest() -> None:
    assert digest("\ud800") != digest("\ud801")
    assert len(digest("x", 16)) == 16
