"""Whatever a camera says of its clocks, every picture and every sound is told a time near the one at which it came."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.camera_clock import MAX_APART_S
from metered_realtime.media.camera_timing import CameraTiming
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.sender_reports import read_rtp_info
from tests.fuzz.material import FUZZ, spoiled_bytes

NTP = 3_989_000_000 << 32
stamps = st.sampled_from([0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]) | st.integers(0, (1 << 32) - 1)
reports = st.builds(
    lambda ntp, stamp: struct.pack("!BBHIQIII", 0x80, 200, 6, 7, ntp, stamp, 0, 0),
    st.sampled_from([0, 1, NTP, (1 << 64) - 1]) | st.integers(NTP, NTP + (5 << 32)),
    stamps,
).flatmap(spoiled_bytes)
sent = st.tuples(st.sampled_from(["video", "audio"]), reports | st.integers(-500_000, 500_000), st.floats(0, 5))


@FUZZ
@given(stamps, stamps, st.lists(sent, max_size=20), st.text("url=track12;,rtptime0123456789", max_size=60))
def test_clocks_of_any_camera_are_followed_or_ignored(
    video_base: int, audio_base: int, events: list[tuple[str, bytes | int, float]], info: str
) -> None:
    timing = CameraTiming(8_000)
    timing.began(info, video="track1", audio=None)
    read_rtp_info(info)
    pts = {"video": 0, "audio": 0}
    now_s = began_s = 1_000.0
    for kind, what, wait_s in events:
        now_s += wait_s
        if isinstance(what, bytes):
            timing.report(kind, what, now_s)
            continue
        pts[kind] += what
        stamp = ((video_base if kind == "video" else audio_base) + pts[kind]) % (1 << 32)
        if kind == "video":
            taken_s = timing.picture(AccessUnit(b"", pts[kind], is_key=True), stamp, now_s).taken_s
        else:
            taken_s = timing.sound(AudioUnit(b"", pts[kind]), (stamp, pts[kind]), now_s).taken_s
        assert taken_s is not None
        reach_s = now_s - began_s + 20 * 500_000 / 8_000 + MAX_APART_S
        assert now_s - reach_s <= taken_s <= now_s + MAX_APART_S + 1e-6
