"""Programs written for the official package, run under it and under ours: what each of them finds out is true of ours.

Where the official package fails it is for a defect with a number (section 9.1 of its API reference). The hub tells of a
drop at once, as the plainest service does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from edged.hub.settings import TokenSecretSettings
from edged.settings import Secret
from scripts.lib import peers
from scripts.lib.child import Child
from tests.edged.hub.conftest import KEY, hub_settings, running_hub
from tests.interop.conftest import PYTHONS, SDKS, VERSIONS

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

FOLDER = Path(__file__).parent / "programs/both"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "stage")
# Each has most of its time to wait for something.
AT_ONCE = 4
SECRET_ID, SECRET = "sk_id_1", "sk_secret_" + "0123456789abcdef" * 3

# Program -> what does not hold under the official package -> the number of its defect.
DEFECTS: dict[str, dict[str, int]] = {
    "agent": {},
    "chat": {"22,500 accented letters are one message": 17},
    "clients": {
        "a message too large costs one error and no connection": 18,
        "without a time limit for silence the connection stays": 16,
        "a handler for one time can be taken back": 24,
    },
    "echo_bot": {"a channel opened against an offer of media comes back to life": 5},
    "mute": {
        "the viewer is told that it is gone": 13,
        "it comes back when it is added again": 3,
        "the viewer is told of the track again": 13,
        "it comes back when it is added at once": 3,
    },
    "reconnect": {
        "who exchanges nothing is idle again": 11,
        "the picture comes back when its sender was cut off": 1,
        "a join that was cut off can be repeated": 12,
    },
    "recorder": {
        "the end of the stream is told": 13,
        "reading frames ends with the stream": 13,
        "a stream that comes back is recorded again": 3,
    },
    "replace_track": {
        "the other picture takes its place": 2,
        "the other tone takes its place": 2,
        "back to the first picture": 2,
    },
    "rooms": {"a greeting sent from the handler of the first member arrives": 7},
    "streams": {
        "a track added in the handler of the first member comes": 7,
        "tracks added one after the other over a slow line come without an error": 14,
    },
    "tokens": {
        "the picture is there under the next token": 1,
        "a provider that is a plain function will do": 25,
    },
}

# Defects that do not always show. 7: whether the list of members or the end of `join` comes first is chance.
# 14: on a busy machine offers and answers fall in with each other. 2: and a connection that is built anew for that
# reason sends the new track, whatever became of the old one's task.
SOMETIMES = {2, 7, 14}

Perform = Callable[[str, str], Awaitable[dict[str, bool]]]


async def perform(program: str, sdk: str, url: str) -> dict[str, bool]:
    """Run a program to its end; returns which of its facts hold."""
    options = {"url": url, "key": KEY, "channel": f"{program}-{sdk}", "secret_id": SECRET_ID, "secret": SECRET}
    argv = [PYTHONS[sdk], FOLDER / f"{program}.py", json.dumps(options)]
    env = peers.tree_environment() if sdk == "ours" else {"PYTHONPATH": ""}
    async with Child(f"{program} ({sdk})", argv, env=env) as child:
        await child.event("finished", timeout_s=120)
        assert (await child.event("ready"))["version"] == VERSIONS[sdk]
        told: dict[str, bool] = {}
        for fact in child.events_of("fact"):
            told[fact["name"]] = told.get(fact["name"], True) and fact["holds"]
        # What it says when it fails is in the log; a test that fails shows it.
        print(f"--- log of {child.name} ---\n{child.log}")
        return told


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def performed(request: pytest.FixtureRequest) -> AsyncIterator[Perform]:
    """Run the programs of all chosen tests side by side; a test waits for its own."""
    secrets = (TokenSecretSettings(id=SECRET_ID, secret=Secret(SECRET)),)
    may_run = asyncio.Semaphore(AT_ONCE)

    async def run(program: str, sdk: str) -> dict[str, bool]:
        async with may_run:
            return await perform(program, sdk, f"ws://127.0.0.1:{hub.port}")

    chosen = [
        item.callspec.params
        for item in request.session.items
        if item.path == Path(__file__) and "sdk" in item.fixturenames
    ]
    async with running_hub(hub_settings(hold_s=0, token_secrets=secrets)) as hub:
        running = {
            (one["program"], one["sdk"]): asyncio.create_task(run(one["program"], one["sdk"]), name=str(one))
            for one in chosen
        }
        yield lambda program, sdk: running[program, sdk]
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_everything_holds_but_the_defects_of_the_official_package(
    program: str, sdk: str, performed: Perform
) -> None:
    told = await performed(program, sdk)

    defects = DEFECTS[program] if sdk == "official" else {}
    always = {name for name, number in defects.items() if number not in SOMETIMES}
    failed = {name for name, holds in told.items() if not holds}
    assert told
    assert failed - defects.keys() == always - failed == set()


async def test_every_defect_named_is_a_fact_of_its_program() -> None:
    assert DEFECTS.keys() == set(PROGRAMS)
    for program, defects in DEFECTS.items():
        text = (FOLDER / f"{program}.py").read_text()
        assert [name for name in defects if f'"{name}"' not in text] == []
