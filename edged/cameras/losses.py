"""What was lost between a camera and its viewers, counted where it happens and told to the operator in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

# A camera on a bad link loses something all the time; its line of status need not change with each picture.
TELL_INTERVAL_S = 10.0


@dataclass(frozen=True, slots=True)
class Losses:
    """Counters since a source was opened. `packets` did not come from the camera; `pictures` were damaged, too large,
    or came faster than they could be taken."""

    packets: int = 0
    pictures: int = 0


@runtime_checkable
class CountsLosses(Protocol):
    """An open source that counts what it loses."""

    def losses(self) -> Losses:
        """Return the counters."""


class LossReport:
    """The words about losses, and when they are told again. `for_viewers` counts pictures that slow viewers missed,
    all added up; what was missed before is no news."""

    def __init__(self, now_s: float, for_viewers: int) -> None:
        self._next_s = now_s + TELL_INTERVAL_S
        self._before = for_viewers
        self.words = ""

    def take(self, now_s: float, source: object, for_viewers: int) -> bool:
        """Look again, if it is time to. Returns whether there are other words than before."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + TELL_INTERVAL_S
        losses = source.losses() if isinstance(source, CountsLosses) else Losses()
        words = _in_words(losses, for_viewers - self._before)
        is_news, self.words = words != self.words, words
        return is_news


def _in_words(losses: Losses, for_viewers: int) -> str:
    counted = (
        (losses.packets, "packets from the camera"),
        (losses.pictures, "pictures"),
        (for_viewers, "pictures for slow viewers"),
    )
    lost = ", ".join(f"{number} {what}" for number, what in counted if number)
    return f"lost: {lost}" if lost else ""
