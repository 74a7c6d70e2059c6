from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.h264 import split_annex_b
from metered_realtime.media.h264_stream import MAX_PICTURE_BYTES, H264Stream
from tests.sdk.media.h264_samples import annex_b, idr, pps, sei, slice_nal, sps

KEY = (sps(), pps(), sei(), idr())
DELTA = (slice_nal(),)
TWO_SLICES = (slice_nal(), slice_nal(first_mb=40))
PICTURES = [KEY, DELTA, TWO_SLICES, DELTA, KEY, (sei(), slice_nal()), DELTA]
STREAM = b"".join(annex_b(*nals) for nals in PICTURES)


def cut(stream: H264Stream, data: bytes, size: int) -> list[bytes]:
    return [picture for at in range(0, len(data), size) for picture in stream.push(data[at : at + size])]


@given(st.integers(1, 200))
def test_pictures_are_found_however_the_pipe_cuts_them(size: int) -> None:
    found = cut(H264Stream(), STREAM, size)
    assert [tuple(split_annex_b(picture)) for picture in found] == PICTURES[:-1]


def test_a_pause_tells_that_a_picture_is_whole_where_all_are_one_slice() -> None:
    stream = H264Stream()
    for number in range(9):
        assert len(stream.push(annex_b(*DELTA))) == (number > 0)
        assert not stream.pause() or number == 8
    assert stream.pause() == []
    assert stream.push(annex_b(*DELTA)) == []
    assert [split_annex_b(picture) for picture in stream.pause()] == [list(DELTA)]
    # Parameter sets wait for their picture.
    stream.push(annex_b(sps(), pps()))
    assert stream.pause() == []
    stream.push(annex_b(idr()))
    assert [split_annex_b(picture) for picture in stream.pause()] == [[sps(), pps(), idr()]]


def test_a_pause_in_the_middle_of_a_picture_is_never_trusted_again() -> None:
    stream = H264Stream()
    for _ in range(9):
        stream.push(annex_b(*DELTA))
    whole = annex_b(slice_nal(size=400))
    stream.pause()
    stream.push(whole[:200])
    assert len(stream.pause()) == 1
    stream.push(whole[200:])
    assert stream.pause() == []
    stream.push(annex_b(*DELTA))
    assert stream.pause() == []


def test_pictures_of_several_slices_are_never_cut_by_a_pause() -> None:
    stream = H264Stream()
    for _ in range(20):
        stream.push(annex_b(*TWO_SLICES))
        assert stream.pause() == []


def test_a_picture_without_end_is_forgotten() -> None:
    stream = H264Stream()
    cut(stream, annex_b(slice_nal(size=MAX_PICTURE_BYTES + 10)), 1 << 20)
    assert stream.overflows == 1
    assert len(stream.push(annex_b(*KEY, *DELTA, *DELTA))) == 2


@given(st.lists(st.binary(max_size=60), max_size=40))
def test_any_bytes_are_survived(pieces: list[bytes]) -> None:
    stream = H264Stream()
    for piece in pieces:
        stream.push(piece)
        stream.pause()
