"""The `edged` command: each sub-command is a few lines that load what they need and return an exit code.

Exit codes: 0 done, 1 it could not be done now, 2 wrong usage, 3 browsers get nothing of the camera (probe), 4 the
gateway runs and something is not as it should be (status), 78 the settings are at fault (the service manager does not
restart on it), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edged import __version__
from edged.lazy_modules import load_when_used

EXIT_FAILED = 1
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130
DEFAULT_CONFIG = "/etc/edged.yaml"

# ruff: noqa: PLC0415 - every command loads only what it needs


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command: its line in the help, its arguments, and what it does."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    load_when_used()
    try:
        arguments = _parser(words).parse_args(words)
        return int(_COMMANDS[arguments.command].run(arguments))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (a pager, head) has gone; nothing more can be said to it, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


class _Help(argparse.HelpFormatter):
    """As wide as the terminal, by itself: argparse asks through shutil, whose compressors are half a megabyte."""

    def __init__(self, prog: str) -> None:
        try:
            columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
        except (OSError, ValueError):
            columns = 80
        super().__init__(prog, width=max(20, columns - 2))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    description = "Cameras and MQTT sensors of a site, live in channels."
    parser = argparse.ArgumentParser(prog="edged", description=description, formatter_class=_Help)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), "")
    for name, command in _COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help, formatter_class=_Help)
        if name == chosen:
            command.add_arguments(sub)
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def _refuse(err: Exception) -> int:
    from edged.log import Redactor

    # Faults never show a value that may be secret; this is for keys that are not what they should be.
    _complain(Redactor()(str(err)))
    return EXIT_CONFIG


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help=f"settings file ({DEFAULT_CONFIG})")


def _run(arguments: argparse.Namespace) -> int:
    from edged import log
    from edged.settings import Settings, secrets_in
    from edged.settings_file import SettingsError, load

    log.configure()
    try:
        settings = load(arguments.config, Settings)
    except SettingsError as err:
        return _refuse(err)
    log.configure(settings.log.level, secrets_in(settings))
    from edged.app import run

    return run(settings)


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default=DEFAULT_CONFIG, help="settings file to check")


def _check(arguments: argparse.Namespace) -> int:
    from edged.settings import Settings
    from edged.settings_file import SettingsError, load

    try:
        settings = load(arguments.file, Settings, warn=lambda sentence: _complain(f"warning: {sentence}"))
    except SettingsError as err:
        return _refuse(err)
    from edged.advice import advice

    for sentence in advice(settings):
        _complain(f"warning: {sentence}")
    if any(rule.schema or rule.schema_file for rule in settings.commands.rules):
        from edged.commands.schema import SchemaError, validators

        try:
            validators(settings.commands)
        except SchemaError as err:
            _complain(f"{arguments.file}: {err}")
            return EXIT_CONFIG
    cameras, routes, rules = len(settings.cameras), len(settings.telemetry.routes), len(settings.commands.rules)
    more = f", {_count(rules, 'command rule')}" if rules else ""
    _say(f"{arguments.file}: good; {_count(cameras, 'camera')}, {_count(routes, 'telemetry route')}{more}")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _config(arguments: argparse.Namespace) -> int:
    from edged.settings import Settings
    from edged.settings_dump import effective
    from edged.settings_file import SettingsError, load

    try:
        settings = load(arguments.config, Settings, warn=lambda sentence: _complain(f"warning: {sentence}"))
    except SettingsError as err:
        return _refuse(err)
    _say(effective(settings).rstrip("\n"))
    return 0


def _hub_arguments(parser: argparse.ArgumentParser) -> None:
    from edged.hub import command

    command.add_arguments(parser)


def _hub(arguments: argparse.Namespace) -> int:
    from edged.hub import command

    return command.run(arguments)


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    from edged import demo

    demo.add_arguments(parser)


def _demo(arguments: argparse.Namespace) -> int:
    from edged import demo

    return demo.run(arguments)


def _probe_arguments(parser: argparse.ArgumentParser) -> None:
    from edged import probe

    probe.add_arguments(parser)


def _probe(arguments: argparse.Namespace) -> int:
    from edged import probe

    return probe.run(arguments)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    from edged.status import command

    command.add_arguments(parser, DEFAULT_CONFIG)


def _status(arguments: argparse.Namespace) -> int:
    from edged.status import command

    return command.run(arguments)


def _route_arguments(parser: argparse.ArgumentParser) -> None:
    from edged import route_test

    route_test.add_arguments(parser, DEFAULT_CONFIG)


def _route(arguments: argparse.Namespace) -> int:
    from edged import route_test

    return route_test.run(arguments)


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """Take none."""


def _version(_: argparse.Namespace) -> int:
    _say(f"edged {__version__}")
    return 0


_COMMANDS: dict[str, Command] = {
    "run": Command("run the gateway", _config_argument, _run),
    "check": Command("check a settings file and list every fault", _check_arguments, _check),
    "config": Command("show the effective settings, secrets masked", _config_argument, _config),
    "status": Command("show how the running gateway is", _status_arguments, _status),
    "route": Command("try a message: which route takes it, and what would be sent", _route_arguments, _route),
    "probe": Command("look at a camera: what it sends, what browsers get", _probe_arguments, _probe),
    "hub": Command("run a signalling service of your own, with the viewer page", _hub_arguments, _hub),
    "demo": Command("show a camera and sensors in a browser, with nothing else at hand", _demo_arguments, _demo),
    "version": Command("print the version", _no_arguments, _version),
}
