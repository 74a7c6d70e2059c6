"""Pictures and sounds of an RTSP camera, each told when it was taken. Pure."""

from __future__ import annotations

from dataclasses import replace

from metered_realtime.media.access_unit import AccessUnit
from metered_realtime.media.camera_clock import CameraClock
from metered_realtime.media.rtp_audio import AudioUnit
from metered_realtime.media.rtsp_handshake import AudioTrack
from metered_realtime.media.sender_reports import RtpStart, read_rtp_info, read_sender_reports


class CameraTiming:
    """One life of one camera connection, with sound of `sound_rate` ticks a second or with none."""

    def __init__(self, sound_rate: int | None = None) -> None:
        self._clock = CameraClock()
        if sound_rate is not None:
            self._clock.has_sound(sound_rate)

    @property
    def sound_late_s(self) -> float | None:
        """How much later than its picture sound arrives; None while that is not known."""
        return self._clock.sound_late_s

    def picture(self, unit: AccessUnit, stamp: int, now_s: float) -> AccessUnit:
        """Return the picture with the time at which it was taken; `stamp` is its RTP timestamp."""
        return AccessUnit(unit.data, unit.pts_90k, unit.is_key, self._clock.picture(stamp, unit.pts_90k, now_s))

    def sound(self, unit: AudioUnit, newest: tuple[int, int] | None, now_s: float) -> AudioUnit:
        """As `picture`; `newest` are RTP timestamp and `pts` of the packet that the sound is from."""
        if unit.pts is None or newest is None:
            return unit
        stamp, pts = newest
        return replace(unit, taken_s=self._clock.sound(stamp, pts, now_s))

    def began(self, rtp_info: str, *, video: str, audio: AudioTrack | None) -> None:
        """Take the answer to PLAY; `video` is where the picture is controlled."""
        for start in read_rtp_info(rtp_info):
            if _is_of(start, video):
                self._clock.began("video", start.rtp)
            elif audio is not None and _is_of(start, audio.control_url):
                self._clock.began("audio", start.rtp)

    def report(self, kind: str, data: bytes, now_s: float) -> None:
        """Take RTCP of the track of this kind."""
        for report in read_sender_reports(data):
            self._clock.report("audio" if kind == "audio" else "video", report.ntp, report.rtp, now_s)


def _is_of(start: RtpStart, control_url: str) -> bool:
    """The address may be written without what the camera is reached by."""
    return bool(start.url) and (control_url == start.url or control_url.endswith(f"/{start.url.lstrip('/')}"))
