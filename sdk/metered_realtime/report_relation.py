"""What our sender reports say of one stream (RFC 3550 section 6.4.1): which RTP time is now, and how often. Pure.

A receiver plays together what two streams' reports place at one moment, so the moment has to be the one at which things
were taken, and not the one at which they were sent.
"""

from __future__ import annotations

# Receivers bring sound and picture together when they have two of each, and newcomers miss the very first; later ones
# follow the drift of clocks.
FIRST_REPORTS_S = (0.3, 0.5, 1.0, 2.0)
REPORT_INTERVAL_S = 4.0
# Nothing to say yet: the camera is being opened, and its viewers wait for the first reports.
UNKNOWN_INTERVAL_S = 0.5
# libwebrtc draws a line through the last 20 reports, and bends it over a minute where the relation has changed.
CHANGED_REPORTS = 20
CHANGED_INTERVAL_S = 0.2
CHANGED_S = 0.04
_WRAP = 1 << 32


class ReportRelation:
    """One stream: `note` what is sent, ask for `rtp_at` this moment at each report, and `wait_s` before the next.

    Times are of one clock that only goes forward; `rate` is that of the stream's RTP timestamps.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._noted: tuple[int, float] | None = None
        self._reported: tuple[int, float] | None = None
        self._first = list(FIRST_REPORTS_S)
        self._changed = 0

    def note(self, timestamp: int, taken_s: float) -> None:
        """What was taken at `taken_s` has been sent with this RTP timestamp."""
        self._noted = timestamp, taken_s

    def rtp_at(self, now_s: float) -> int | None:
        """Return the RTP time of this moment for a report that leaves now; None before anything was sent."""
        if self._noted is None:
            return None
        timestamp, taken_s = self._noted
        rtp = (timestamp + round((now_s - taken_s) * self._rate)) % _WRAP
        if self._reported is not None and abs(self._moved_s(rtp, now_s)) > CHANGED_S:
            self._changed = CHANGED_REPORTS
        self._reported = rtp, now_s
        return rtp

    def wait_s(self) -> float:
        """Return how long to wait before the next report."""
        if self._noted is None:
            return UNKNOWN_INTERVAL_S
        if self._changed:
            self._changed -= 1
            return CHANGED_INTERVAL_S
        return self._first.pop(0) if self._first else REPORT_INTERVAL_S

    def _moved_s(self, rtp: int, now_s: float) -> float:
        """How far the relation has moved since the last report."""
        assert self._reported is not None
        before, at_s = self._reported
        ticks = (rtp - before + _WRAP // 2) % _WRAP - _WRAP // 2
        return ticks / self._rate - (now_s - at_s)
