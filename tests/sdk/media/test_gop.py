from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.gop import GopRing


def unit(number: int, *, key: bool = False, size: int = 10) -> AccessUnit:
    return AccessUnit(bytes(size), number, key)


def numbers(ring: GopRing[AccessUnit]) -> list[int]:
    return [item.pts_90k for item in ring.snapshot()]


def test_holds_the_group_since_the_last_key_frame() -> None:
    ring: GopRing[AccessUnit] = GopRing()
    for item in (unit(1), unit(2, key=True), unit(3), unit(4, key=True), unit(5), unit(6)):
        ring.push(item)
    assert numbers(ring) == [4, 5, 6]
    assert ring.size_bytes == 30
    assert len(ring) == 3


def test_a_group_larger_than_its_bytes_is_forgotten_until_the_next_key_frame() -> None:
    ring: GopRing[AccessUnit] = GopRing(max_bytes=25)
    for item in (unit(1, key=True), unit(2), unit(3), unit(4)):
        ring.push(item)
    assert numbers(ring) == []
    assert ring.overflows == 1
    ring.push(unit(5, key=True))
    assert numbers(ring) == [5]


def test_a_group_of_too_many_units_is_forgotten() -> None:
    ring: GopRing[AccessUnit] = GopRing(max_units=2)
    for item in (unit(1, key=True), unit(2), unit(3)):
        ring.push(item)
    assert len(ring) == 0
    assert ring.overflows == 1


def test_a_key_frame_larger_than_the_ring_is_not_kept() -> None:
    ring: GopRing[AccessUnit] = GopRing(max_bytes=5)
    ring.push(unit(1, key=True))
    assert numbers(ring) == []
    assert ring.size_bytes == 0


def test_clear_forgets() -> None:
    ring: GopRing[AccessUnit] = GopRing()
    ring.push(unit(1, key=True))
    ring.clear()
    ring.push(unit(2))
    assert numbers(ring) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40))))
def test_what_it_holds_is_bounded_and_begins_with_a_key_frame(steps: list[tuple[bool, int]]) -> None:
    ring: GopRing[AccessUnit] = GopRing(max_bytes=100, max_units=6)
    for number, (key, size) in enumerate(steps):
        ring.push(unit(number, key=key, size=size))
        held = ring.snapshot()
        assert sum(item.size_bytes for item in held) == ring.size_bytes <= 100
        assert len(held) <= 6
        assert [item.is_key for item in held] == [True, *[False] * (len(held) - 1)][: len(held)]
        assert [item.pts_90k for item in held] == list(range(number - len(held) + 1, number + 1))
