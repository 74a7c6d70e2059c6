from __future__ import annotations

from edged.telemetry.entries import Entry, OnDisk, Place
from edged.telemetry.stream import Stream
from tests.edged.telemetry.fake_disk import reading


def entry(row, channel="farm", *, size=40, stored=False, expires_s=1e9):
    on_disk = OnDisk.YES if stored else OnDisk.NO
    return Entry(reading(row, channel, size), None, 0.0, row, expires_s, on_disk=on_disk)


def stream_of(*entries):
    stream = Stream()
    for one in entries:
        stream.append(one)
    return stream


def rows(entries):
    return [one.row for one in entries]


def take(stream, count=50, max_bytes=10_000, *, now_s=0.0, not_yet=()):
    channel = stream.next_channel(not_yet)
    return stream.take(channel, now_s, count, max_bytes)


def test_channels_take_turns_and_those_that_are_to_wait_are_left_out():
    stream = stream_of(entry(1, "a"), entry(2, "b"), entry(3, "a"))
    assert stream.next_channel({"a"}) == "b"
    assert stream.next_channel({"a", "b"}) is None
    assert rows(take(stream, 1)[0]) == [1]
    assert rows(take(stream, 1)[0]) == [2]
    assert rows(take(stream, 1)[0]) == [3]
    assert (stream.count, stream.size_bytes, stream.next_channel(())) == (0, 0, None)


def test_a_message_is_bounded_in_bytes_but_for_its_first_reading():
    stream = stream_of(entry(1, size=500), entry(2), entry(3))
    taken, _expired, size_bytes = take(stream, max_bytes=100)
    assert (rows(taken), size_bytes) == ([1], 501)
    assert rows(take(stream, max_bytes=82)[0]) == [2, 3]


def test_what_is_too_old_is_not_sent():
    stream = stream_of(entry(1, expires_s=5.0), entry(2), entry(3, expires_s=5.0))
    taken, expired, _size = take(stream, now_s=5.0)
    assert (rows(taken), rows(expired)) == ([2], [1, 3])
    assert (stream.count, stream.size_bytes) == (0, 0)


def test_what_comes_back_goes_before_what_waits():
    stream = stream_of(entry(1, "a"), entry(2, "b"), entry(3, "a"))
    taken, *_ = take(stream, 1)
    stream.put_back(taken)
    assert taken[0].place is Place.READY
    assert rows(take(stream)[0]) == [1, 3]
    assert stream.count == 1


def test_the_oldest_that_are_ready_can_be_taken_out_around_those_in_flight():
    stream = stream_of(*(entry(row, stored=row < 4) for row in range(1, 6)))
    flying, *_ = take(stream, 1)
    for wanted_bytes, expected in ((1, [2]), (1000, [3, 4, 5])):
        dropped = stream.pop_oldest(wanted_bytes)
        assert rows(dropped) == expected
        for one in dropped:
            one.place = Place.SETTLED
    assert stream.oldest is flying[0]
    flying[0].place = Place.SETTLED
    assert stream.count == 0


def test_all_that_expired_can_be_taken_out_of_the_middle():
    stream = stream_of(entry(1), entry(2, expires_s=3.0), entry(3), entry(4, "b", expires_s=3.0))
    assert rows(stream.pop_expired(3.0)) == [2, 4]
    assert rows(take(stream)[0]) == [1, 3]
    assert stream.next_channel(()) is None


def test_the_oldest_leave_as_far_as_they_are_on_disk():
    stream = stream_of(entry(1, stored=True), entry(2, stored=True), entry(3))
    take(stream, 1)
    assert rows(stream.pop_stored()) == [1, 2]
    assert (stream.count, rows(stream)) == (1, [3])


def test_a_split_leaves_the_oldest_and_gives_the_rest_with_and_without_a_row():
    stream = stream_of(*(entry(row, stored=row < 5) for row in range(1, 8)))
    size = entry(1).memory_bytes
    on_disk, unstored = stream.split(2 * size)
    assert (rows(stream), rows(on_disk), rows(unstored)) == ([1, 2], [3, 4], [5, 6, 7])
    assert stream.count == 2
    unstored[0].place = Place.IN_FLIGHT
    stream.extend(unstored)
    assert (stream.count, rows(stream)) == (4, [1, 2, 5, 6, 7])
    assert rows(take(stream)[0]) == [1, 2, 6, 7]


def test_a_newer_stream_is_taken_over_whole():
    older, newer = stream_of(entry(1, "a")), stream_of(entry(2, "a"), entry(3, "b"))
    older.absorb(newer)
    assert rows(take(older)[0]) == [1, 2]
    assert rows(take(older)[0]) == [3]


def test_what_is_in_flight_can_come_into_the_order_again():
    stream = stream_of(entry(1), entry(4))
    outsider = entry(3)
    outsider.place = Place.IN_FLIGHT
    stream.readmit([outsider])
    assert rows(stream) == [1, 3, 4]
    stream.put_back([outsider])
    assert rows(take(stream)[0]) == [1, 3, 4]


def test_settled_ones_stuck_behind_others_do_not_pile_up():
    stream = stream_of(*(entry(row) for row in range(1, 1500)))
    taken, *_ = take(stream, 1499, 1 << 20)
    for one in taken[1:]:
        one.place = Place.SETTLED
    stream.tidy(1)
    assert len(stream._order) == 1
