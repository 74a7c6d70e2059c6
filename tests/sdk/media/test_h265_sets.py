from __future__ import annotations

import pytest

from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h265_sets import H265ParameterSets
from tests.sdk.media.h265_samples import idr, pps, sps, vps


def known(*nals: bytes) -> H265ParameterSets:
    sets = H265ParameterSets()
    for nal in nals:
        sets.put(nal)
    return sets


def test_a_key_frame_needs_all_three_kinds_in_their_order() -> None:
    assert known(pps(), sps()).for_key() is None
    assert known(pps(), sps(), vps()).for_key() == [vps(), sps(), pps()]


def test_they_are_kept_for_the_next_key_frame() -> None:
    sets = known(vps(), sps(), pps())
    assert sets.for_key() == sets.for_key() == [vps(), sps(), pps()]


def test_a_whole_new_lot_ends_the_old_one() -> None:
    sets = known(vps(), sps(), pps(), pps(1))
    assert sets.for_key() == [vps(), sps(), pps(), pps(1)]
    for nal in (vps(), sps(), pps(flavour=1)):
        sets.put(nal)
    assert sets.for_key() == [vps(), sps(), pps(flavour=1)]


def test_another_sps_holds_deltas_back_and_the_same_one_does_not() -> None:
    sets = known(vps(), sps(), pps())
    assert sets.put(sps()) is False
    assert sets.put(sps(width=640)) is True
    assert sets.sps is not None
    assert sets.sps.width == 640


def test_a_delta_carries_what_changed() -> None:
    sets = known(vps(), sps(), pps())
    sets.for_key()
    sets.put(pps(flavour=2))
    assert sets.for_delta(hold=True) is None
    assert sets.for_delta(hold=False) == [pps(flavour=2)]
    assert sets.for_delta(hold=False) == []


@pytest.mark.parametrize("nal", [idr(), b"\x44\x01", sps() + b"\x01" * 5000])
def test_what_is_none_is_refused(nal: bytes) -> None:
    with pytest.raises(H264Error):
        known(nal)


def test_they_are_bounded() -> None:
    sets = known(vps(), sps(), *(pps(number) for number in range(60)))
    assert len(sets._kept) == len(sets._fresh) == 32
