from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from metered_realtime.media.received_gate import MAX_QUEUED, MAX_QUEUED_BYTES, DecoderGate
from tests.sdk.media.h264_samples import annex_b, idr, pps, slice_nal, sps

H264 = SimpleNamespace(name="H264", mimeType="video/H264")
VP8 = SimpleNamespace(name="VP8", mimeType="video/VP8")
OPUS = SimpleNamespace(name="opus", mimeType="audio/opus")
KEY, DELTA = annex_b(sps(), pps(), idr()), annex_b(slice_nal())


class Bench:
    def __init__(self, kind: str = "video") -> None:
        self.asked = 0
        self.number = 0
        self.gate = DecoderGate(kind, want_key_frame=self.ask)

    def ask(self) -> None:
        self.asked += 1

    def put(self, *pieces: bytes, codec: Any = H264) -> None:
        for data in pieces:
            self.gate.put((codec, SimpleNamespace(data=data, timestamp=self.number * 3000)))
            self.number += 1

    def decoded(self) -> list[int]:
        """Return the numbers of what waits for the decoder."""
        out = []
        while not self.gate._queue.empty():
            out.append(self.gate.get()[1].timestamp // 3000)
        return out


async def test_pictures_are_decoded_unless_they_are_taken_as_they_came() -> None:
    bench = Bench()
    bench.put(DELTA, KEY)
    assert bench.decoded() == [0, 1]
    assert bench.asked == 0


async def test_nothing_is_decoded_before_somebody_looks_and_then_from_the_last_key_frame() -> None:
    bench = Bench()
    bench.gate.close()
    bench.put(DELTA, KEY, DELTA, KEY, DELTA)
    assert bench.decoded() == []
    bench.gate.open()
    bench.gate.open()
    bench.put(DELTA)
    assert bench.decoded() == [3, 4, 5]
    assert bench.asked == 0


@pytest.mark.parametrize("before", [(), (DELTA,), (KEY, *[DELTA] * MAX_QUEUED["video"])])
async def test_where_there_is_no_group_of_pictures_a_key_frame_is_asked_for(before: tuple[bytes, ...]) -> None:
    bench = Bench()
    bench.gate.close()
    bench.put(*before)
    bench.gate.open()
    bench.put(DELTA, KEY, DELTA)
    assert bench.decoded() == [len(before) + 1, len(before) + 2]
    assert bench.asked == 1
    assert bench.gate.dropped == 1


async def test_a_decoder_that_is_too_slow_loses_up_to_the_next_key_frame() -> None:
    bench = Bench()
    bench.gate.open()
    count = MAX_QUEUED["video"]
    bench.put(KEY, *[DELTA] * (count + 5))
    assert bench.decoded() == list(range(count))
    assert (bench.gate.dropped, bench.asked) == (6, 1)
    bench.put(DELTA, KEY)
    assert bench.decoded() == [count + 7]


async def test_few_pictures_of_a_great_size_are_too_many_as_well() -> None:
    bench = Bench()
    huge = DELTA + bytes(MAX_QUEUED_BYTES // 4)
    bench.put(KEY, *[huge] * 6)
    assert bench.decoded() == [0, 1, 2, 3, 4]
    assert (bench.gate.dropped, bench.asked) == (2, 1)
    bench.put(KEY, huge)
    assert bench.decoded() == [7, 8], "what was decoded waits no more"
    bench.gate.close()
    bench.put(KEY, *[huge] * 6)
    bench.gate.open()
    assert bench.decoded() == []
    assert bench.asked == 2


async def test_the_end_does_not_wait_for_what_is_left_to_decode() -> None:
    bench = Bench()
    bench.gate.open()
    bench.put(KEY, DELTA)
    bench.gate.put(None)
    assert bench.gate.get() is None
    assert bench.gate.encoded is not None
    assert bench.gate.encoded.readyState == "ended"


async def test_pictures_can_be_had_as_they_came() -> None:
    bench = Bench()
    assert bench.gate.encoded is None
    bench.put(KEY, DELTA)
    assert bench.gate.codec_known.is_set()
    source = bench.gate.encoded
    assert source is not None
    reader = source.open_reader()
    packets = [await reader.recv(), await reader.recv()]
    assert [(bytes(each), each.pts) for each in packets] == [(KEY, 0), (DELTA, 3000)]
    source.request_key_frame()
    source.request_key_frame()
    assert bench.asked == 1


async def test_another_codec_is_another_source() -> None:
    bench = Bench()
    bench.put(KEY)
    first = bench.gate.encoded
    bench.put(b"\x00\x00\x00\x9d\x01\x2a", b"\x01", codec=VP8)
    second = bench.gate.encoded
    assert first is not None
    assert second is not None
    assert (first.readyState, second.mime_type, second.stats().key_units, second.stats().units) == (
        "ended", "video/VP8", 1, 2,
    )  # fmt: skip


async def test_sound_is_always_decoded_and_bounded() -> None:
    bench = Bench("audio")
    bench.put(*[b"sound"] * (MAX_QUEUED["audio"] + 3), codec=OPUS)
    assert bench.decoded() == list(range(MAX_QUEUED["audio"]))
    assert bench.gate.dropped == 3
    assert bench.gate.encoded is None


async def test_once_nobody_looks_nothing_is_decoded_up_to_the_key_frame_after_the_next_look() -> None:
    bench = Bench()
    bench.gate.open()
    bench.put(KEY, DELTA)
    bench.gate.close()
    bench.put(DELTA, DELTA)
    assert bench.decoded() == [0, 1]
    bench.gate.open()
    bench.put(DELTA, KEY)
    assert bench.decoded() == [5]
    bench.gate.close()
    bench.put(KEY, DELTA)
    bench.gate.open()
    assert bench.decoded() == [6, 7]


async def test_the_next_track_has_pictures_of_its_own_and_the_same_decoder() -> None:
    bench = Bench()
    bench.put(KEY)
    first = bench.gate.encoded
    bench.gate.end_track()
    bench.put(DELTA, KEY)
    assert bench.decoded() == [0, 1, 2]
    assert first is not None
    assert first.readyState == "ended"
    assert bench.gate.encoded is not first


async def test_the_track_after_one_that_was_not_decoded_begins_with_a_key_frame() -> None:
    bench = Bench()
    bench.gate.close()
    bench.put(KEY, DELTA)
    bench.gate.end_track()
    assert bench.asked == 1
    bench.put(DELTA, KEY, DELTA)
    assert bench.decoded() == [3, 4]


async def test_pictures_from_which_decoding_may_start_need_not_be_idr() -> None:
    bench = Bench()
    bench.gate.close()
    bench.gate.open()
    recovery_point = b"\x06\x06\x01\x84\x80"  # recovery_frame_cnt 0, exact_match_flag 0
    bench.put(DELTA, annex_b(sps(), pps(), recovery_point, slice_nal()), DELTA)
    assert bench.decoded() == [1, 2]
