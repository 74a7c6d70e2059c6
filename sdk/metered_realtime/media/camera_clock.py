"""When each picture and each sound of a camera was taken, on our clock, out of what the camera says of its own. Pure.

The two come with unrelated timestamps, and sound may leave a camera long before or after its picture. Sender reports
tie both to the camera's time of day, which need not be right: only what it says of the one beside the other is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metered_realtime.media.access_unit import CLOCK_RATE
from metered_realtime.media.arrival_line import ArrivalLine

Kind = Literal["video", "audio"]

# Further apart than this do not come picture and sound of one moment: the reports are wrong.
MAX_APART_S = 2.0
# What a camera says before its first report is often made up, and only believed where it is close to what is seen.
MAX_START_APART_S = 0.5
# Reports come when they are made, or a little later: a time of day that runs otherwise was set, or stands still.
_CLOCK_STEP_S = 1.0
# Less is the noise of reports, which is smoothed; more is a step, believed when both streams' reports agree on it.
_NOISE_S = 0.1
_SMOOTHING = 0.25
_TICKS_WRAP = 1 << 32
_NTP_SECOND = 1 << 32


@dataclass(slots=True)
class _Stream:
    """One stream's clocks. `zero_s`: the camera's time of day at 0 on the stream's own line of time."""

    rate: int
    line: ArrivalLine = field(default_factory=ArrivalLine)
    stamp: int | None = None
    pts: int = 0
    first_stamp: int | None = None
    started_at: int | None = None
    unread: tuple[float, int] | None = None
    zero_s: float | None = None

    def pts_s_at(self, stamp: int) -> float:
        assert self.stamp is not None
        away = (stamp - self.stamp + _TICKS_WRAP // 2) % _TICKS_WRAP - _TICKS_WRAP // 2
        return (self.pts + away) / self.rate

    def arrived(self, stamp: int, pts: int, now_s: float) -> float:
        if self.first_stamp is None:
            self.first_stamp = stamp
        self.stamp, self.pts = stamp, pts
        return self.line.place(pts / self.rate, now_s)

    @property
    def says_where_it_began(self) -> bool:
        """A camera that writes down its first packet's timestamp has not said anything."""
        return self.started_at is not None and self.started_at != self.first_stamp


class CameraClock:
    """One life of one camera connection; every time is one of `now_s`, any clock that only goes forward.

    Pictures stand where they arrived, the earliest of late; sound stands beside the pictures it belongs to. Before
    reports of both have come, or where they are of no use, sound stands where it arrived, too.
    """

    def __init__(self) -> None:
        self._streams: dict[Kind, _Stream] = {"video": _Stream(CLOCK_RATE), "audio": _Stream(CLOCK_RATE)}
        self._first_ntp: int | None = None
        self._clock_s: float | None = None
        self._offset_s: float | None = None
        self._pending: tuple[float, set[Kind]] | None = None
        self.clock_steps = 0

    def has_sound(self, rate: int) -> None:
        """Sound will come whose timestamps count `rate` a second."""
        self._streams["audio"] = _Stream(rate)

    @property
    def sound_late_s(self) -> float | None:
        """How much later than its picture sound arrives, less than 0 where it comes first; None while unknown."""
        offset_s = self._offset_s
        if offset_s is None:
            return self._apart_s(self._offset_at_start(), MAX_START_APART_S)
        return self._apart_s(offset_s, MAX_APART_S)

    def picture(self, stamp: int, pts_90k: int, now_s: float) -> float:
        """Take a picture: its RTP timestamp and its place on a line that does not wrap. Returns when it was taken."""
        taken_s = self._streams["video"].arrived(stamp, pts_90k, now_s)
        self._read_late("video")
        return taken_s

    def sound(self, stamp: int, pts: int, now_s: float) -> float:
        """Take a packet of sound, as `picture` does."""
        stream = self._streams["audio"]
        if stream.stamp is not None and not 0 <= pts - stream.pts <= MAX_APART_S * stream.rate:
            stream.line.forget()  # a silence, or a clock that was set; the reports will tell
        taken_s = stream.arrived(stamp, pts, now_s)
        self._read_late("audio")
        late_s = self.sound_late_s
        return taken_s if late_s is None else taken_s - late_s

    def began(self, kind: Kind, stamp: int) -> None:
        """Take what the camera says of the moment at which both streams began."""
        self._streams[kind].started_at = stamp

    def report(self, kind: Kind, ntp: int, stamp: int, now_s: float) -> None:
        """Take a sender report that arrived at `now_s`: time of day in 32.32 fixed point, and RTP timestamp."""
        if ntp < _NTP_SECOND:
            return  # "no time of day": RFC 3550 section 6.4.1
        if self._first_ntp is None:
            self._first_ntp = ntp
        camera_s = (ntp - self._first_ntp) / _NTP_SECOND
        if self._clock_s is not None and abs(now_s - camera_s - self._clock_s) > _CLOCK_STEP_S:
            self.clock_steps += 1
            self._forget_reports()
        self._clock_s = now_s - camera_s
        self._streams[kind].unread = (camera_s, stamp)
        self._read_late(kind)

    def _read_late(self, kind: Kind) -> None:
        """Read a report as soon as there is a packet to set it beside."""
        stream = self._streams[kind]
        if stream.unread is None or stream.stamp is None:
            return
        camera_s, stamp = stream.unread
        stream.unread = None
        stream.zero_s = camera_s - stream.pts_s_at(stamp)
        video_s, audio_s = self._streams["video"].zero_s, self._streams["audio"].zero_s
        if video_s is not None and audio_s is not None:
            self._follow(kind, audio_s - video_s)

    def _follow(self, kind: Kind, offset_s: float) -> None:
        if self._offset_s is None or self.sound_late_s is None:
            self._offset_s, self._pending = offset_s, None
        elif abs(offset_s - self._offset_s) <= _NOISE_S:
            self._offset_s += _SMOOTHING * (offset_s - self._offset_s)
            self._pending = None
        elif self._pending is None or abs(offset_s - self._pending[0]) > _NOISE_S:
            self._pending = (offset_s, {kind})
        else:
            self._pending[1].add(kind)
            if len(self._pending[1]) == len(self._streams):
                self._offset_s, self._pending = offset_s, None

    def _forget_reports(self) -> None:
        for stream in self._streams.values():
            stream.zero_s = stream.unread = None
        self._pending = None

    def _offset_at_start(self) -> float | None:
        video, audio = self._streams["video"], self._streams["audio"]
        if video.stamp is None or audio.stamp is None or video.started_at is None or audio.started_at is None:
            return None
        if not (video.says_where_it_began or audio.says_where_it_began):
            return None
        return video.pts_s_at(video.started_at) - audio.pts_s_at(audio.started_at)

    def _apart_s(self, offset_s: float | None, limit_s: float) -> float | None:
        video_s, audio_s = self._streams["video"].line.offset_s, self._streams["audio"].line.offset_s
        if offset_s is None or video_s is None or audio_s is None:
            return None
        apart_s = audio_s - video_s - offset_s
        return apart_s if abs(apart_s) <= limit_s else None
