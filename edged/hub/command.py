"""`edged hub`: options, settings, the one line on standard output that says the hub is ready, exit codes."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edged import log
from edged.hub.settings import HubSettings, KeySettings, LimitSettings, is_loopback, split_listen
from edged.settings import Secret, secrets_in

_log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78


class StartError(Exception):
    """The hub cannot start; the text says in one sentence what to change."""

    def __init__(self, sentence: str, exit_code: int = EXIT_FAILED) -> None:
        self.exit_code = exit_code
        super().__init__(sentence)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `edged hub`."""
    parser.add_argument("--listen", metavar="HOST:PORT", help="address and port (default 127.0.0.1:7880; port 0 picks)")
    parser.add_argument("--key", metavar="KEY", help="one publishable key with all permissions, and no rate limits")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings file: keys, token secrets, limits")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="private key (PEM)")
    parser.add_argument("--browser-sdk", metavar="FILE", help="the browser SDK, dist/index.mjs of @metered-ca/realtime")
    parser.add_argument(
        "--allow-insecure", action="store_true", help="listen without TLS beyond this machine (behind a TLS proxy)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the hub until SIGTERM or SIGINT and return the exit code."""
    try:
        log.configure()
        settings = _settings(args)
        log.configure(secrets=secrets_in(settings))
        _check_exposure(settings, allow_insecure=args.allow_insecure)
        _serve(settings, _tls(settings))
    except StartError as error:
        # Faults of a file stand alone, one per line, each with its place.
        lead = "" if error.exit_code == EXIT_CONFIG else "edged hub: "
        sys.stderr.write(f"{lead}{error}\n")
        return error.exit_code
    return 0


def _settings(args: argparse.Namespace) -> HubSettings:
    """The file's settings, with the options on top."""
    settings = HubSettings()
    if args.config is not None:
        settings = _load(args.config)
    elif args.key:
        # Whoever starts a hub by hand for one key has no strangers to be protected from.
        settings = HubSettings(limits=LimitSettings(messages_per_s=0, attempts_per_minute=0))
    given = {name: getattr(args, name) for name in ("listen", "tls_cert", "tls_key", "browser_sdk")}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    if args.key:
        settings = replace(settings, keys=(*settings.keys, KeySettings(key=Secret(args.key))))
    if not settings.keys and not settings.token_secrets:
        raise StartError("nobody could connect; give --key pk_live_..., or --config FILE with keys", EXIT_USAGE)
    try:
        split_listen(settings.listen)
    except ValueError as error:
        raise StartError(f"--listen {settings.listen}: {error}", EXIT_USAGE) from None
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise StartError("TLS needs both --tls-cert and --tls-key", EXIT_USAGE)
    return settings


def _check_exposure(settings: HubSettings, *, allow_insecure: bool) -> None:
    host, _ = split_listen(settings.listen)
    if not settings.tls_cert and not is_loopback(host) and not allow_insecure:
        raise StartError(
            f"{settings.listen} is reachable from other machines and there is no TLS; give --tls-cert and --tls-key, "
            "listen at 127.0.0.1, or say --allow-insecure if a TLS proxy stands in front",
            EXIT_USAGE,
        )


def _tls(settings: HubSettings) -> ssl.SSLContext | None:
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except ssl.SSLError as error:
        what = error.reason or "unreadable"
        raise StartError(
            f"{settings.tls_cert} and {settings.tls_key} are not a certificate and its key in PEM form: {what}"
        ) from None
    except OSError as error:
        raise StartError(
            f"cannot read {settings.tls_cert} and {settings.tls_key}: {error.strerror}; check path and permissions"
        ) from None
    return context


def _serve(settings: HubSettings, tls: ssl.SSLContext | None) -> None:
    # The library reads it when it is imported. A token with all the metadata it may carry is longer than 8 KiB.
    os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", "65536")
    from edged.hub.pages import Pages, find_browser_sdk  # noqa: PLC0415
    from edged.hub.server import HubServer  # noqa: PLC0415

    try:
        sdk = find_browser_sdk(settings.browser_sdk)
    except FileNotFoundError:
        raise StartError(f"the browser SDK is not at {settings.browser_sdk}; check --browser-sdk") from None
    if sdk is None:
        _log.warning("the browser SDK is not installed, so the viewer page shows nothing; run scripts/setup")
    _allow_many_sockets()
    hub = HubServer(settings, Pages(sdk), tls=tls)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await hub.run(lambda port: _say_ready(settings, port), stop)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StartError(_listen_sentence(settings.listen, error)) from error


def _say_ready(settings: HubSettings, port: int) -> None:
    host, _ = split_listen(settings.listen)
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = socket.gethostname()
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ws, http = ("wss", "https") if settings.tls_cert else ("ws", "http")
    ready = {"event": "ready", "url": f"{ws}://{place}", "page": f"{http}://{place}/"}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


def _listen_sentence(listen: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{listen} is in use by another program; stop that one, or choose another port with --listen HOST:PORT"
    if error.errno == errno.EACCES:
        return f"no permission to listen at {listen}; choose a port above 1023 with --listen HOST:PORT"
    return f"cannot listen at {listen}: {error.strerror or error}; give an address of this machine with --listen"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


def _allow_many_sockets() -> None:
    """A shell allows 1024 open files; take all the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _load(file: Path) -> HubSettings:
    from edged.settings_file import SettingsError, load  # noqa: PLC0415 - a hub for one key reads no YAML

    try:
        return load(file, HubSettings)
    except SettingsError as error:
        raise StartError(str(error), EXIT_CONFIG) from None
