"""Metrics: what the service knows of itself, in the text format of Prometheus; read when asked for, never kept."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from vnpy_core.enums import GatewayState, StrategyState
from vnpy_core.models import Strategy
from vnpy_core.reports import SystemStatus

_PREFIX = "vnpy_core_"
_PROCESS = ProcessCollector(registry=CollectorRegistry())  # reads /proc when it is asked


def render_metrics(status: SystemStatus, strategies: Iterable[Strategy], accept: str = "") -> tuple[bytes, str]:
    """Return all metrics in the format that the header ``accept`` asks for, and their content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Reading(status, Counter(strategy.state for strategy in strategies))), content_type


class _Reading(Collector):
    """One scrape."""

    def __init__(self, status: SystemStatus, strategies: Mapping[StrategyState, int]) -> None:
        self._status = status
        self._strategies = strategies

    def collect(self) -> Iterator[Metric]:
        yield from self._service()
        yield from self._journal()
        yield from self._event_engine()
        yield from self._edges()
        yield from self._trading()
        yield from _PROCESS.collect()

    def _service(self) -> Iterator[Metric]:
        info = {"version": self._status.version, "vnpy": self._status.versions.get("vnpy", "")}
        yield InfoMetricFamily(f"{_PREFIX}build", "Versions of the service and of vnpy.", info)
        yield _gauge("ready", "Whether orders can be taken.", self._status.ready)

    def _journal(self) -> Iterator[Metric]:
        journal, sinks = self._status.journal, self._status.sinks
        yield _gauge("journal_last_seq", "Number of the last fact in the journal.", journal.last_seq)
        yield _gauge("journal_pending_facts", "Facts that are not on disk yet.", journal.pending)
        yield _gauge("journal_healthy", "Whether the journal can be written.", journal.healthy)
        yield _gauges(
            "sink_position_seq", "Number of the last fact that the sink has dealt with.", "sink",
            {sink.name: sink.position for sink in sinks},
        )  # fmt: skip
        yield _gauges(
            "sink_lag_facts", "Facts of the journal that the sink has still to store.", "sink",
            {sink.name: sink.lag for sink in sinks},
        )  # fmt: skip
        yield _gauges(
            "sink_healthy", "Whether the sink's last attempt went well.", "sink",
            {sink.name: sink.healthy for sink in sinks},
        )  # fmt: skip
        yield _counters(
            "sink_dead_letters", "Facts that the sink has put aside, as they can never be stored.", "sink",
            {sink.name: sink.dead_letters for sink in sinks},
        )  # fmt: skip

    def _event_engine(self) -> Iterator[Metric]:
        engine = self._status.event_engine
        yield _gauge("event_engine_running", "Whether the event thread lives.", engine.running)
        yield _gauge("event_engine_queued_events", "Events that wait for the event thread.", engine.queue_depth)
        yield _counter("event_engine_processed_events", "Events that were dispatched.", engine.processed)
        yield _counter("event_engine_handler_seconds", "Time spent in handlers.", (engine.handler_ms or 0) / 1000)
        if engine.lag_p99_ms is not None:
            yield _gauge(
                "event_engine_lag_p99_seconds", "From put to dispatched: 99th percentile of the last minute.",
                engine.lag_p99_ms / 1000,
            )  # fmt: skip
        yield _counters(
            "event_engine_handler_errors", "Exceptions that a handler raised.", "handler", engine.errors_by_handler
        )

    def _edges(self) -> Iterator[Metric]:
        bridge, history, bus = self._status.bridge, self._status.history, self._status.bus
        yield _gauge("bridge_buffered_events", "Events between the event thread and the loop.", bridge.buffered)
        yield _counter("bridge_dropped_ticks", "Ticks dropped as the loop did not take them.", bridge.ticks_dropped)
        yield _gauge("history_healthy", "Whether ticks can be stored.", history.healthy)
        yield _gauge("history_pending_ticks", "Ticks that are not stored yet.", history.pending)
        yield _gauge("history_spool_bytes", "Size of the spool on disk.", history.spool_bytes)
        yield _counter("history_dropped_ticks", "Ticks dropped as too many waited, or for too long.", history.dropped)
        yield _gauge("bus_healthy", "Whether the message bus can be reached.", bus.healthy)
        yield _counter("bus_dropped_messages", "Ticks, bars, log lines that the bus did not take.", bus.market_dropped)
        yield _gauge("websocket_sessions", "Clients of /ws.", len(self._status.sessions))

    def _trading(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            f"{_PREFIX}gateway_state", "1 for the state that the gateway is in, 0 for the others.",
            labels=("gateway", "state"),
        )  # fmt: skip
        for gateway in self._status.gateways:
            for state in GatewayState:
                states.add_metric((gateway.gateway_name, state.value), gateway.state is state)
        yield states
        yield _gauges(
            "strategies", "How many strategies are in the state.", "state",
            {state.value: self._strategies.get(state, 0) for state in StrategyState if state != "REMOVED"},
        )  # fmt: skip
        yield _gauge("unknown_orders", "Orders sent whose outcome nobody has told.", self._status.unknown_orders)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=(label,))
    for each, value in values.items():
        family.add_metric((each,), value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=(label,))
    for each, value in values.items():
        family.add_metric((each,), value)
    return family
