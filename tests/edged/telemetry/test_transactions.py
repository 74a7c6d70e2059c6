from edged.telemetry.reading import Reading
from edged.telemetry.transactions import LaneWrite, Loaded, StoredReading, Write


def lane_write(**changed):
    parts = {"appends": (), "deletes": (), "first_row": 1, "eviction": None}
    return LaneWrite(1, **(parts | changed), total_count=0, total_bytes=0, has_own_keeps=False)


def test_the_last_row_looked_at_may_be_a_damaged_one():
    stored = StoredReading(4, Reading("g/b/1", "farm", "{}", 2))
    assert Loaded(1, (), {}).last_row == 0
    assert Loaded(1, (stored,), {}).last_row == 4
    assert Loaded(1, (stored,), {2: 10}).last_row == 4
    assert Loaded(1, (stored,), {9: 10}).last_row == 9


def test_a_write_is_empty_where_it_neither_changes_nor_shrinks_the_file():
    assert Write((lane_write(),)).is_empty
    assert not Write((lane_write(), lane_write(deletes=(object(),)))).is_empty
    assert not Write((lane_write(),), shrinks=True).is_empty
