"""The public API of ours holds all of the official one; what it has beyond that is one table in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.lib.child import ROOT
from tests.interop.conftest import VERSIONS, RunProgram

Entry = dict[str, Any]
Api = dict[str, Entry]

DOCUMENT = ROOT / "docs/sdk/differences.md"
ADDITIONS = "## What ours adds"
DEFECTS = 26


async def walked(run_program: RunProgram, sdk: str) -> dict[str, Api]:
    program = await run_program("api_walk", sdk)
    return await program.event("api")


# The rules -----------------------------------------------------------------------------------------------


def faults_of_parameters(theirs: list[Entry], ours: list[Entry]) -> Iterator[str]:
    """Yield why a call written for theirs would fail with ours, or mean something else."""
    positional = [one for one in theirs if one["kind"].startswith("POSITIONAL")]
    ours_by_position = [one for one in ours if one["kind"].startswith("POSITIONAL")]
    for number, one in enumerate(positional):
        if ours_by_position[number : number + 1] != [one]:
            yield f"parameter {number} must be {one}"
    for one in theirs:
        if one["kind"] == "KEYWORD_ONLY" and one not in ours:
            yield f"there must be {one}"
        if one["kind"].startswith("VAR_") and one["kind"] not in [other["kind"] for other in ours]:
            yield f"there must be a parameter of kind {one['kind']}"
    for one in added_parameters(theirs, ours):
        if one["default"] is None and not one["kind"].startswith("VAR_"):
            yield f"the added parameter {one['name']} must be optional"


def added_parameters(theirs: list[Entry], ours: list[Entry]) -> list[Entry]:
    names = {one["name"] for one in theirs}
    kinds = {one["kind"] for one in theirs if one["kind"].startswith("VAR_")}
    return [one for one in ours if one["name"] not in names and one["kind"] not in kinds]


def faults_of(theirs: Entry, ours: Entry) -> Iterator[str]:
    """Yield in what ours falls short of theirs."""
    if ours["kind"] != theirs["kind"]:
        yield f"is a {ours['kind']}, must be a {theirs['kind']}"
        return
    yield from faults_of_parameters(theirs.get("parameters", []), ours.get("parameters", []))
    for several in ("bases", "values"):
        if missing := set(theirs.get(several, [])) - set(ours.get(several, [])):
            yield f"{several} must include {sorted(missing)}"
    if theirs["kind"] in ("attribute", "enum") and "value" in theirs and theirs["value"] != ours.get("value"):
        yield f"is {ours.get('value')}, must be {theirs['value']}"
    if "dataclass" in theirs and theirs["dataclass"] != ours.get("dataclass"):
        yield f"as a dataclass is {ours.get('dataclass')}, must be {theirs['dataclass']}"
    matched = theirs.get("match", [])
    if ours.get("match", [])[: len(matched)] != matched:
        yield f"must match the positions {matched}"


def faults(theirs: Api, ours: Api) -> list[str]:
    """Return what a program written for theirs would miss in ours."""
    missing = [f"{name}: is missing" for name in theirs if name not in ours]
    return missing + [
        f"{name}: {fault}" for name in theirs if name in ours for fault in faults_of(theirs[name], ours[name])
    ]


def additions(theirs: Api, ours: Api) -> set[str]:
    """Return the names of what ours has beyond theirs, as the table spells them."""
    found = {name for name in ours if name not in theirs and (name.partition(".")[0] in theirs or "." not in name)}
    for name in theirs.keys() & ours.keys():
        before, now = theirs[name], ours[name]
        if before["kind"] in ("alias", "constant") and before != now:
            found.add(name)
        for several in ("bases", "values"):
            found |= {f"{name}[{value}]" for value in set(now.get(several, [])) - set(before.get(several, []))}
        for one in added_parameters(before.get("parameters", []), now.get("parameters", [])):
            if f"{name}.{one['name']}" not in ours:  # a field of a dataclass is named as such
                found.add(f"{name}({one['name']})")
    return found


def rows(text: str) -> list[tuple[list[str], str, str]]:
    """Return the rows of the table of additions: the names, what it is, the reason."""
    section = text.partition(ADDITIONS)[2].partition("\n## ")[0]
    lines = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [(re.findall(r"`([^`]+)`", name), what.strip(), why.strip()) for name, what, why in lines[2:]]


# The packages --------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="session")
async def test_ours_has_all_of_the_official_api_and_the_table_has_the_rest(run_program: RunProgram) -> None:
    theirs, ours = await walked(run_program, "official"), await walked(run_program, "ours")
    assert len(theirs["exported"]) > 200

    assert faults(theirs["exported"], ours["exported"]) == []
    assert faults(theirs["reached"], ours["reached"]) == []
    listed = [name for names, _, _ in rows(DOCUMENT.read_text()) for name in names]
    assert sorted(listed) == sorted(additions(theirs["exported"], ours["exported"]))


def test_every_row_says_what_it_is_and_why() -> None:
    table = rows(DOCUMENT.read_text())

    assert table
    for names, what, why in table:
        assert names
        assert len(what) > 10, names
        assert len(why) > 10, names


def test_the_page_names_the_version_it_compares_with() -> None:
    assert f"version {VERSIONS['official']}" in DOCUMENT.read_text()


def test_every_defect_is_named_once() -> None:
    numbers = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)

    assert sorted(map(int, numbers)) == list(range(1, DEFECTS + 1))


# The rules themselves ------------------------------------------------------------------------------------


def parameter(name: str, kind: str = "POSITIONAL_OR_KEYWORD", default: str | None = None) -> Entry:
    return {"name": name, "kind": kind, "default": default}


def function(*parameters: Entry, kind: str = "function") -> Entry:
    return {"kind": kind, "parameters": list(parameters)}


A, B, C = parameter("a"), parameter("b", default="1"), parameter("c", "KEYWORD_ONLY", "None")


@pytest.mark.parametrize(
    "ours",
    [
        function(A, B, C, kind="coroutine function"),
        function(A, C),
        function(A, B),
        function(B, A, C),
        function(A, parameter("b", default="2"), C),
        function(parameter("a", "KEYWORD_ONLY"), B, C),
        function(A, B, parameter("c", "KEYWORD_ONLY")),
        function(A, parameter("new", default="0"), B, C),
        function(A, B, C, parameter("new", "KEYWORD_ONLY")),
    ],
    ids=str,
)
def test_a_function_that_cannot_be_called_as_before_is_a_fault(ours: Entry) -> None:
    assert faults({"f": function(A, B, C)}, {"f": ours})


@pytest.mark.parametrize(
    "new", [parameter("new", "KEYWORD_ONLY", "0"), parameter("new", default="0"), parameter("new", "VAR_KEYWORD")]
)
def test_a_parameter_nobody_must_give_is_an_addition(new: Entry) -> None:
    theirs, ours = {"f": function(A, B, C)}, {"f": function(A, B, new, C)}

    assert faults(theirs, ours) == []
    assert additions(theirs, ours) == {"f(new)"}


def test_another_name_for_all_the_rest_is_no_difference() -> None:
    theirs, ours = (function(parameter(name, "VAR_POSITIONAL")) for name in ("exc", "exc_info"))

    assert faults({"f": theirs}, {"f": ours}) == []
    assert additions({"f": theirs}, {"f": ours}) == set()


def test_less_of_anything_is_a_fault_and_more_an_addition() -> None:
    less: Api = {
        "E": {"kind": "class", "bases": ["Exception"], "match": ["a"]},
        "E.code": {"kind": "attribute"},
        "L": {"kind": "literal", "values": ["x"]},
    }
    more: Api = {
        "E": {"kind": "class", "bases": ["Exception", "OSError"], "match": ["a", "b"]},
        "E.code": {"kind": "attribute"},
        "E.reason": {"kind": "attribute"},
        "L": {"kind": "literal", "values": ["x", "y"]},
        "New": {"kind": "class", "bases": []},
        "New.member": {"kind": "attribute"},
    }

    assert faults(less, more) == []
    assert additions(less, more) == {"E[OSError]", "E.reason", "L[y]", "New"}
    assert len(faults(more, less)) == 6
    assert faults({"W.A": {"kind": "enum", "value": "1"}}, {"W.A": {"kind": "enum", "value": "2"}})
