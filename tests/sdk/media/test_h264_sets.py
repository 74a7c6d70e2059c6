from __future__ import annotations

import pytest

from metered_realtime.media.h264_bits import H264Error
from metered_realtime.media.h264_sets import ParameterSets
from tests.sdk.media.h264_samples import pps, sps


def test_a_key_frame_gets_what_is_known_sps_first() -> None:
    sets = ParameterSets()
    sets.put(pps())
    sets.put(sps())
    assert sets.for_key() == [sps(), pps()]
    assert sets.for_key() == [sps(), pps()], "before every key frame"
    assert sets.sps is not None
    assert sets.sps.width == 1280


def test_nothing_to_give_while_a_kind_is_missing() -> None:
    sets = ParameterSets()
    assert sets.for_key() is None
    sets.put(sps())
    assert sets.for_key() is None


def test_a_full_new_pair_replaces_what_was_known() -> None:
    sets = ParameterSets()
    sets.put(sps(set_id=1))
    sets.put(pps(set_id=1))
    sets.for_key()
    sets.put(sps())
    sets.put(pps())
    assert sets.for_key() == [sps(), pps()]


def test_only_a_changed_sps_asks_for_a_key_frame() -> None:
    sets = ParameterSets()
    assert not sets.put(sps())
    assert not sets.put(sps())
    assert not sets.put(pps())
    assert not sets.put(pps(flavour=1))
    assert sets.put(sps(width_mbs=40))
    assert sets.sps is not None
    assert sets.sps.width == 640


def test_a_delta_carries_only_sets_that_changed() -> None:
    sets = ParameterSets()
    sets.put(sps())
    sets.put(pps())
    sets.for_key()
    sets.put(sps())
    sets.put(pps(flavour=1))
    assert sets.for_delta(hold=True) is None
    assert sets.for_delta(hold=False) == [pps(flavour=1)]
    assert sets.for_delta(hold=False) == []


def test_what_is_no_parameter_set_is_refused() -> None:
    sets = ParameterSets()
    with pytest.raises(H264Error, match="too large"):
        sets.put(pps() + bytes(5000))
    with pytest.raises(H264Error):
        sets.put(b"\x67\x42")
    assert sets.sps is None


def test_the_number_kept_is_bounded() -> None:
    sets = ParameterSets()
    sets.put(sps())
    for set_id in range(200):
        sets.put(pps(set_id=set_id))
    known = sets.for_key()
    assert known is None or len(known) <= 32
