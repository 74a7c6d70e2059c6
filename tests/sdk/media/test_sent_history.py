"""What was sent lately, and finding a packet of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.rtp_image import PacketFormat, build_images
from metered_realtime.media.sent_history import SentHistory, SentPicture

FORMAT = PacketFormat(payload_type=96, send_time_id=None, tag_bytes=16)


def picture(
    first: int, packets: int = 3, *, at_s: float = 0.0, timestamp: int | None = None, key: bool = False
) -> SentPicture:
    (image,) = build_images([b"x" * 50] * packets, FORMAT)
    return SentPicture(image, first % 65536, first if timestamp is None else timestamp, at_s, key)


def add(history: SentHistory, sent: SentPicture) -> None:
    history.add(sent.image, sent.first_sequence, sent.timestamp, sent.sent_s, is_key=sent.is_key)


def test_a_packet_is_found_in_its_picture() -> None:
    history = SentHistory()
    first, second = picture(10), picture(13)
    add(history, first)
    add(history, second)

    assert history.find(12) == (first, 2)
    assert history.find(13) == (second, 0)
    assert history.find(9) is history.find(16) is None


def test_an_empty_history_knows_nothing() -> None:
    assert SentHistory().find(0) is None


def test_sequence_numbers_wrap() -> None:
    history = SentHistory()
    for first in range(65530, 65548, 3):
        add(history, picture(first))

    found = history.find(1)
    assert found is not None
    assert (found[0].first_sequence + found[1]) % 65536 == 1


def test_the_last_key_frame_stays_however_old_it_is() -> None:
    history = SentHistory(keep_s=1.0)
    add(history, picture(0, at_s=0.0, key=True))
    for number in range(1, 20):
        add(history, picture(3 * number, at_s=number * 1.0))

    assert history.find(0) is not None
    add(history, picture(60, at_s=20.0, key=True))
    assert history.find(0) is None
    assert history.find(60) is not None


def test_a_key_frame_sent_in_many_pieces_stays_whole() -> None:
    history = SentHistory(keep_s=1.0)
    for start in range(65500, 65600, 10):
        add(history, picture(start, 10, at_s=0.1 * (start - 65500), timestamp=7, key=True))
    for number in range(50):
        add(history, picture(65600 + number, 1, at_s=20.0 + number, timestamp=8 + number))

    kept = [history.find(number % 65536) for number in range(65500, 65600)]
    assert [
        (found[0].timestamp, (found[0].first_sequence + found[1]) % 65536) for found in kept if found is not None
    ] == [(7, number % 65536) for number in range(65500, 65600)]
    assert len(history) < 5

    add(history, picture(65650, timestamp=100, at_s=80.0, key=True))
    assert history.find(65500) is None
    assert history.find(65650 % 65536) is not None


def test_a_key_frame_stays_when_much_else_was_sent_since_and_goes_before_its_numbers_come_again() -> None:
    history = SentHistory(max_packets=300)
    add(history, picture(0, key=True))
    for first in range(3, 32_700, 30):
        add(history, picture(first, 30))
    assert history.find(2) is not None
    for first in range(32_703, 60_000, 30):
        add(history, picture(first, 30))
    assert history.find(2) is None


def test_of_a_key_frame_beyond_the_bounds_the_beginning_is_kept() -> None:
    history = SentHistory(max_packets=30)
    for first in range(0, 100, 10):
        add(history, picture(first, 10, timestamp=1, key=True))
    for number in range(10):
        add(history, picture(100 + 10 * number, 10, timestamp=2))
    assert [history.find(number) is not None for number in (0, 29, 30, 99)] == [True, True, False, False]


def test_the_bounds_hold() -> None:
    history = SentHistory(max_packets=30)
    for number in range(100):
        add(history, picture(3 * number))

    assert len(history) == 10
    assert history.find(0) is None

    history = SentHistory(max_bytes=1000)
    for number in range(10):
        add(history, picture(3 * number))
    assert len(history) == 4


def test_a_picture_larger_than_every_bound_is_kept_alone() -> None:
    history = SentHistory(max_bytes=10)
    add(history, picture(0))
    add(history, picture(3))

    assert len(history) == 1
    assert history.find(4) is not None


def test_it_can_be_forgotten() -> None:
    history = SentHistory()
    add(history, picture(0, key=True))
    history.clear()

    assert (len(history), history.find(0)) == (0, None)


@given(st.integers(0, 65535), st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(0, 65535))
def test_what_is_found_is_what_was_asked_for(start: int, counts: list[int], wanted: int) -> None:
    history = SentHistory(keep_s=1e9)
    sequence = start
    sent = set()
    for count in counts:
        add(history, picture(sequence, count))
        sent |= {(sequence + number) % 65536 for number in range(count)}
        sequence += count

    found = history.find(wanted)
    assert (found is not None) == (wanted in sent)
    if found is not None:
        assert (found[0].first_sequence + found[1]) % 65536 == wanted
