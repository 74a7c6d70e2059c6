"""The note that clients were connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.hub.restarts import ClientsNote, note_path


def test_note_is_there_for_the_next_start_at_this_address_only(tmp_path: Path):
    path = note_path(str(tmp_path / "new"), "127.0.0.1", 7880)
    other = note_path(str(tmp_path / "new"), "127.0.0.1", 7881)

    assert not ClientsNote(path).exists()
    ClientsNote(path).keep(connected=True)
    assert not ClientsNote(other).exists()
    assert ClientsNote(path).exists()


def test_quiet_end_leaves_no_note(tmp_path: Path):
    note = ClientsNote(note_path(str(tmp_path), "127.0.0.1", 7880))

    note.keep(connected=True)
    note.keep(connected=False)
    assert not note.exists()
    assert list(tmp_path.iterdir()) == []


def test_hub_on_a_picked_port_keeps_no_note():
    note = ClientsNote(note_path("", "127.0.0.1", 0))

    note.keep(connected=True)
    assert not note.exists()


def test_directory_that_cannot_be_written_is_no_fault(tmp_path: Path):
    (tmp_path / "file").write_text("")
    note = ClientsNote(note_path(str(tmp_path / "file"), "::", 7880))

    note.keep(connected=True)
    note.keep(connected=False)
    assert not note.exists()


def test_place_is_systemds_then_the_users(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert note_path("", "", 1) == Path("/var/lib/one/hub-any-1.clients")

    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert note_path("", "::1", 1) == Path("/xdg/edged/hub-__1-1.clients")
