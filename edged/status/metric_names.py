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
    _counter("telemetry.most_received", "readings_received", "Messages taken in from the broker."),
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
_COMMANDS = (
    _counter("commands.received", "commands_received", "Messages that were commands, or meant to be."),
    _counter("commands.outcomes.*", "commands", "Commands by outcome.", "outcome"),
    _gauge("commands.pending", "commands_pending", "Commands that wait for the broker or for a reply."),
    _counter("commands.unsent", "commands_unsent_answers", "Answers that could not be sent: hub or sender were gone."),
)
_OUTBOX = (
    _gauge("outbox.on_disk", "outbox_on_disk_readings", "Readings that are on disk only."),
    _gauge("outbox.oldest_age_s", "outbox_oldest_age_seconds", "Age of the oldest reading that waits."),
    _gauge("outbox.memory_bytes", "outbox_memory_bytes", "Bytes of readings held in memory."),
    _gauge("outbox.disk_bytes", "outbox_disk_bytes", "Bytes of readings on disk."),
    _gauge("outbox.max_bytes", "outbox_limit_bytes", "Bytes of readings that may be kept."),
    _counter("outbox.written_bytes", "outbox_written_bytes", "Bytes written to disk."),
    _gauge("outbox.overtaking", "outbox_overtaking", "1 while new readings go out beside a backlog, not behind it."),
    _gauge("outbox.lanes.*.waiting", "outbox_lane_waiting", "Readings of one priority that wait.", "lane"),
    _gauge(
        "outbox.lanes.*.oldest_age_s",
        "outbox_lane_oldest_age_seconds",
        "Age of the oldest reading of one priority.",
        "lane",
    ),
)
_UPLINK = (
    _gauge("uplink.connected", "uplink_connected", "1 while the hub takes readings."),
    _counter("uplink.reconnects", "uplink_reconnects", "Times the way to the hub was made again."),
    _gauge("uplink.rtt_ms", "uplink_round_trip_seconds", "Time until the hub acknowledges, smoothed.", scale=_MS),
    _gauge("uplink.min_rtt_ms", "uplink_min_round_trip_seconds", "The shortest such time seen lately.", scale=_MS),
    _gauge("uplink.rate_bytes_per_s", "uplink_rate_bytes_per_second", "Bytes a second the way has been seen to carry."),
    _gauge("uplink.window_bytes", "uplink_window_bytes", "Bytes that may be on their way at a time."),
    _gauge("uplink.in_flight_messages", "uplink_in_flight_messages", "Messages not acknowledged yet."),
    _gauge("uplink.in_flight_bytes", "uplink_in_flight_bytes", "Bytes not acknowledged yet."),
    _gauge("uplink.pace_per_s", "uplink_messages_per_second_limit", "Messages a second that are allowed now."),
    _gauge("uplink.pace_slowed", "uplink_slowed", "1 while the hub has asked for fewer messages."),
)
_BUDGET = (
    _gauge("budget.used", "budget_used_messages", "Messages sent this month."),
    _gauge("budget.limit", "budget_limit_messages", "Messages allowed a month; 0 for any number."),
    _gauge("budget.forecast", "budget_forecast_messages", "Messages that will have been sent by the end of the month."),
)
_PROCESS = (
    Named("process.cpu_s", "process_cpu_seconds_total", "counter", "Processor time used, in seconds."),
    Named("process.memory_bytes", "process_resident_memory_bytes", "gauge", "Resident memory, in bytes."),
    Named("process.open_files", "process_open_fds", "gauge", "Open file descriptors."),
)

NAMES = (*_ACCOUNT, *_ROUTES, *_OUTBOX, *_UPLINK, *_BUDGET, *_CAMERAS, *_COMMANDS, *_PROCESS)
