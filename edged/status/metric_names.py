"""The names of the metrics: where each figure stands, what it is called, what it counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edged.status.exposition import Kind

_MS = 0.001


@dataclass(frozen=True, slots=True)
class Named:
    """One figure as a metric; each `*` of the place fills the label at the same position. Where the figure is a word,
    the metric is 1 for `word` and 0 for any other."""

    place: str
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    scale: float = 1
    word: str = ""


def _counter(place: str, name: str, help_: str, *labels: str) -> Named:
    return Named(place, f"edged_{name}_total", "counter", help_, labels)


def _gauge(place: str, name: str, help_: str, *labels: str, scale: float = 1, word: str = "") -> Named:
    return Named(place, f"edged_{name}", "gauge", help_, labels, scale, word)


_ACCOUNT = (
    _counter("telemetry.received", "readings_received", "Messages taken in from the broker."),
    _counter("telemetry.delivered", "readings_delivered", "Readings the hub has acknowledged."),
    _gauge("telemetry.waiting", "readings_waiting", "Readings that wait for the hub."),
    _counter("telemetry.dropped.*", "readings_dropped", "Messages that will not be delivered, by reason.", "reason"),
    _gauge("telemetry.clock", "clock_set", "1 while the machine's clock can be trusted.", word="set"),
)
_ROUTES = (
    _counter("routes.*.readings", "route_readings", "Readings made of a route's messages.", "route"),
    _counter(
        "routes.*.filtered.*",
        "route_filtered",
        "Messages held back as the settings ask, by reason.",
        "route",
        "reason",
    ),
    _counter("routes.*.refused.*", "route_refused", "Messages that could not become a reading.", "route", "reason"),
    _gauge(
        "routes.*.last_time_ms",
        "route_last_reading_timestamp_seconds",
        "When the last reading was taken, in Unix time.",
        "route",
        scale=_MS,
    ),
)
_CAMERAS = (
    _gauge("cameras.*.state", "camera_live", "1 while a camera gives pictures.", "camera", word="live"),
    _gauge("cameras.*.viewers", "camera_viewers", "Viewers that a camera is sent to.", "camera"),
    _gauge("cameras.*.fps", "camera_frames_per_second", "Pictures a second that a camera gives.", "camera"),
    _gauge("cameras.*.kbps", "camera_bits_per_second", "Bits a second that a camera gives.", "camera", scale=1000),
    _counter(
        "cameras.*.missed_by_viewers", "camera_missed_frames", "Pictures given up for viewers that lag.", "camera"
    ),
)
_COMMANDS = (_counter("commands.outcomes.*", "commands", "Commands by outcome.", "outcome"),)
_PROCESS = (
    Named("process.cpu_s", "process_cpu_seconds_total", "counter", "Processor time used, in seconds."),
    Named("process.memory_bytes", "process_resident_memory_bytes", "gauge", "Resident memory, in bytes."),
    Named("process.open_files", "process_open_fds", "gauge", "Open file descriptors."),
)

NAMES = (*_ACCOUNT, *_ROUTES, *_CAMERAS, *_COMMANDS, *_PROCESS)
