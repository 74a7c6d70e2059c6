"""The failing disk fails as a disk does, in a process of its own, and works again when it is mended."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.lib.child import ROOT
from tests.faults import recording
from tests.faults.faulty_disk import BROKEN, BROKEN_SYNC, FULL, GOOD, READ_ONLY

PROGRAM = """
import json, os, pathlib, sqlite3, sys
from tests.faults.faulty_disk import Disk, FaultyFiles, refuse_python_too
folder = pathlib.Path(sys.argv[1])
disk = Disk(folder)
FaultyFiles(disk).install()
refuse_python_too(disk)
state = folder / "state"
db = sqlite3.connect(state / "x.db", isolation_level=None)
for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
    db.execute("PRAGMA " + pragma)
db.execute("CREATE TABLE t(x)")
def attempt(call):
    try:
        call()
        return "done"
    except sqlite3.Error as error:
        return error.sqlite_errorname
    except OSError as error:
        return error.strerror
def look():
    return {
        "write": attempt(lambda: db.execute("INSERT INTO t VALUES (?)", ("y" * 50_000,))),
        "read": attempt(lambda: db.execute("SELECT count(*) FROM t").fetchone()),
        "file": attempt(lambda: (state / "other").write_text("z")),
        "free": os.statvfs(state).f_bavail > 0,
    }
found = {}
for word in sys.argv[2:]:
    (folder / "disk").write_text(word)
    found[word] = look()
db.close()
print(json.dumps(found), flush=True)
os._exit(0)
"""


def run(folder, *states):
    (folder / "state").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *states], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("state", "write", "file", "free"),
    [
        (FULL, "SQLITE_FULL", "done", False),
        (READ_ONLY, "SQLITE_IOERR_WRITE", "Read-only file system", True),
        (BROKEN, "SQLITE_IOERR_WRITE", "Input/output error", True),
        (BROKEN_SYNC, "SQLITE_IOERR_FSYNC", "done", True),
    ],
)
def test_a_disk_fails_on_command_and_recovers(tmp_path: Path, state, write, file, free):
    (tmp_path / "disk").write_text(GOOD)
    found = run(tmp_path, state, GOOD)
    assert (found[state]["write"], found[state]["file"], found[state]["free"]) == (write, file, free)
    assert found[GOOD] == {"write": "done", "read": "done", "file": "done", "free": True}


def test_a_recording_holds_all_that_is_in_the_files(tmp_path: Path):
    (tmp_path / "disk").write_text(GOOD)
    (tmp_path / "recording").touch()
    run(tmp_path, GOOD)
    with (tmp_path / "recording").open("rb") as source:
        steps = list(recording.read_steps(source))
    files = recording.after_power_cut(steps, None)
    assert files["state/x.db"] == (tmp_path / "state" / "x.db").read_bytes()
    assert any(step.kind == recording.SYNC for step in steps)
