from edged.telemetry.entries import Batch, Entry, LaneStats, OnDisk, Place, TelemetryStats
from edged.telemetry.reading import Reading

READING = Reading("g/b/1", "farm", "{}", 2)


def test_an_entry_costs_more_in_memory_than_its_text_and_more_than_on_disk():
    entry = Entry(READING, None, 0.0, 1)
    assert entry.memory_bytes > entry.row_bytes > 2
    assert (entry.place, entry.on_disk) == (Place.READY, OnDisk.NO)


def test_entries_and_batches_are_themselves_only():
    assert Entry(READING, None, 0.0, 1) != Entry(READING, None, 0.0, 1)
    entry = Entry(READING, None, 0.0, 1)
    assert Batch("farm", (entry,)) != Batch("farm", (entry,))


def test_what_came_in_and_is_nowhere_is_unexplained():
    stats = TelemetryStats(10, 2, 4, 5, 3, {"expired": 1})
    assert stats.unexplained == 2
    assert stats.account_figures() == {
        "received": 10,
        "recovered": 2,
        "delivered": 4,
        "waiting": 5,
        "dropped": {"expired": 1},
    }


def test_the_figures_of_the_status_are_those_of_the_account():
    low = LaneStats(2, 3, 7.77, 300, {"expired": 1})
    stats = TelemetryStats(10, 0, 4, 5, 3, {"expired": 1}, 7.77, 1800, 300, 4096, 512, lanes={"low": low})
    assert stats.outbox_figures() == {
        "waiting": 5,
        "on_disk": 3,
        "oldest_age_s": 7.8,
        "memory_bytes": 1800,
        "disk_bytes": 300,
        "max_bytes": 4096,
        "written_bytes": 512,
        "overtaking": 0,
        "lanes": {"low": {"waiting": 5, "oldest_age_s": 7.8, "dropped": {"expired": 1}}},
    }
