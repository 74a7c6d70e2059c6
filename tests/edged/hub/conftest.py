"""A hub in the test's own loop, and clients that speak its frames as plain JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect

from edged.hub.pages import Pages
from edged.hub.server import HubServer
from edged.hub.settings import HubSettings, KeySettings
from edged.settings import Secret

KEY = "pk_live_test"
TIMEOUT_S = 5.0


def hub_settings(**options: Any) -> HubSettings:
    """A hub with one key on a port of its own; a short hold, so that tests need not wait."""
    defaults = {"listen": "127.0.0.1:0", "keys": (KeySettings(key=Secret(KEY)),), "hold_s": 0.3}
    return HubSettings(**{**defaults, **options})


@dataclass(eq=False)
class Client:
    """A connection, with what it was told when it was welcomed."""

    socket: ClientConnection
    welcome: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.welcome["peerId"]

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_S):
            return json.loads(await self.socket.recv())

    async def subscribe(self, channel: str = "room", **more: Any) -> list[str]:
        """Subscribe and return the ids of the roster."""
        await self.send(type="subscribe", channel=channel, requestId="subscribe", **more)
        assert await self.receive() == {"type": "ack", "requestId": "subscribe"}
        roster = await self.receive()
        assert roster["type"] == "presence"
        return [peer["peerId"] for peer in roster["joined"]]

    async def nothing_comes(self) -> None:
        """Show that nothing was on its way: the answer to a ping is the next frame."""
        await self.send(type="ping")
        assert await self.receive() == {"type": "pong"}

    async def closed(self) -> tuple[int | None, str]:
        async with asyncio.timeout(TIMEOUT_S):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason or ""


@dataclass(eq=False)
class RunningHub:
    """The hub under test."""

    server: HubServer
    port: int
    stop: asyncio.Event
    task: asyncio.Task[None]
    scheme: str = "ws"
    client_tls: ssl.SSLContext | None = None
    clients: list[Client] = field(default_factory=list)

    async def open(self, query: str = f"key={KEY}", **options: Any) -> Client:
        """Connect without waiting for a welcome."""
        url = f"{self.scheme}://127.0.0.1:{self.port}/v1?{query}"
        options = {"compression": None, "proxy": None, "ssl": self.client_tls, "max_queue": None, **options}
        client = Client(await connect(url, **options))
        self.clients.append(client)
        return client

    async def client(self, query: str = f"key={KEY}", **options: Any) -> Client:
        client = await self.open(query, **options)
        client.welcome = await client.receive()
        assert client.welcome["type"] == "welcome"
        return client

    async def request(self, text: str) -> tuple[int, dict[str, str], bytes]:
        """Send an HTTP request as it stands and return status, headers and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.replace("\n", "\r\n").encode())
        async with asyncio.timeout(TIMEOUT_S):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, body

    async def get(self, path: str, more: str = "") -> tuple[int, dict[str, str], bytes]:
        return await self.request(f"GET {path} HTTP/1.1\nHost: hub\n{more}\n")

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(TIMEOUT_S):
            await self.task


@contextlib.asynccontextmanager
async def running_hub(settings: HubSettings | None = None, **options: Any) -> AsyncIterator[RunningHub]:
    """Run a hub until the block ends."""
    pages = options.pop("pages", None) or Pages(None)
    server = HubServer(settings or hub_settings(), pages, tls=options.pop("tls", None))
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set_result, stop))
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    hub = RunningHub(server, ready.result(), stop, task, **options)
    try:
        yield hub
    finally:
        for client in hub.clients:
            client.socket.transport.abort()
        await asyncio.gather(*(client.socket.wait_closed() for client in hub.clients))
        await hub.end()


@pytest.fixture
async def hub() -> AsyncIterator[RunningHub]:
    async with running_hub() as running:
        yield running


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-made certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"
