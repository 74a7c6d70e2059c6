"""Everything is counted; a flood is not written line by line; a stranger cannot write lines of ours."""

from __future__ import annotations

from edged.commands.audit import LINES_BURST, Audit
from edged.commands.messages import DONE, Command, refused
from edged.commands.schema import compiled

COMMAND = Command("c1", "farm/heater/set", "on")


def test_a_line_says_who_what_and_what_became_of_it() -> None:
    audit = Audit()

    assert audit.line("peer-1", COMMAND, DONE, 0) == "command of peer-1 farm/heater/set id c1: ok"
    denied = audit.line("peer-1", COMMAND, refused("denied", "no rule"), 0)
    assert denied == "command of peer-1 farm/heater/set id c1: denied (no rule)"
    assert audit.line("peer-1", None, refused("bad_command", "no id"), 0) == "command of peer-1: bad_command (no id)"


def test_a_flood_is_summed_up() -> None:
    audit = Audit()
    lines = [audit.line("p", COMMAND, refused("too_many", "slow down"), 0) for _ in range(1000)]

    assert sum(line is not None for line in lines) == LINES_BURST
    later = audit.line("p", COMMAND, DONE, 10)
    assert later is not None
    assert later.endswith(f"; {1000 - LINES_BURST} more before it are not logged")
    assert audit.figures()["outcomes"] == {"too_many": 1000, "ok": 1}


def test_text_of_a_stranger_stays_in_its_place() -> None:
    line = Audit().line("peer\nINFO all is well", Command("i d\x1b[2J", "farm/" + "x" * 500, 1), DONE, 0)

    assert line is not None
    assert line.isprintable()
    assert "'peer\\nINFO all is well'" in line
    assert "'i d\\x1b[2J'" in line
    assert len(line) < 300


def test_a_sentence_that_quotes_a_payload_stays_on_its_line() -> None:
    check = compiled({"additionalProperties": {"type": "number"}}, "x")
    fault = check({"a\nINFO all is well\x1b[2J": "text"})
    line = Audit().line("p", COMMAND, refused("bad_payload", fault), 0)

    assert line is not None
    assert line.isprintable()
    assert "INFO all is well" in line


def test_what_is_not_answered_is_summed_up_too() -> None:
    audit = Audit()
    audit.unsaid(DONE)
    audit.unsaid(refused("denied", "no rule"))

    assert audit.figures()["outcomes"] == {"ok": 1, "denied": 1}
    assert str(audit.line("p", COMMAND, DONE, 0)).endswith("; 2 more before it are not logged")
