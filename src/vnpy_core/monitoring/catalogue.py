"""The catalogue: every metric there is, its kind, labels and meaning; the unit is the end of its name.

``docs/monitoring.md`` is made of it, and nothing that is not in it can be told.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

PREFIX = "vnpy_core_"
TABLES_HEADING = "## Every metric\n\n"
Kind = Literal["counter", "gauge", "histogram", "info"]


class Described(msgspec.Struct, frozen=True):
    """``text`` is the help that a scrape carries."""

    kind: Kind
    text: str
    labels: tuple[str, ...] = ()


def _gauge(text: str, *labels: str) -> Described:
    return Described("gauge", text, labels)


def _counter(text: str, *labels: str) -> Described:
    return Described("counter", text, labels)


def _histogram(text: str, *labels: str) -> Described:
    return Described("histogram", text, labels)


SERVICE: Mapping[str, Described] = {
    "build": Described("info", "Versions of the service and of vnpy.", ("version", "vnpy")),
    "ready": _gauge("Whether orders can be taken."),
    "stalls": _counter("Times that the loop or the event thread made no progress for too long.", "thread"),
    "event_thread_stalled_seconds": _gauge("For how long the event thread has made no progress; 0: it does."),
    "loop_lag_seconds": _histogram("How late the loop ran a timer, looked at twice a second."),
    "metrics_source_errors": _counter("Failed readings of metrics, by where they come from.", "source"),
}
JOURNAL: Mapping[str, Described] = {
    "journal_last_seq": _gauge("Number of the last fact in the journal."),
    "journal_pending_facts": _gauge("Facts that are not on disk yet."),
    "journal_commit_seconds": _histogram("Time until facts that were ready were on disk, by commit."),
    "journal_healthy": _gauge("Whether the journal can be written."),
    "sink_position_seq": _gauge("Number of the last fact that the sink has dealt with.", "sink"),
    "sink_lag_facts": _gauge("Facts of the journal that the sink has still to store.", "sink"),
    "sink_healthy": _gauge("Whether the sink's last attempt went well.", "sink"),
    "sink_dead_letters": _counter("Facts that the sink has put aside, as they can never be stored.", "sink"),
}
EVENT_ENGINE: Mapping[str, Described] = {
    "event_engine_running": _gauge("Whether the event thread lives."),
    "event_engine_queued_events": _gauge("Events that wait for the event thread."),
    "event_engine_processed_events": _counter("Events that were dispatched."),
    "event_engine_handler_seconds": _counter("Time spent in handlers."),
    "event_engine_lag_seconds": _histogram("From put to dispatched, of one event in sixteen, at least one a second."),
    "event_engine_event_seconds": _histogram("Time that all handlers of one event took; at most 1 ms is one bucket."),
    "event_engine_lag_p99_seconds": _gauge("From put to dispatched: 99th percentile of the last minute."),
    "event_engine_handler_errors": _counter("Exceptions that a handler raised.", "handler"),
}
ORDERS: Mapping[str, Described] = {
    "orders": _counter("Told states of orders, however they were sent.", "status"),
    "order_refusals": _counter(
        "Orders over the API that are not known to be sent, by the code of docs/order-refusals.md.", "code"
    ),
    "risk_rejections": _counter("Orders, also of strategies, that risk control has refused.", "code"),
    "order_stage_seconds": _histogram(
        "From what asked for an order: its intent on disk, handed to the gateway, acknowledged by the venue, filled.",
        "stage",
    ),
    "unknown_orders": _gauge("Orders sent whose outcome nobody has told."),
}
CLIENTS: Mapping[str, Described] = {
    "http_requests": _counter("Requests, by route.", "method", "route", "status"),
    "http_request_duration_seconds": _histogram("From a request to the end of its answer.", "method", "route"),
    "websocket_sessions": _gauge("Clients of /ws."),
    "websocket_send_seconds": _histogram("From an event's coming to its hand-over to the connection, by frame."),
    "websocket_sent_events": _counter("Events that were sent to clients."),
    "websocket_sent_bytes": _counter("Bytes that were sent to clients, before compression."),
    "websocket_conflated_ticks": _counter("Ticks that a slow client was not sent, as a later one had come."),
    "websocket_dropped_events": _counter("Log lines and bars that a slow client was not sent."),
    "websocket_ended_slow_sessions": _counter("Sessions ended because too many facts waited for them."),
    "websocket_queued_events": _gauge("Events that wait for clients."),
}
EDGES: Mapping[str, Described] = {
    "published_events": _counter("What clients, bus and recorders were given, by kind.", "kind"),
    "bridge_buffered_events": _gauge("Events between the event thread and the loop."),
    "bridge_dropped_ticks": _counter("Ticks dropped as the loop did not take them."),
    "history_healthy": _gauge("Whether ticks can be stored."),
    "history_pending_ticks": _gauge("Ticks that are not stored yet."),
    "history_spool_bytes": _gauge("Size of the spool on disk."),
    "history_dropped_ticks": _counter("Ticks dropped as too many waited, or for too long."),
    "bus_healthy": _gauge("Whether the message bus can be reached."),
    "bus_dropped_messages": _counter("Ticks, bars, log lines that the bus did not take."),
    "history_refused_ticks": _counter("Ticks put aside, which the history store refused for their content."),
    "bus_rejected_facts": _counter("Facts that the bus never takes, for their size."),
    "disk_free_bytes": _gauge("Free on the disk of the data folder."),
    "disk_size_bytes": _gauge("Size of the disk of the data folder."),
}
TRADING: Mapping[str, Described] = {
    "gateway_state": _gauge("1 for the state that the gateway is in, 0 for the others.", "gateway", "state"),
    "gateway_wanted": _gauge("Whether the gateway is meant to be connected now.", "gateway"),
    "gateway_last_tick_age_seconds": _gauge("Since the last tick of the gateway; nothing before the first.", "gateway"),
    "strategies": _gauge("How many strategies are in the state.", "state"),
}
ALERTS: Mapping[str, Described] = {
    "gateway_missing": _gauge("1 for a gateway that is to be connected and is not.", "gateway"),
    "gateway_mute": _gauge("1 for a gateway that is missing, or whose subscribed symbols do not tick.", "gateway"),
    "event_lag_mean_seconds": _gauge("From put to dispatched: mean of the last second in which events came."),
    "folder_free_bytes": _gauge("Free on each disk that is written to, by the first folder on it.", "folder"),
    "loss_limit_used_ratio": _gauge("Which part of a loss limit the account has lost.", "gateway", "limit"),
    "clock_skew_seconds": _gauge("The least that ticks' times differed lately from when they came.", "gateway"),
    "certificate_expires_seconds": _gauge("Until the certificate of service.tls_cert expires."),
    "api_key_expires_seconds": _gauge("Until an API key expires.", "key", "name", "user"),
    "alert_channel_failing": _gauge("1 for a channel that alerts do not get through to.", "channel"),
}
GROUPS: Mapping[str, Mapping[str, Described]] = {
    "Service": SERVICE,
    "Event thread": EVENT_ENGINE,
    "Journal and sinks": JOURNAL,
    "Between and around": EDGES,
    "Gateways and strategies": TRADING,
    "Orders": ORDERS,
    "Clients": CLIENTS,
    "Watched for alerts": ALERTS,
}
METRICS: Mapping[str, Described] = {name: each for group in GROUPS.values() for name, each in group.items()}


def full_names(name: str) -> Iterator[str]:
    """Yield the names of the samples of ``name``, as a query has them."""
    match METRICS[name].kind:
        case "counter":
            yield f"{PREFIX}{name}_total"
        case "info":
            yield f"{PREFIX}{name}_info"
        case "histogram":
            yield from (f"{PREFIX}{name}_{part}" for part in ("bucket", "sum", "count"))
        case "gauge":
            yield PREFIX + name


def render_catalogue() -> str:
    """Return the tables of ``docs/monitoring.md``."""
    tables = []
    for group, metrics in GROUPS.items():
        rows = "\n".join(_row(name, described) for name, described in metrics.items())
        tables.append(f"### {group}\n\n| metric | kind | unit | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(tables)


def _row(name: str, described: Described) -> str:
    labels = f"{{{','.join(described.labels)}}}" if described.labels else ""
    full_name = PREFIX + name if described.kind == "histogram" else next(full_names(name))
    return f"| `{full_name}{labels}` | {described.kind} | {unit_of(name)} | {described.text} |"


def unit_of(name: str) -> str:
    """Return the unit of the catalogue's ``name``, by its end."""
    end = name.rsplit("_", 1)[-1]
    if end in ("ready", "healthy", "running", "state", "wanted"):
        return "0 or 1"
    return {"seconds": "s", "bytes": "B", "seq": "number of a fact", "build": ""}.get(end, end)
