"""Every module has a test file of the same path."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = {"edged": "tests/edged", "sdk/metered_realtime": "tests/sdk"}
# Modules of nothing but values, or of one half of a class: tested by the room that speaks them.
TESTED_BY = {
    "edged/settings_cameras.py": "tests/edged/test_settings.py",
    "edged/settings_commands.py": "tests/edged/test_settings.py",
    "edged/settings_fields.py": "tests/edged/test_settings.py",
    "edged/settings_site.py": "tests/edged/test_settings.py",
    "edged/settings_telemetry.py": "tests/edged/test_settings.py",
    "sdk/metered_realtime/connection_performer.py": "tests/sdk/test_connection.py",
    "sdk/metered_realtime/frames.py": "tests/sdk/test_wire.py",
    "sdk/metered_realtime/negotiation_actions.py": "tests/sdk/test_negotiation.py",
    "sdk/metered_realtime/peer_media.py": "tests/sdk/test_peer.py",
    "sdk/metered_realtime/peer_messages.py": "tests/sdk/test_peer.py",
    "sdk/metered_realtime/session_actions.py": "tests/sdk/test_session.py",
}


def modules():
    for source, tests in TREES.items():
        for path in sorted((ROOT / source).rglob("*.py")):
            if path.name not in {"__init__.py", "__main__.py"}:
                inner = path.relative_to(ROOT / source)
                module = path.relative_to(ROOT)
                yield module, Path(TESTED_BY.get(str(module), Path(tests) / inner.parent / f"test_{inner.name}"))


@pytest.mark.parametrize(("module", "test"), list(modules()), ids=str)
def test_a_module_has_its_test_file(module, test):
    assert (ROOT / test).is_file(), f"{module} has no {test}"


def test_there_are_modules_to_look_at():
    assert len(list(modules())) > 40
