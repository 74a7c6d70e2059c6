from edged.telemetry.entries import Batch, Entry, Loaded, Place, StoredReading, row_bytes
from edged.telemetry.reading import Reading

READING = Reading("g/b/1", "farm", "{}", 2)


def test_an_entry_costs_more_in_memory_than_its_text():
    entry = Entry(READING, None, 0.0)
    assert entry.memory_bytes > 500
    assert entry.row_bytes == row_bytes(READING)
    assert entry.place is Place.READY


def test_entries_and_batches_are_themselves_only():
    assert Entry(READING, None, 0.0) != Entry(READING, None, 0.0)
    entry = Entry(READING, None, 0.0)
    assert Batch("farm", (entry,)) != Batch("farm", (entry,))


def test_the_last_row_looked_at_may_be_a_damaged_one():
    stored = StoredReading(4, READING)
    assert Loaded((), {}).last_row == 0
    assert Loaded((stored,), {}).last_row == 4
    assert Loaded((stored,), {2: 10}).last_row == 4
    assert Loaded((stored,), {9: 10}).last_row == 9
