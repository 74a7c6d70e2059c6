"""State is kept where the service manager says, else in the user's own place."""

from pathlib import Path

import pytest

from edged.state_directory import state_directory


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"STATE_DIRECTORY": "/var/lib/edged"}, "/var/lib/edged"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
        ({}, "/home/x/.local/state/edged"),
        ({"STATE_DIRECTORY": ""}, "/home/x/.local/state/edged"),
    ],
)
def test_state_is_kept_where_the_service_manager_says(environ, path):
    assert state_directory(environ, Path("/home/x")) == Path(path)
