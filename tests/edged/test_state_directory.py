"""State is kept where the service manager says, else in the user's own place."""

import os
import stat
from pathlib import Path

import pytest

from edged.state_directory import StateDirectoryError, claim, state_directory


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


def test_a_directory_is_made_for_us_alone_and_held(tmp_path):
    place = tmp_path / "a" / "b"
    lock = claim(place)
    try:
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        with pytest.raises(StateDirectoryError, match=r"another gateway uses the state directory .*b: stop it, or set"):
            claim(place)
    finally:
        os.close(lock)
    os.close(claim(place))


def test_a_directory_is_held_without_a_file_in_it(tmp_path):
    os.close(claim(tmp_path / "state"))
    assert list((tmp_path / "state").iterdir()) == []


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateDirectoryError, match=r"cannot be made \(Not a directory\); set STATE_DIRECTORY"):
        claim(tmp_path / "file" / "state")
