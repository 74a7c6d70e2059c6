"""The account of commands: counts by outcome, and a line for each, as many as a log can bear. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edged.commands.messages import Answer, Command
from edged.commands.rates import Rates

LINES_PER_S = 5.0
LINES_BURST = 50
_MAX_TOPIC = 120
_MAX_WORD = 64
_MAX_SENTENCE = 300


class Audit:
    """Counts every outcome. `line` returns what is to be logged, or None where too much has been said lately."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lines = Rates(1)
        self._unsaid = 0

    def count(self, outcome: str) -> None:
        """One more of this outcome."""
        self._counts[outcome] += 1

    def unsaid(self, answer: Answer) -> None:
        """Count a command that is settled, and neither answered nor logged."""
        self.count(answer.reason or "ok")
        self._unsaid += 1

    def figures(self) -> dict[str, int | Mapping[str, int]]:
        """Return the account so far: received = outcomes + repeated + what is under way."""
        apart = {name: self._counts[name] for name in ("received", "repeated", "unanswered")}
        return {**apart, "outcomes": {name: count for name, count in self._counts.items() if name not in apart}}

    def line(self, sender: str, command: Command | None, answer: Answer, now_s: float) -> str | None:
        """Count a command that is settled, and return its line."""
        outcome = answer.reason or "ok"
        self.count(outcome)
        if not self._lines.take("", per_s=LINES_PER_S, burst=LINES_BURST, now_s=now_s):
            self._unsaid += 1
            return None
        unsaid, self._unsaid = self._unsaid, 0
        about = "" if command is None else f" {_shown(command.topic, _MAX_TOPIC)} id {_shown(command.id, _MAX_WORD)}"
        # The sentence of a schema names what is in the payload.
        why = f" ({_printable(answer.message, _MAX_SENTENCE)})" if answer.message and not answer.ok else ""
        more = f"; {unsaid} more before it are not logged" if unsaid else ""
        return f"command of {_shown(sender, _MAX_WORD)}{about}: {outcome}{why}{more}"


def _shown(text: str, limit: int) -> str:
    """Write a stranger's text so that it cannot pass for ours: no line ends, no control characters, not too long."""
    cut = _cut(text, limit)
    return cut if cut.isascii() and cut.isprintable() and " " not in cut else ascii(cut)


def _printable(sentence: str, limit: int) -> str:
    """Write a sentence of ours that quotes a stranger."""
    cut = _cut(sentence, limit)
    return cut if cut.isascii() and cut.isprintable() else ascii(cut)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
