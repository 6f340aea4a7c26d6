"""Metrics: what the service's own report says, as the families of the catalogue; read when asked for, never kept."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric

from vnpy_core.bus.hub import WebSocketHub
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.enums import GatewayState, OrderStatus, StrategyState
from vnpy_core.instruments import Histogram, Reading
from vnpy_core.models import GatewayStatus, Strategy
from vnpy_core.monitoring.families import distribution, family, info
from vnpy_core.reports import EventEngineStatus, SinkStatus, SystemStatus
from vnpy_core.trading.gateway_life import GatewayLife
from vnpy_core.trading.order_journeys import OrderJourneys

_PROCESS = ProcessCollector(registry=CollectorRegistry())  # reads /proc when it is asked


class Timed(Protocol):
    """The event engine, as far as it measures."""

    def lag_seconds(self) -> Reading: ...
    def handler_seconds(self) -> Reading: ...


def process_metrics() -> Iterable[Metric]:
    """Return what the system knows of the process; nothing where there is no /proc."""
    return _PROCESS.collect()


def status_metrics(status: SystemStatus) -> Iterator[Metric]:
    """Yield what ``status`` says."""
    yield info("build", {"version": status.version, "vnpy": status.versions.get("vnpy", "")})
    yield family("ready", status.ready)
    yield from _journal(status)
    yield from _sinks(status.sinks)
    yield from _event_engine(status.event_engine)
    yield from _edges(status)
    yield from _gateways(status.gateways)
    yield family("unknown_orders", status.unknown_orders)


def strategy_metrics(strategies: Iterable[Strategy]) -> Iterator[Metric]:
    """Yield how many strategies are in each state."""
    counted = Counter(strategy.state for strategy in strategies)
    yield family("strategies", {state.value: counted[state] for state in StrategyState if state != "REMOVED"})


def engine_metrics(engine: Timed) -> Iterator[Metric]:
    """Yield what the event thread has measured."""
    yield distribution("event_engine_lag_seconds", engine.lag_seconds())
    yield distribution("event_engine_event_seconds", engine.handler_seconds())


def thread_metrics(stalls: Mapping[str, int], stalled_s: float, loop_lag: Histogram) -> Iterator[Metric]:
    """Yield whether the loop and the event thread go on."""
    yield family("stalls", stalls)
    yield family("event_thread_stalled_seconds", stalled_s)
    yield distribution("loop_lag_seconds", loop_lag)


def pipeline_metrics(pipeline: Pipeline) -> Iterator[Metric]:
    """Yield what went to disk and to everyone."""
    yield distribution("journal_commit_seconds", pipeline.commit_seconds)
    yield family("published_events", {kind.topic: count for kind, count in pipeline.published_by_kind.items()})


def order_metrics(journeys: OrderJourneys) -> Iterator[Metric]:
    """Yield what orders became, why others were refused, and how long it took."""
    yield family("orders", {status.value: journeys.states[status] for status in OrderStatus})
    yield family("order_refusals", journeys.refusals)
    yield family("risk_rejections", journeys.rejections)
    yield distribution("order_stage_seconds", journeys.seconds)


def gateway_metrics(names: Iterable[str], life: GatewayLife) -> Iterator[Metric]:
    """Yield what is expected of gateways, and when they were heard of."""
    ages = {name: life.feeds.age_s(name) for name in names}
    yield family("gateway_wanted", {name: life.is_wanted(name) for name in ages})
    yield family("gateway_last_tick_age_seconds", {name: age for name, age in ages.items() if age is not None})


def websocket_metrics(hub: WebSocketHub) -> Iterator[Metric]:
    """Yield what clients of /ws were sent, and how soon."""
    totals, sessions = hub.totals(), hub.statuses()
    yield family("websocket_sessions", len(sessions))
    yield distribution("websocket_send_seconds", hub.send_seconds)
    yield family("websocket_sent_events", totals.events)
    yield family("websocket_sent_bytes", totals.bytes)
    yield family("websocket_conflated_ticks", totals.conflated)
    yield family("websocket_dropped_events", totals.dropped)
    yield family("websocket_ended_slow_sessions", hub.ended_as_too_slow)
    yield family("websocket_queued_events", sum(each.queued_facts + each.queued_market for each in sessions))


def http_metrics(requests: Mapping[Any, int], seconds: Mapping[Any, Reading]) -> Iterator[Metric]:
    """Yield how requests were answered."""
    yield family("http_requests", requests)
    yield distribution("http_request_duration_seconds", seconds)


def disk_metrics(folder: Path) -> Iterator[Metric]:
    """Yield how much room there is where everything is kept."""
    usage = shutil.disk_usage(folder)
    yield family("disk_free_bytes", usage.free)
    yield family("disk_size_bytes", usage.total)


def _journal(status: SystemStatus) -> Iterator[Metric]:
    journal = status.journal
    yield family("journal_last_seq", journal.last_seq)
    yield family("journal_pending_facts", journal.pending)
    yield family("journal_healthy", journal.healthy)


def _sinks(sinks: Iterable[SinkStatus]) -> Iterator[Metric]:
    by_name = {sink.name: sink for sink in sinks}
    yield family("sink_position_seq", {name: sink.position for name, sink in by_name.items()})
    yield family("sink_lag_facts", {name: sink.lag for name, sink in by_name.items()})
    yield family("sink_healthy", {name: sink.healthy for name, sink in by_name.items()})
    yield family("sink_dead_letters", {name: sink.dead_letters for name, sink in by_name.items()})


def _event_engine(engine: EventEngineStatus) -> Iterator[Metric]:
    yield family("event_engine_running", engine.running)
    yield family("event_engine_queued_events", engine.queue_depth)
    yield family("event_engine_processed_events", engine.processed)
    yield family("event_engine_handler_seconds", (engine.handler_ms or 0) / 1000)
    if engine.lag_p99_ms is not None:
        yield family("event_engine_lag_p99_seconds", engine.lag_p99_ms / 1000)
    yield family("event_engine_handler_errors", engine.errors_by_handler)


def _edges(status: SystemStatus) -> Iterator[Metric]:
    bridge, history, bus = status.bridge, status.history, status.bus
    yield family("bridge_buffered_events", bridge.buffered)
    yield family("bridge_dropped_ticks", bridge.ticks_dropped)
    yield family("history_healthy", history.healthy)
    yield family("history_pending_ticks", history.pending)
    yield family("history_spool_bytes", history.spool_bytes)
    yield family("history_dropped_ticks", history.dropped)
    yield family("bus_healthy", bus.healthy)
    yield family("bus_dropped_messages", bus.market_dropped)
    yield family("history_refused_ticks", history.refused)
    yield family("bus_rejected_facts", bus.facts_rejected)


def _gateways(gateways: Iterable[GatewayStatus]) -> Iterator[Metric]:
    states: dict[tuple[str, ...], float] = {
        (each.gateway_name, state.value): each.state is state for each in gateways for state in GatewayState
    }
    yield family("gateway_state", states)
