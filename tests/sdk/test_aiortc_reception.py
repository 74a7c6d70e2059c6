"""Lost video packets hold up the picture for a moment, not for as long as it takes to fill a buffer."""

from __future__ import annotations

from aiortc.jitterbuffer import JitterBuffer
from aiortc.rate import RemoteBitrateEstimator
from aiortc.rtp import RtpPacket

from metered_realtime import aiortc_adapter as adapter
from metered_realtime.aiortc_reception import MAX_WAIT_S, ImpatientJitterBuffer, LazyEstimator
from metered_realtime.media.source import SenderTrack


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def packet(number: int) -> RtpPacket:
    """Packet and picture of this number: each picture has one packet."""
    made = RtpPacket(sequence_number=number, timestamp=number * 3000)
    made._data = b"picture %d" % number
    return made


def timestamps(buffer: ImpatientJitterBuffer, *numbers: int) -> list[int]:
    frames = [buffer.add(packet(number))[1] for number in numbers]
    return [frame.timestamp // 3000 for frame in frames if frame is not None]


def test_pictures_come_out_one_packet_later() -> None:
    assert timestamps(ImpatientJitterBuffer(clock=Clock()), 1, 2, 3) == [1, 2]


def test_a_packet_that_is_repaired_in_time_is_waited_for() -> None:
    clock = Clock()
    buffer = ImpatientJitterBuffer(clock=clock)
    assert timestamps(buffer, 1, 2, 4) == [1]
    clock.now_s += MAX_WAIT_S - 0.1
    assert timestamps(buffer, 5, 3, 6, 7) == [2, 3, 4]
    clock.now_s += 10.0
    assert timestamps(buffer, 8) == [5]
    assert buffer.skipped == 0


def test_what_does_not_come_is_given_up_and_a_key_frame_asked_for() -> None:
    clock = Clock()
    buffer = ImpatientJitterBuffer(clock=clock)
    timestamps(buffer, 1, 2, 300)
    assert timestamps(buffer, 301) == []
    clock.now_s += MAX_WAIT_S + 0.1
    assert buffer.add(packet(302)) == (True, None)
    assert buffer.skipped == 1
    assert timestamps(buffer, 303, 304) == [302, 303]


def test_what_comes_after_it_was_given_up_does_no_harm() -> None:
    clock = Clock()
    buffer = ImpatientJitterBuffer(clock=clock)
    timestamps(buffer, 1, 2, 5)
    clock.now_s += MAX_WAIT_S + 0.1
    timestamps(buffer, 6)
    assert timestamps(buffer, 3, 4, 7, 8) == [6, 7]


async def test_every_section_for_video_has_one() -> None:
    pc = adapter.open_connection([])
    video = adapter.add_receiver(pc, "video")
    audio = adapter.add_sender(pc, SenderTrack("audio"), None)
    assert isinstance(video.receiver._RTCRtpReceiver__jitter_buffer, ImpatientJitterBuffer)
    assert type(audio.receiver._RTCRtpReceiver__jitter_buffer) is JitterBuffer
    await pc.close()


async def test_the_bandwidth_is_estimated_from_the_first_packet_on() -> None:
    pc = adapter.open_connection([])
    video = adapter.add_receiver(pc, "video")
    estimator = video.receiver._RTCRtpReceiver__remote_bitrate_estimator
    assert isinstance(estimator, LazyEstimator)
    ours, theirs = LazyEstimator(), RemoteBitrateEstimator()
    told = [
        (ours.add(**packet), theirs.add(**packet))
        for number in range(400)
        for packet in [
            {"abs_send_time": number * 2621, "arrival_time_ms": number * 10, "payload_size": 1200, "ssrc": 1}
        ]
    ]
    assert [mine for mine, _ in told] == [other for _, other in told]
    assert any(mine is not None for mine, _ in told)
    await pc.close()
