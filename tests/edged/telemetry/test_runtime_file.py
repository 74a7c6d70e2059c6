"""Memory that outlives the process, whatever is in the place of its file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edged.telemetry import runtime_file
from edged.telemetry.runtime_file import FILE_NAME, HEADER_BYTES, open_runtime_file, runtime_directory

SIZE = 100


@pytest.fixture
def place(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def reopen(place):
    """Return a function that opens the file; the one opened before is closed."""
    opened = []

    def open_(*sizes):
        if opened:
            opened.pop().close()
        opened.append(open_runtime_file(place, *(sizes or (SIZE,))))
        return opened[0]

    yield open_
    for file in opened:
        file.close()


def written(reopen):
    first = reopen()
    first.area(SIZE)[0] = 7
    return first


def test_what_was_written_is_there_for_the_next_process(reopen, place):
    first = written(reopen)
    again = reopen()
    assert again.is_lasting
    assert again.life == first.life
    assert again.area(SIZE)[0] == 7
    assert (place / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o777 == 0o700


def test_areas_follow_each_other_and_do_not_overlap(reopen):
    file = reopen(3, 8)
    one, other = file.area(3), file.area(8)
    one[:] = b"\x01" * 3
    other.cast("Q")[0] = 2**64 - 1
    again = reopen(3, 8)
    assert bytes(again.area(3)) == b"\x01" * 3
    assert again.area(8).cast("Q")[0] == 2**64 - 1


def test_it_survives_a_kill(place):
    program = (
        "import os, signal, sys; from pathlib import Path; from edged.telemetry.runtime_file import open_runtime_file;"
        "open_runtime_file(Path(sys.argv[1]), 8).area(8).cast('Q')[0] = 77; os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, place], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    file = open_runtime_file(place, 8)
    assert file.area(8).cast("Q")[0] == 77
    file.close()


def test_without_a_place_it_is_memory_of_this_process():
    file = open_runtime_file(None, SIZE)
    assert not file.is_lasting
    assert file.life != open_runtime_file(None, SIZE).life
    file.area(SIZE)[SIZE - 1] = 1
    file.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:50],
        lambda data: b"",
        lambda data: b"\x00" * len(data),
        lambda data: data[:9] + b"\xff" + data[10:],
        lambda data: data[:20] + b"?" + data[21:],
        lambda data: data + b"\x00",
    ],
)
def test_a_damaged_file_is_made_anew(reopen, place, damage):
    first = written(reopen)
    first.close()
    path = place / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    again = reopen()
    assert again.is_lasting
    assert again.life != first.life
    assert again.area(SIZE)[0] == 0


def test_another_layout_is_made_anew(reopen):
    first = written(reopen)
    assert reopen(SIZE, SIZE).life != first.life


def in_its_place(place):
    place.mkdir()
    return place / FILE_NAME


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder", "a file for the folder"])
def test_what_is_no_file_of_ours_is_left_alone(place, tmp_path, caplog, kind):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    if kind == "a file for the folder":
        place.write_text("mine")
    else:
        path = in_its_place(place)
        {
            "link": lambda: path.symlink_to(precious),
            "hard link": lambda: path.hardlink_to(precious),
            "pipe": lambda: os.mkfifo(path),
            "folder": path.mkdir,
        }[kind]()
    file = open_runtime_file(place, SIZE)
    assert not file.is_lasting
    assert precious.read_text() == "mine"
    assert len(caplog.records) == 1
    assert FILE_NAME in caplog.text


def test_permissions_of_others_are_taken_away(reopen, place):
    written(reopen)
    (place / FILE_NAME).chmod(0o666)
    assert reopen().is_lasting
    assert (place / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_two_gateways_do_not_share_a_file(place, caplog):
    first = open_runtime_file(place, SIZE)
    second = open_runtime_file(place, SIZE)
    assert first.is_lasting
    assert not second.is_lasting
    assert first.life != second.life
    assert "another gateway uses it" in caplog.text
    first.close()
    third = open_runtime_file(place, SIZE)
    assert third.life == first.life
    third.close()


def test_a_full_tmpfs_is_noticed_before_a_page_is_touched(place, monkeypatch, caplog):
    def full(_fd, _offset, _size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not open_runtime_file(place, SIZE).is_lasting
    assert "No space left" in caplog.text


def test_after_a_boot_half_written_pages_are_not_believed(reopen, tmp_path, monkeypatch):
    boot = tmp_path / "boot_id"
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(runtime_file, "_BOOT_ID", boot)
    monkeypatch.setattr(runtime_file, "_MOUNTS", mounts)
    boot.write_text("one\n")
    first = written(reopen)
    assert reopen().life == first.life
    boot.write_text("two\n")
    assert reopen().life != first.life
    boot.unlink()
    assert not reopen().is_lasting


def test_on_tmpfs_no_boot_has_to_be_known(place, tmp_path, monkeypatch):
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    mounts.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / /run rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(runtime_file, "_MOUNTS", mounts)
    monkeypatch.setattr(runtime_file, "_BOOT_ID", tmp_path / "none")
    file = open_runtime_file(place, SIZE)
    assert file.is_lasting
    file.close()


def test_the_place_is_the_service_managers_or_the_users_own():
    state = Path("/var/lib/edged")
    assert runtime_directory({"RUNTIME_DIRECTORY": "/run/edged:/run/b"}, state) == Path("/run/edged")
    own = runtime_directory({"XDG_RUNTIME_DIR": "/run/user/1000"}, state)
    assert own is not None
    assert own.parent == Path("/run/user/1000")
    assert own != runtime_directory({"XDG_RUNTIME_DIR": "/run/user/1000"}, Path("/var/lib/other"))
    assert runtime_directory({}, state) is None


def test_the_header_leaves_room_for_more():
    assert HEADER_BYTES % 8 == 0
