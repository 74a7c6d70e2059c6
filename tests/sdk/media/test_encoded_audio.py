from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

from metered_realtime import aiortc_adapter
from metered_realtime.media.encoded_audio import MAX_QUEUED, EncodedAudioSource
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.source import SenderTrack


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def reading(source: EncodedAudioSource) -> object:
    """Return a reader that has begun to read, with its first `recv` under way."""
    reader = source.open_reader()
    task = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    return reader, task


async def test_every_reader_gets_each_packet_as_it_is_on_one_line_of_time() -> None:
    clock = Clock()
    source = EncodedAudioSource("audio/opus", id="sound", clock=clock)
    source.push(AudioUnit(b"nobody hears it", 5))
    (first, one), (_, two) = await reading(source), await reading(source)  # type: ignore[misc]
    source.push(AudioUnit(b"a", 1_000_000))
    assert bytes(await one) == bytes(await two) == b"a"
    clock.now_s += 0.02
    source.push(AudioUnit(b"b", 1_000_960))
    packet = await first.recv()
    assert (packet.pts - one.result().pts, packet.time_base) == (960, Fraction(1, 48_000))
    clock.now_s += 5.0  # the camera restarted, with other numbers
    source.push(AudioUnit(b"c", 7))
    assert (await first.recv()).pts - packet.pts == 5 * 48_000
    assert (first.id, source.readers) == ("sound", 2)
    source.stop()
    assert source.readers == 0
    with pytest.raises(MediaStreamError):
        await first.recv()
    with pytest.raises(MediaStreamError):
        await source.open_reader().recv()


async def test_who_does_not_keep_up_loses_the_oldest() -> None:
    source = EncodedAudioSource("audio/PCMA")
    reader, task = await reading(source)  # type: ignore[misc]
    for number in range(MAX_QUEUED + 10):
        source.push(AudioUnit(bytes(160), number * 160))
    await task
    assert source.dropped_packets == 10
    reader.stop()
    assert source.dropped_packets == 10


async def test_long_packets_of_g711_are_cut() -> None:
    source = EncodedAudioSource("audio/PCMU")
    waiting = asyncio.create_task(source.recv())
    await asyncio.sleep(0)
    source.push(AudioUnit(bytes(1000), 0, 70.0))
    packets = [await waiting, await source.recv(), await source.recv()]
    assert [len(bytes(packet)) for packet in packets] == [334, 334, 332]
    assert [packet.pts - packets[0].pts for packet in packets] == [0, 334, 668]
    source.stop()


async def test_opus_that_fits_no_datagram_is_left_out() -> None:
    source = EncodedAudioSource("audio/opus")
    reader, task = await reading(source)  # type: ignore[misc]
    source.push(AudioUnit(bytes(1276), 0))
    source.push(AudioUnit(bytes(1275), 960))
    assert len(bytes(await task)) == 1275
    assert source.dropped_packets == 1
    reader.stop()


def test_only_what_browsers_play_is_taken() -> None:
    with pytest.raises(ValueError, match="audio/opus, audio/PCMA, audio/PCMU"):
        EncodedAudioSource("audio/aac")


@pytest.mark.parametrize("mime_type", ["audio/opus", "audio/PCMA", "audio/PCMU"])
async def test_peers_are_offered_that_codec_alone(mime_type: str) -> None:
    pc = RTCPeerConnection()
    track = SenderTrack("audio")
    track.switch(EncodedAudioSource(mime_type).open_reader())
    aiortc_adapter.add_sender(pc, track, mime_type)
    sdp = (await pc.createOffer()).sdp
    assert [line.split()[1].split("/")[0] for line in sdp.splitlines() if line.startswith("a=rtpmap")] == [
        mime_type.partition("/")[2]
    ]
    track.stop()
    await pc.close()


async def test_readers_say_when_a_sound_was_taken_and_when_it_came_where_nobody_knows() -> None:
    clock = Clock()
    source = EncodedAudioSource("audio/PCMU", clock=clock)
    reader = SenderTrack("audio")
    reader.switch(source.open_reader())
    waiting = asyncio.create_task(reader.recv())
    await asyncio.sleep(0)
    source.push(AudioUnit(bytes(480), 0, 99.5))
    source.push(AudioUnit(bytes(960), 480, 99.56))
    await waiting
    told_s = [reader.taken_s]
    for _ in range(2):
        await reader.recv()
        told_s.append(reader.taken_s)
    assert told_s == pytest.approx([99.5, 99.56, 99.62])
    clock.now_s += 0.2
    source.push(AudioUnit(b"a", 1440))
    await reader.recv()
    assert reader.taken_s is not None
    assert 99.9 < reader.taken_s <= clock.now_s
    source.stop()
    reader.stop()
