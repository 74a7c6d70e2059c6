"""What every example takes: --url, --key, --channel, or METERED_URL, METERED_KEY, METERED_CHANNEL."""

from __future__ import annotations

import argparse
import os


def options(description: str, **more: str) -> argparse.Namespace:
    """Read the command line; `more` are further options with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", default=os.environ.get("METERED_URL"), help="origin of the hub (default: the cloud)")
    parser.add_argument("--key", default=os.environ.get("METERED_KEY"), help="publishable key")
    parser.add_argument("--channel", default=os.environ.get("METERED_CHANNEL", "room-42"))
    for name, default in more.items():
        parser.add_argument(f"--{name}", default=default)
    arguments = parser.parse_args()
    if not arguments.key:
        parser.error("a key is needed: --key pk_live_... or METERED_KEY")
    return arguments
