"""Candidates behind descriptions: in order, never before, again with each repetition, within bounds."""

from __future__ import annotations

from metered_realtime.description import Section, SessionFacts
from metered_realtime.trickle import MAX_CANDIDATES, MAX_GENERATIONS, Trickle


def described(ufrag: str = "u", *sections: Section) -> SessionFacts:
    return SessionFacts(ufrag, "f", sections or (Section("video", "e1"),))


def candidate(number: int) -> str:
    return f"candidate:1 1 udp 1 192.0.2.{number} 5000 typ host"


def init(number: int, ufrag: str = "u", mid: str = "e1", index: int = 0) -> dict[str, object]:
    return {"candidate": candidate(number), "sdpMid": mid, "sdpMLineIndex": index, "usernameFragment": ufrag}


def test_what_is_found_before_the_description_waits_for_it() -> None:
    trickle = Trickle()
    assert trickle.found("u", candidate(1)) == []
    assert trickle.described(described(), "no candidates in it") == [init(1)]


def test_what_is_found_after_the_description_goes_at_once_and_the_end_last() -> None:
    trickle = Trickle()
    assert trickle.described(described(), "") == []
    assert trickle.found("u", candidate(1)) == [init(1)]
    assert trickle.found("u", None) == [None]
    assert trickle.found("u", candidate(2)) == []


def test_where_nothing_is_to_come_the_end_follows_the_description() -> None:
    trickle = Trickle()
    assert trickle.found("u", None) == []
    assert trickle.described(described(), "") == [None]


def test_a_description_sent_again_brings_its_candidates_again_but_not_those_in_it() -> None:
    trickle = Trickle()
    trickle.described(described(), "")
    for found in (candidate(1), candidate(2), None):
        trickle.found("u", found)
    assert trickle.described(described(), f"a={candidate(1)}\r\n") == [init(2), None]


def test_candidates_of_another_generation_wait_for_its_own_description() -> None:
    trickle = Trickle()
    trickle.described(described("u"), "")
    assert trickle.found("v", candidate(1)) == []
    assert trickle.described(described("v"), "") == [init(1, "v")]
    assert trickle.found("u", candidate(2)) == [init(2, "u")]  # the offer for the restart may have been taken back


def test_the_first_section_in_use_is_named() -> None:
    trickle = Trickle()
    sections = (Section("audio", "0", is_rejected=True), Section("video", "1"))
    trickle.found("u", candidate(1))
    assert trickle.described(described("u", *sections), "") == [init(1, mid="1", index=1)]
    closed = (Section("audio", "0", is_rejected=True),)
    assert trickle.described(described("u", *closed), "") == [init(1, mid="0", index=0)]


def test_candidates_are_bounded_and_what_is_dropped_is_counted() -> None:
    trickle = Trickle()
    trickle.described(described(), "")
    for number in range(MAX_CANDIDATES + 3):
        trickle.found("u", candidate(number))
    assert trickle.dropped == 3
    assert len(trickle.described(described(), "")) == MAX_CANDIDATES


def test_generations_are_bounded() -> None:
    trickle = Trickle()
    for number in range(MAX_GENERATIONS + 1):
        trickle.found(f"u{number}", None)
    assert trickle.described(described("u1"), "") == [None]
    assert trickle.described(described("u0"), "") == []
