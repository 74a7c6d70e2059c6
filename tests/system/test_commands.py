"""Commands with real parts: Chromium with the browser SDK, hub, gateway, mosquitto, and a device that listens."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from scripts.lib import peers
from scripts.lib.browser import Browser, Page
from scripts.lib.child import ROOT
from scripts.lib.tcp_cutter import tcp_cutter
from tests.system.conftest import CHANNEL, Site, subscribed

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
SECRET = "sk_secret_" + "0123456789abcdef" * 3
MAX_AGE_S = 2.0
STANDSTILL_S = 3.0
RULES = [
    {
        "topics": ["farm/{sender.barn}/+/set"],
        "sender": {"metadata": {"role": "operator"}},
        "schema": {"enum": ["ON", "OFF"]},
        "timeout_s": 1.0,
        "burst": 50,
    },
    {"topics": ["lamp/set"], "sender": {"anyone": True}, "echo": True},
    {"topics": ["farm/+/+/ask"], "sender": {"anyone": True}, "reply_topic": "{parent}/answer", "timeout_s": 1.0},
]
EXAMPLE = ROOT / "docs/examples/commands.html"
PACKAGE = "https://esm.sh/@metered-ca/realtime@1.2.0"
CLICK = "document.querySelector(`button[data-payload=${arg}]`).click()"
PAGE = """
    globalThis.results = [];
    globalThis.client = new sdk.SignallingClient({ url: arg.url, tokenProvider: async () => arg.token });
    client.on("direct", ({ data }) => data.type === "edged/command-result" && results.push(data));
    globalThis.read = [];
    client.on("message", ({ data }) => read.push(...(data.readings ?? []).map(({ topic }) => topic)));
    await client.connect();
    await client.subscribe(arg.channel);
"""
COMMAND = 'await client.publish(arg.channel, { type: "edged/command", ...arg.command });'
RESULTS = "const found = results.filter((one) => one.id === arg.id); return found.length >= arg.count && found;"


@pytest.fixture(autouse=True)
def _runtime_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without one, a gateway that has just started carries out nothing for a while."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))


def token(peer_id: str, **metadata: Any) -> str:
    """Sign a connection token as a back end does."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"sub": peer_id, "exp": int(time.time()) + 600, "peerMetadata": metadata}
    signed = f"{part({'alg': 'HS256', 'kid': 'sk_id_1'})}.{part(claims)}"
    mark = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"


class Device:
    """What listens at the broker: records every command, and answers those on /ask."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[str, str]] = []
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("farm/#", 1)

    def _subscribed(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._ready.set)

    def _heard(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        assert not message.retain
        topic = message.topic
        if not topic.endswith("/answer"):
            self._loop.call_soon_threadsafe(self._take, topic, message.payload.decode())
        if topic.endswith("/heater/ask"):
            self._client.publish(f"{topic.rpartition('/')[0]}/answer", '{"temperature": 21.5}')

    def _take(self, topic: str, payload: str) -> None:
        self.got.append((topic, payload))
        self._changed.set()

    async def until(self, *last: str) -> list[tuple[str, str]]:
        """Wait until this command has come, and return all that came by then; the gateway's come in order."""
        async with asyncio.timeout(15):
            while last not in self.got:
                self._changed.clear()
                await self._changed.wait()
        return self.got

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Device]:
        self._client.loop_start()
        try:
            async with asyncio.timeout(10):
                await self._ready.wait()
            yield self
        finally:
            self._client.disconnect()
            await asyncio.to_thread(self._client.loop_stop)


class Operator:
    """A page with the browser SDK, and nothing of ours."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def give(self, command_id: str, topic: str, payload: Any, **fields: Any) -> None:
        command = {"id": command_id, "topic": topic, "payload": payload, **fields}
        await self.page.evaluate(COMMAND, {"channel": f"{CHANNEL}/commands", "command": command})

    async def results(self, command_id: str, count: int = 1) -> list[dict[str, Any]]:
        found = await self.page.wait_for(RESULTS, {"id": command_id, "count": count})
        assert len(found) == count
        return list(found)

    async def ask(self, command_id: str, topic: str, payload: Any, **fields: Any) -> dict[str, Any]:
        """Give a command and return its answer."""
        await self.give(command_id, topic, payload, **fields)
        (answer,) = await self.results(command_id)
        return answer


@contextlib.asynccontextmanager
async def operator(site: Site, **metadata: Any) -> AsyncIterator[Operator]:
    assert site.hub is not None
    async with Browser() as browser:
        page = await browser.open()
        await page.evaluate(PAGE, {"url": site.hub.url, "channel": CHANNEL, "token": token("operator-1", **metadata)})
        yield Operator(page)


async def start(site: Site, *, max_age_s: float = 10.0) -> tuple[peers.Broker, dict[str, Any]]:
    """Start broker and hub, and return the broker and the settings of a gateway."""
    broker = await site.start_broker()
    config = site.folder / "hub.yaml"
    config.write_text(yaml.safe_dump({"token_secrets": [{"id": "sk_id_1", "secret": SECRET}]}))
    await site.start_hub("--config", str(config))
    rules = [{**rule, "max_age_s": max_age_s} for rule in RULES]
    return broker, site.settings(commands={"rules": rules, "link_check_s": 0.5}, site={"state": "never"})


async def start_gateway(site: Site, settings: dict[str, Any]) -> peers.Gateway:
    gateway = await site.start_gateway(settings)
    await subscribed(gateway)
    await gateway.log_line("commands are taken from farm/commands")
    return gateway


async def test_page_gives_commands_and_is_answered(site: Site) -> None:
    broker, settings = await start(site)
    settings["telemetry"] = {"routes": [{"topic": "#"}]}
    gateway = await start_gateway(site, settings)
    async with operator(site, role="operator", barn="b1") as page, Device(broker.port).listening() as device:
        done = await page.ask("c1", "farm/b1/heater/set", "ON", ttl_s=5)
        assert done == {"type": "edged/command-result", "gateway": "farm-1", "id": "c1", "ok": True}
        assert await device.until("farm/b1/heater/set", "ON") == [("farm/b1/heater/set", "ON")]

        asked = await page.ask("c2", "farm/b1/heater/ask", {"what": "temperature"})
        assert (asked["ok"], asked["reply"]) == (True, {"temperature": 21.5})
        silent = await page.ask("c3", "farm/b1/stove/ask", "")
        assert (silent["ok"], silent["reason"]) == (False, "timeout")

        for number, (topic, payload, reason) in enumerate(
            [
                ("farm/b2/heater/set", "ON", "denied"),
                ("farm/b1/heater/set", "BURN", "bad_payload"),
                ("house/door", "OPEN", "unknown_topic"),
                ("farm/b1/+/set", "ON", "bad_command"),
            ]
        ):
            assert (await page.ask(f"no{number}", topic, payload))["reason"] == reason
        assert (await page.ask("old", "farm/b1/heater/set", "ON", expires_ms=1))["reason"] in {"late", "clock_unset"}

        assert (await page.ask("c4", "lamp/set", "ON"))["ok"]
        await page.page.wait_for("return read.includes('lamp/set')")
        read = await page.page.evaluate("return read")
        assert sorted(read) == ["farm/b1/heater/answer", "lamp/set"], "what we publish is read where echo says so"

        await page.give("c1", "farm/b1/heater/set", "ON", ttl_s=5)
        assert await page.results("c1", 2) == [done, done], "the same answer again"
        assert (await page.ask("c5", "farm/b1/heater/set", "OFF"))["ok"]
        all_commands = await device.until("farm/b1/heater/set", "OFF")
        assert len(all_commands) == 4, "and nothing done again"
        assert await gateway.log_line("command of operator-1 farm/b1/heater/set id c1: ok")

        broker.child.signal(signal.SIGSTOP)
        unsure = await page.ask("c8", "farm/b1/heater/set", "ON")
        assert (unsure["ok"], unsure["reason"]) == (False, "unknown")
        broker.child.signal(signal.SIGCONT)
        await broker.child.stop()
        await gateway.log_line("trying again in")
        assert (await page.ask("c9", "farm/b1/heater/set", "ON"))["reason"] == "broker_unreachable"


async def test_the_example_page_switches_and_says_what_became_of_it(site: Site) -> None:
    broker = await site.start_broker()
    hub = await site.start_hub()
    rule = {"topics": ["farm/barn1/+/set"], "sender": {"anyone": True}, "schema": {"const": "ON"}}
    await start_gateway(site, site.settings(commands={"rules": [rule]}))
    html = EXAMPLE.read_text()
    address = f"key={hub.key}&channel={CHANNEL}/commands&url={hub.url}"
    for old, new in ((PACKAGE, "/sdk/index.mjs"), ("location.hash.slice(1)", json.dumps(address))):
        assert html.count(old) == 1
        html = html.replace(old, new)
    async with Browser() as browser, Device(broker.port).listening() as device:
        page = await browser.open(html=html)
        await page.wait_for("return document.querySelector('button').onclick !== null")
        await page.evaluate(CLICK, "ON")
        await page.wait_for("return outcome.textContent === 'done'")
        await page.evaluate(CLICK, "OFF")
        await page.wait_for("return outcome.textContent.includes('payload must be same as const')")
        assert await device.until("farm/barn1/heater/set", "ON") == [("farm/barn1/heater/set", "ON")]


async def trusts_again(page: Operator, name: str, payload: str) -> None:
    """Give commands until one is carried out; those before it may be late."""
    for number in range(20):
        answer = await page.ask(f"{name}{number}", "farm/b1/heater/set", payload)
        if answer["ok"]:
            return
        assert answer["reason"] == "late"
    raise AssertionError("the gateway does not trust its link again")


async def test_what_waited_in_a_socket_is_not_carried_out(site: Site) -> None:
    broker, settings = await start(site, max_age_s=MAX_AGE_S)
    assert site.hub is not None
    async with AsyncExitStack() as stack:
        cutter = await stack.enter_async_context(tcp_cutter("127.0.0.1", int(site.hub.url.rpartition(":")[2])))
        settings["hub"]["url"] = f"ws://127.0.0.1:{cutter.port}"
        gateway = await start_gateway(site, settings)
        page = await stack.enter_async_context(operator(site, role="operator", barn="b1"))
        device = await stack.enter_async_context(Device(broker.port).listening())
        assert (await page.ask("before", "farm/b1/heater/set", "ON"))["ok"]

        # That nothing moves for a while is what is tested; and while it does not, nothing can be waited for.
        gateway.signal(signal.SIGSTOP)
        await page.give("stopped", "farm/b1/lamp/set", "ON")
        await page.give("stopped, with a life", "farm/b1/lamp/set", "ON", ttl_s=1)
        await asyncio.sleep(STANDSTILL_S)
        gateway.signal(signal.SIGCONT)
        for command_id in ("stopped", "stopped, with a life"):
            (answer,) = await page.results(command_id)
            assert (answer["ok"], answer["reason"]) == (False, "late")
        await trusts_again(page, "after", "OFF")

        cutter.unplug()
        await page.give("unplugged", "farm/b1/lamp/set", "ON")
        await asyncio.sleep(STANDSTILL_S)
        cutter.plug()
        (answer,) = await page.results("unplugged")
        assert (answer["ok"], answer["reason"]) == (False, "late")
        await trusts_again(page, "then", "OFF")
        assert (await page.ask("last", "farm/b1/last/set", "ON"))["ok"]

        got = await device.until("farm/b1/last/set", "ON")
        assert [payload for _, payload in got] == ["ON", "OFF", "OFF", "ON"]
        assert {topic for topic, _ in got} == {"farm/b1/heater/set", "farm/b1/last/set"}


async def test_a_command_repeated_to_the_next_life_of_a_killed_gateway_is_not_carried_out_again(
    site: Site,
) -> None:
    broker, settings = await start(site)
    gateway = await start_gateway(site, settings)
    async with operator(site, role="operator", barn="b1") as page, Device(broker.port).listening() as device:
        assert (await page.ask("c1", "farm/b1/heater/set", "ON"))["ok"]
        lamps = [f"farm/b1/lamp{number}/set" for number in range(5)]
        for lamp in lamps:
            await page.give(lamp, lamp, "ON")
        gateway.signal(signal.SIGKILL)
        await gateway.exited()
        await start_gateway(site, settings)

        await page.give("c1", "farm/b1/heater/set", "ON")
        assert [one["ok"] for one in await page.results("c1", 2)] == [True, True]
        for lamp in lamps:
            await page.give(lamp, lamp, "ON")
        assert (await page.ask("last", "farm/b1/heater/set", "OFF"))["ok"]
        await page.page.wait_for("return arg.every((id) => results.some((one) => one.id === id))", lamps)
        counts = Counter(await device.until("farm/b1/heater/set", "OFF"))
        assert counts["farm/b1/heater/set", "ON"] == 1
        assert all(counts[lamp, "ON"] <= 1 for lamp in lamps)
