"""A real coturn on loopback, over UDP, TCP and TLS, with long-lived or time-limited credentials."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from metered_realtime.ice_servers import IceServerConfig
from scripts.lib.child import Child
from scripts.lib.peers import free_port

HOST = "127.0.0.1"
REALM = "turn.test"
USER, PASSWORD = "camera", "not-a-secret"
SECRET = "shared-with-the-hub"


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A running coturn; `context` trusts its certificate."""

    child: Child
    port: int
    tls_port: int
    context: ssl.SSLContext
    is_shared_secret: bool

    def urls(self, *transports: str) -> list[str]:
        """Return its addresses for `udp`, `tcp`, `tls` and `stun`."""
        known = {
            "udp": f"turn:{HOST}:{self.port}",
            "tcp": f"turn:{HOST}:{self.port}?transport=tcp",
            "tls": f"turns:{HOST}:{self.tls_port}",
            "stun": f"stun:{HOST}:{self.port}",
        }
        return [known[each] for each in transports]

    def config(self, *transports: str, name: str = USER, valid_s: float = 600) -> IceServerConfig:
        """Return what a client is given: these addresses, and a credential (of `name` if time-limited)."""
        if not self.is_shared_secret:
            return IceServerConfig(self.urls(*transports), USER, PASSWORD)
        username = f"{int(time.time() + valid_s)}:{name}"
        digest = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
        return IceServerConfig(self.urls(*transports), username, base64.b64encode(digest).decode())

    def log_lines(self, *parts: str) -> list[str]:
        """Return the lines of its log so far that contain all of `parts`."""
        return [line for line in self.child.log_lines if all(part in line for part in parts)]


@contextlib.asynccontextmanager
async def coturn(*words: str, shared_secret: bool = False, port: int = 0) -> AsyncIterator[TurnServer]:
    """Run coturn on free ports; `words` are further arguments."""
    users = ["--use-auth-secret", f"--static-auth-secret={SECRET}"] if shared_secret else [f"--user={USER}:{PASSWORD}"]
    with tempfile.TemporaryDirectory(prefix="edged-turn-") as name:
        folder = Path(name)
        write_certificate(folder)
        port, tls_port = port or free_port(), free_port()
        command = [
            "turnserver",
            "-n",
            "--verbose",
            *(f"--{key}={HOST}" for key in ("listening-ip", "relay-ip")),
            f"--listening-port={port}",
            f"--tls-listening-port={tls_port}",
            f"--cert={folder / 'cert.pem'}",
            f"--pkey={folder / 'key.pem'}",
            f"--pidfile={folder / 'pid'}",
            f"--userdb={folder / 'db'}",
            f"--realm={REALM}",
            "--lt-cred-mech",
            "--allow-loopback-peers",
            "--no-cli",
            "--no-dtls",
            "--relay-threads=1",
            "--log-file=stdout",
            "--simple-log",
            *users,
            *words,
        ]
        async with Child("coturn", command) as child:
            await child.log_line(f"UDP listener opened on: {HOST}:{port}")
            await child.log_line(f"TCP listener opened on : {HOST}:{tls_port}")
            context = ssl.create_default_context(cafile=folder / "cert.pem")
            yield TurnServer(child, port, tls_port, context, shared_secret)


def write_certificate(folder: Path) -> None:
    """Write `cert.pem` and `key.pem` for the loopback address into `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "turn")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(plain)
