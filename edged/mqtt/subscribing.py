"""How filters are asked for: many in one packet, and a mark for those whose messages may come twice. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from edged.topic_filters import is_exact, matches, overlap

_MAX_FILTERS = 100
_MAX_BYTES = 16 * 1024
_MAX_COMPARISONS = 200_000


def batches(subscriptions: Sequence[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    """Divide subscriptions into packets: a storm of single ones would hold up a broker that has just come back."""
    packet: list[tuple[str, int]] = []
    size_bytes = 0
    for topic, qos in subscriptions:
        size_bytes += len(topic.encode("utf-8", "replace")) + 3
        if packet and (len(packet) == _MAX_FILTERS or size_bytes > _MAX_BYTES):
            yield packet
            packet, size_bytes = [], len(topic.encode("utf-8", "replace")) + 3
        packet.append((topic, qos))
    if packet:
        yield packet


def overlapping(filters: Sequence[str]) -> frozenset[str]:
    """Return the filters that share a topic with another: a broker may deliver a message once for each of them."""
    exact = {topic_filter for topic_filter in filters if is_exact(topic_filter)}
    wild = [topic_filter for topic_filter in filters if topic_filter not in exact]
    if len(wild) * len(filters) > _MAX_COMPARISONS:
        return frozenset(filters)
    found: set[str] = set()
    for index, one in enumerate(wild):
        others = [other for other in wild[index + 1 :] if overlap(one, other)]
        others += [topic for topic in exact if matches(one, topic)]
        if others:
            found.update(others, (one,))
    return frozenset(found)


def evened(subscriptions: Sequence[tuple[str, int]], marked: Collection[str]) -> tuple[tuple[str, int], ...]:
    """Give all `marked` filters the highest QoS among them: of copies only one is kept, and nobody knows which."""
    highest = max((qos for topic, qos in subscriptions if topic in marked), default=0)
    return tuple((topic, highest if topic in marked else qos) for topic, qos in subscriptions)
