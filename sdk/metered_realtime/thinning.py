"""Pictures on their way over a thin link: what does not fit is left out, as whole tails of groups of pictures. Pure.

What leaves is paced at the rate of the link, so that its queue stays empty and what is dropped is dropped here, where a
picture that is missing cannot break those after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

MAX_LAG_S = 1.0
"""No picture leaves later than this after it came: more would be seen as delay, less leaves the link idle."""

# A camera that has sent nothing for this long takes no share.
_IN_USE_S = 2.0

ItemT = TypeVar("ItemT")


class _Waiting(NamedTuple, Generic[ItemT]):
    stream: Hashable
    item: ItemT
    size_bytes: int


class ThinQueue(Generic[ItemT]):
    """The pictures of all streams of one connection, in the order they came.

    Once a picture would lag too far, or its stream keeps more than its share waiting, the rest of its group is left
    out: else, of two cameras with groups of one length, the same one would find no room each time. A key frame takes
    the place of whatever of its stream still waits; it is left out only where the link is not through with what it was
    given before.
    """

    def __init__(self, *, max_lag_s: float = MAX_LAG_S) -> None:
        self._max_lag_s = max_lag_s
        self._waiting: deque[_Waiting[ItemT]] = deque()
        self._waiting_bytes = 0
        self._cut: set[Hashable] = set()
        self._pushed_s: dict[Hashable, float] = {}
        self._free_s = 0.0
        self.thinned: dict[Hashable, int] = {}
        """Pictures left out, by stream."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to leave."""
        return self._waiting_bytes

    @property
    def is_whole(self) -> bool:
        """Whether nothing waits and no stream is in the middle of a group whose tail is left out."""
        return not self._waiting and not self._cut

    def charge(self, size_bytes: int, rate_bps: float, now_s: float) -> None:
        """The link was given something else, or is given time to drain."""
        self._free_s = max(self._free_s, now_s) + size_bytes * 8 / rate_bps

    def push(
        self, stream: Hashable, item: ItemT, size_bytes: int, *, is_key: bool, rate_bps: float, now_s: float
    ) -> bool:
        """Take a picture, or leave it out (False)."""
        self._pushed_s[stream] = now_s
        if is_key:
            self._drop_waiting(stream)
        elif stream in self._cut:
            self._leave_out(stream)
            return False
        lag_s = max(0.0, self._free_s - now_s) + self._waiting_bytes * 8 / rate_bps
        if lag_s > self._max_lag_s or not (is_key or self._has_share(stream, rate_bps, now_s)):
            self._cut.add(stream)
            self._leave_out(stream)
            return False
        self._cut.discard(stream)
        self._waiting.append(_Waiting(stream, item, size_bytes))
        self._waiting_bytes += size_bytes
        return True

    def pop(self, rate_bps: float, now_s: float) -> ItemT | None:
        """Return the next picture if the link is ready for it."""
        if not self._waiting or self._free_s > now_s:
            return None
        first = self._waiting.popleft()
        self._waiting_bytes -= first.size_bytes
        self.charge(first.size_bytes, rate_bps, now_s)
        return first.item

    def pop_any(self) -> ItemT | None:
        """Return the next picture at once: the link is no longer thin."""
        self._free_s = float("-inf")
        return self.pop(float("inf"), 0.0)

    def ready_in_s(self, now_s: float) -> float | None:
        """Return the seconds until `pop` has something; None while nothing waits."""
        return max(0.0, self._free_s - now_s) if self._waiting else None

    def is_free(self, now_s: float) -> bool:
        """Whether a picture would leave at once."""
        return not self._waiting and self._free_s <= now_s

    def forget(self, stream: Hashable) -> None:
        """The stream has ended."""
        self._remove(stream)
        self._cut.discard(stream)
        self._pushed_s.pop(stream, None)
        self.thinned.pop(stream, None)

    def _has_share(self, stream: Hashable, rate_bps: float, now_s: float) -> bool:
        """Tell whether no more of the stream waits than of each there is may wait."""
        streams = sum(now_s - pushed_s <= _IN_USE_S for pushed_s in self._pushed_s.values())
        if streams == 1:
            return True
        own_bytes = sum(each.size_bytes for each in self._waiting if each.stream == stream)
        return own_bytes * 8 / rate_bps <= self._max_lag_s / streams

    def _drop_waiting(self, stream: Hashable) -> None:
        removed = self._remove(stream)
        if removed:
            self.thinned[stream] = self.thinned.get(stream, 0) + removed

    def _remove(self, stream: Hashable) -> int:
        kept = deque(each for each in self._waiting if each.stream != stream)
        removed = len(self._waiting) - len(kept)
        if removed:
            self._waiting = kept
            self._waiting_bytes = sum(each.size_bytes for each in kept)
        return removed

    def _leave_out(self, stream: Hashable) -> None:
        self.thinned[stream] = self.thinned.get(stream, 0) + 1
