"""`edged status`: asks the running gateway and shows its answer.

Exit codes: 0 all is well, 1 no gateway could be asked, 4 it runs and something is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from edged.settings import Settings, StatusSettings
from edged.settings_file import SettingsError, load
from edged.state_directory import state_directory
from edged.status.ask import NotAskedError, ask, places
from edged.status.document import FORMAT
from edged.status.page import page

EXIT_NOT_ASKED = 1
EXIT_TROUBLE = 4


def add_arguments(parser: argparse.ArgumentParser, default_config: str) -> None:
    """Declare the command line."""
    parser.add_argument(
        "--config", metavar="FILE", default=default_config, help=f"settings file, for status.socket ({default_config})"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print everything as JSON")
    forms.add_argument("--metrics", action="store_true", help="print the metrics as Prometheus reads them")


def run(arguments: argparse.Namespace) -> int:
    """Ask, show, and return the exit code."""
    paths = places(_configured(arguments.config), os.environ, state_directory(os.environ, Path.home()))
    try:
        answer = ask(paths, "metrics" if arguments.metrics else "status")
        if arguments.metrics:
            sys.stdout.write(answer.decode())
            return 0
        document = _document(answer)
    except NotAskedError as err:
        sys.stderr.write(f"edged status: {err}\n")
        return EXIT_NOT_ASKED
    if arguments.json:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(page(document, width=_width(sys.stdout), colour=_has_colour(sys.stdout)))
    return EXIT_TROUBLE if document["trouble"] else 0


def _document(answer: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        document: dict[str, Any] = json.loads(answer)
        if isinstance(document, dict) and document.get("format") == FORMAT:
            return document
    raise NotAskedError("the gateway is of another version than this command: restart it")


def _configured(config: str) -> str:
    """Return `status.socket`; who may not read the settings, or has broken them, may still ask at the usual places."""
    try:
        settings: StatusSettings = load(config, Settings, warn=lambda _sentence: None).status
    except SettingsError:
        return ""
    return settings.socket


def _width(out: TextIO) -> int | None:
    return shutil.get_terminal_size().columns if out.isatty() else None


def _has_colour(out: TextIO) -> bool:
    return out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
