"""How often a camera is asked for a key frame, and whether it is believed to make one. Pure: time is an argument."""

from __future__ import annotations

INTERVAL_S = 0.5
# A camera that makes a key frame at all makes it within this.
PROMPT_S = 1.5
REFUSED_S = 600.0
UNREACHABLE_S = 60.0
# Many cameras say yes and make none: after so many askings for nothing one is asked now and then.
IN_VAIN = 3
IGNORED_S = 60.0


class OnvifPace:
    """One camera. It is believed once a key frame has followed an asking, and until one has not."""

    def __init__(self) -> None:
        self._not_before_s: float | None = None
        self._asked_s: float | None = None
        self._is_under_way = self._came_meanwhile = False
        self._is_believed = False
        self._in_vain = 0
        self._complaint = ""
        self.asked = self.refused = self.answered = 0

    def may_ask(self, now_s: float) -> bool:
        """Whether to ask now; counted as asked if so."""
        self._judge(now_s)
        if self._not_before_s is not None and now_s < self._not_before_s:
            return False
        self._not_before_s = now_s + (INTERVAL_S if self._in_vain < IN_VAIN else IGNORED_S)
        self._is_under_way, self._came_meanwhile = True, False
        self.asked += 1
        return True

    def is_believed(self, now_s: float) -> bool:
        """Whether a key frame will come of what has been asked."""
        self._judge(now_s)
        return self._is_believed

    def done(self, now_s: float) -> None:
        """The camera said yes."""
        self._is_under_way, self._complaint = False, ""
        if self._came_meanwhile:
            self._answered()
        elif self._asked_s is None:
            self._asked_s = now_s

    def key_frame_came(self, now_s: float) -> None:
        """The camera sent one; some do so before they answer."""
        self._judge(now_s)
        self._came_meanwhile = self._is_under_way
        if self._asked_s is not None:
            self._answered()

    def failed(self, now_s: float, complaint: str, *, is_refusal: bool) -> bool:
        """The camera said no, or nothing: it is left alone for a while. True where that is news."""
        self.refused += 1
        self._is_under_way = False
        self._asked_s, self._is_believed = None, False
        self._not_before_s = now_s + (REFUSED_S if is_refusal else UNREACHABLE_S)
        is_news, self._complaint = complaint != self._complaint, complaint
        return is_news

    def _answered(self) -> None:
        self._asked_s = None
        self._is_believed = True
        self._in_vain = 0
        self.answered += 1

    def _judge(self, now_s: float) -> None:
        if self._asked_s is not None and now_s - self._asked_s > PROMPT_S:
            self._asked_s, self._is_believed = None, False
            self._in_vain += 1
