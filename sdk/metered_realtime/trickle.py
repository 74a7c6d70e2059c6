"""Which candidates of ours follow a description of ours, and when: those found after it was made, in order. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from metered_realtime.description import SessionFacts

# The other side takes no more for one description (protocol section 13.2).
MAX_CANDIDATES = 200
# The generation in force, and one that is offered and may be taken back.
MAX_GENERATIONS = 4

# RTCIceCandidateInit; None is the end of candidates.
CandidateInit = dict[str, Any] | None


@dataclass(slots=True)
class _Generation:
    """All that was found under one pair of ICE credentials. `place`: mid and index to name, once it was described."""

    found: list[str] = field(default_factory=list)
    is_complete: bool = False
    place: tuple[str, int] | None = None


class Trickle:
    """The local candidates of one connection, by the user fragment they belong to."""

    def __init__(self) -> None:
        self._generations: OrderedDict[str, _Generation] = OrderedDict()
        self.dropped = 0

    def found(self, ufrag: str, candidate: str | None) -> list[CandidateInit]:
        """Take what gathering found, None at its end; returns what is to be sent now."""
        generation = self._generation(ufrag)
        if generation.is_complete:
            return []
        if candidate is None:
            generation.is_complete = True
        elif len(generation.found) < MAX_CANDIDATES:
            generation.found.append(candidate)
        else:
            self.dropped += 1
            return []
        return [_init(ufrag, generation, candidate)] if generation.place is not None else []

    def described(self, facts: SessionFacts, sdp: str) -> list[CandidateInit]:
        """A description goes out, perhaps again; returns what is to be sent right behind it."""
        generation = self._generation(facts.ufrag)
        used = ((section.mid, index) for index, section in enumerate(facts.sections) if not section.is_rejected)
        generation.place = next(used, (facts.sections[0].mid, 0))
        later: list[str | None] = [each for each in generation.found if f"a={each}" not in sdp]
        if generation.is_complete:
            later.append(None)
        return [_init(facts.ufrag, generation, each) for each in later]

    def _generation(self, ufrag: str) -> _Generation:
        generation = self._generations.setdefault(ufrag, _Generation())
        self._generations.move_to_end(ufrag)
        if len(self._generations) > MAX_GENERATIONS:
            self._generations.popitem(last=False)
        return generation


def _init(ufrag: str, generation: _Generation, candidate: str | None) -> CandidateInit:
    if candidate is None or generation.place is None:
        return None
    mid, index = generation.place
    return {"candidate": candidate, "sdpMid": mid, "sdpMLineIndex": index, "usernameFragment": ufrag}
