"""The pages of docs/sdk, one per task: their programs do what the page says, and their settings are accepted."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from edged.hub.settings import HubSettings
from edged.settings_file import load
from metered_realtime import MediaStream, Message, MeteredPeer, PeerJoined, SignallingClient, Track, iter_frames
from metered_realtime.media.audio import AudioSource
from tests.sdk.pages import PAGES, blocks, next_line, rest, running
from tests.sdk.real_hub import KEY, environment, hub_url  # noqa: F401 - a fixture
from tests.sdk.wired import AudioStreamTrack, SmallPictures

LOUD = (b"\x00\x40" * 8 + b"\x00\xc0" * 8) * 2000  # 2 s at 16 kHz


def the_program(page: str) -> str:
    (program,) = blocks(PAGES / page)
    return program


async def test_the_agent_answers_sound_with_sound(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    answer = asyncio.Event()
    async with running(the_program("agent.md"), hub_url, tmp_path) as agent:
        assert await next_line(agent) == "joined"
        async with MeteredPeer(api_key=KEY, url=hub_url) as caller:

            @caller.on(PeerJoined)
            def on_joined(event: PeerJoined) -> None:
                @event.peer.on(Track)
                async def on_track(received: Track) -> None:
                    assert received.metadata == {"role": "agent"}
                    async for frame in iter_frames(received.track):
                        if max(array("h", bytes(frame.planes[0])[: frame.samples * 4])) > 3000:
                            answer.set()

            voice = AudioSource(input_rate=16_000)
            caller.add_track(voice)
            await caller.join("studio")
            await voice.push(LOUD)
            assert (await next_line(agent)).startswith("heard ")
            async with asyncio.timeout(20):
                await answer.wait()


async def test_the_recorder_writes_what_is_sent(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    async with running(the_program("recorder.md"), hub_url, tmp_path) as recorder:
        assert await next_line(recorder) == "joined"
        async with MeteredPeer(api_key=KEY, url=hub_url) as sender:
            sender.add_stream(MediaStream([SmallPictures(), AudioStreamTrack()]))
            await sender.join("studio")
            lines = {(await next_line(recorder)).rpartition(" of ")[0] or "recording" for _ in range(3)}
            assert lines == {"recording", "preview"}
        recorder.terminate()
        (finished,) = [line for line in await rest(recorder) if line.startswith("finished ")]
    with av.open(str(tmp_path / "recordings" / finished.removeprefix("finished "))) as file:
        assert "video" in {stream.type for stream in file.streams}


async def test_the_bridge_carries_both_ways(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    async with (
        running(the_program("bridge.md"), hub_url, tmp_path) as bridge,
        SignallingClient(api_key=KEY, url=hub_url) as other,
        other.events(Message) as readings,
    ):
        await other.subscribe("readings")
        assert await next_line(bridge) == "ready"
        await other.publish("orders", {"open": "gate"})
        assert json.loads(await next_line(bridge))["data"] == {"open": "gate"}

        assert bridge.stdin is not None
        bridge.stdin.write(b"21.5\n")
        async with asyncio.timeout(20):
            assert (await anext(readings)).data == {"line": "21.5"}
        bridge.stdin.close()
        assert await rest(bridge) == []


@pytest.fixture
def token_hub(tmp_path: Path) -> Iterator[str]:
    """A hub with the settings file that the page shows."""
    secret = tmp_path / "sk_id_1.secret"
    secret.write_text(secrets.token_hex(32))
    secret.chmod(0o600)
    (settings,) = blocks(PAGES / "tokens.md", "yaml")
    (tmp_path / "hub.yaml").write_text(f"listen: 127.0.0.1:0\n{settings}")
    command = [sys.executable, "-m", "edged.hub", "--config", str(tmp_path / "hub.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as hub:
        assert hub.stdout is not None
        try:
            yield json.loads(hub.stdout.readline())["url"]
        finally:
            hub.terminate()


async def test_the_program_with_tokens_joins_as_who_it_is(token_hub: str, tmp_path: Path) -> None:
    async with running(the_program("tokens.md"), token_hub, tmp_path) as program:
        assert await rest(program) == ["connected as ada", "joined as bert"]


async def test_the_program_about_reconnecting_says_what_happens(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    async with running(the_program("reconnect.md"), hub_url, tmp_path) as program:
        assert [await next_line(program) for _ in range(2)] == ["idle -> joining", "joining -> joined"]
        async with MeteredPeer(api_key=KEY, url=hub_url) as other:
            await other.join("farm")
            await other.send("hello")
            assert await next_line(program) == "heard hello"


async def test_the_program_for_a_hub_of_ones_own(hub_url: str, tmp_path: Path) -> None:  # noqa: F811
    async with running(the_program("self-hosted-hub.md"), hub_url, tmp_path) as program:
        (line,) = await rest(program)
        assert line.endswith("others are here")


def test_the_settings_of_the_hub_page_are_accepted(tmp_path: Path) -> None:
    (settings,) = blocks(PAGES / "self-hosted-hub.md", "yaml")
    settings = settings.replace("/etc/edged/", f"{tmp_path}/")
    for name in ("hub.crt", "hub.key.pem", "camera.key", "viewer.key", "sk_id_1.secret"):
        (tmp_path / name).write_text(f"a secret of {name}")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "hub.yaml").write_text(settings)
    assert load(tmp_path / "hub.yaml", HubSettings).token_secrets[0].id == "sk_id_1"
