"""The documents hold: programs in them run, names in them exist, links in them lead somewhere."""

from __future__ import annotations

import ast
import re
import wave
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import metered_realtime
from scripts.lib import reference
from tests.sdk.pages import PAGES, blocks, next_line, rest, running
from tests.sdk.real_hub import ROOT, hub_url  # noqa: F401 - a fixture

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
START = PAGES / "getting-started.md"


def links(document: Path) -> list[str]:
    """Return the targets of all links and pictures, without what stands in blocks of code."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]*`", "", text))


def named(document: Path) -> list[Any]:
    name = document.relative_to(ROOT)
    return [pytest.param(text, id=f"{name} {number}") for number, text in enumerate(blocks(document), 1)]


def anchors(document: Path) -> set[str]:
    """Return what a link may name behind # in this document."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("program", [one for document in DOCUMENTS for one in named(document)])
def test_a_program_compiles_and_imports_what_there_is(program: str) -> None:
    tree = ast.parse(program)
    compile(tree, "a document", "exec")

    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "metered_realtime"
    ]
    assert {alias.name for node in imports for alias in node.names} <= set(metered_realtime.__all__)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    for link in links(document):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = unquote(link).partition("#")
            target = (document.parent / path).resolve() if path else document
            assert target.is_relative_to(ROOT), link
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_the_pages_for_users_of_the_sdk_are_read() -> None:
    assert START in DOCUMENTS
    assert len(blocks(START)) == 4
    assert links(START)


def test_the_reference_says_what_the_docstrings_say() -> None:
    assert (PAGES / "reference.md").read_text() == reference.page(), "run scripts/docs"


# The programs of the first page, each with its counterpart ----------------------------------------------------


async def test_one_program_greets_and_the_other_answers(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    listen, send, _, _ = blocks(START)
    async with running(listen, hub_url, tmp_path) as listener:
        assert (await next_line(listener)).startswith("joined as ")
        async with running(send, hub_url, tmp_path) as sender:
            assert await rest(sender) == [f"direct answer: {{'heard': '{words}'}}" for words in ("hello", "bye")]
        lines = await rest(listener)
    assert [line.partition(" ")[2] for line in lines[:3]] == ["came", "says hello", "says bye"]


async def test_one_program_plays_and_the_other_counts_frames(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    _, _, play, count = blocks(START)
    with wave.open(str(tmp_path / "talk.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 8000))
    async with running(count, hub_url, tmp_path) as counter:
        assert await next_line(counter) == "joined"
        async with running(play, hub_url, tmp_path) as player:
            assert await rest(counter) == ["audio with {'role': 'speaker'}"]
            assert await rest(player) == []
