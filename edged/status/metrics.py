"""Which figures are metrics, under which names (https://prometheus.io/docs/practices/naming/). Pure.

A figure's place is written `part.figure`; `part.*.figure` is one sample per key, which becomes the label. Seconds and
bytes are the units, whatever the figure is kept in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edged.status.document import Document
from edged.status.exposition import Family, Kind, Sample, text
from edged.status.metric_names import NAMES, Named

_STATES = ("connecting", "live", "idle", "lost", "failed")


@dataclass(frozen=True, slots=True)
class _Found:
    value: float
    keys: tuple[str, ...]


def exposition(document: Document) -> str:
    """Return everything as Prometheus text."""
    return text(families(document))


def families(document: Document) -> Iterator[Family]:
    """Return everything as families of metrics."""
    yield _one("edged_info", "gauge", "The gateway and its version.", 1, _labels_of(document))
    start_s = document["started_ms"] / 1000
    yield _one("edged_start_time_seconds", "gauge", "When the gateway was started, in Unix time.", start_s)
    yield Family(
        "edged_part_state",
        "gauge",
        "1 for the state each part is in.",
        tuple(
            Sample(int(part["state"] == state), {"part": part["name"], "state": state})
            for part in document["parts"]
            for state in dict.fromkeys((*_STATES, part["state"]))
        ),
    )
    if document["account"] is not None:
        unexplained = document["account"]["unexplained"]
        help_ = "Readings taken in that are neither delivered, waiting nor dropped; anything but 0 is a fault of edged."
        yield _one("edged_readings_unexplained", "gauge", help_, unexplained)
    for named in NAMES:
        yield _family(named, document["figures"])


def _one(name: str, kind: Kind, help_: str, value: float, labels: Mapping[str, str] | None = None) -> Family:
    return Family(name, kind, help_, (Sample(value, labels or {}),))


def _labels_of(document: Document) -> dict[str, str]:
    return {"gateway": document["gateway"], "version": document["version"]}


def _family(named: Named, figures: Mapping[str, Any]) -> Family:
    found = _at(figures, tuple(named.place.split(".")), (), named.word)
    samples = tuple(
        Sample(
            one.value if named.scale == 1 else one.value * named.scale,
            dict(zip(named.labels, one.keys, strict=True)),
        )
        for one in found
    )
    return Family(named.name, named.kind, named.help, samples)


def _at(figures: Any, place: tuple[str, ...], keys: tuple[str, ...], word: str) -> Iterator[_Found]:
    if not place:
        if word:
            yield _Found(int(figures == word), keys)
        elif isinstance(figures, bool | int | float):
            yield _Found(int(figures) if isinstance(figures, bool) else figures, keys)
        return
    if not isinstance(figures, Mapping):
        return
    if place[0] == "*":
        for key, inner in figures.items():
            yield from _at(inner, place[1:], (*keys, str(key)), word)
    elif place[0] in figures:
        yield from _at(figures[place[0]], place[1:], keys, word)
