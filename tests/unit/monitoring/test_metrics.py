"""The metrics: each number of the status under its name, in its unit, and in the format that was asked for."""

from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from vnpy_core.enums import GatewayState, StrategyState
from vnpy_core.monitoring.metrics import process_metrics, status_metrics, strategy_metrics
from vnpy_core.monitoring.registry import MetricsRegistry
from vnpy_core.reports import SinkStatus, SystemStatus
from vnpy_core.routers import examples


def registry_of(status: SystemStatus, *strategies: Any) -> MetricsRegistry:
    registry = MetricsRegistry()
    registry.add("status", lambda: status_metrics(status))
    registry.add("strategies", lambda: strategy_metrics(strategies))
    registry.add("process", process_metrics)
    return registry


def samples(status: SystemStatus, *strategies: Any) -> dict[str, dict[tuple[str, ...], float]]:
    content, content_type = registry_of(status, *strategies).render()
    assert content_type.startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_the_lag_behind_the_journal_is_told_by_sink() -> None:
    behind = SinkStatus(name="sql", position=1000, lag=42, healthy=False, detail="gone", dead_letters=3)
    level = SinkStatus(name="cache", position=1042, lag=0, healthy=True)
    told = samples(msgspec.structs.replace(examples.SYSTEM, sinks=[behind, level]))
    assert told["vnpy_core_sink_lag_facts"] == {("sql",): 42, ("cache",): 0}
    assert told["vnpy_core_sink_position_seq"] == {("sql",): 1000, ("cache",): 1042}
    assert told["vnpy_core_sink_healthy"] == {("sql",): 0, ("cache",): 1}
    assert told["vnpy_core_sink_dead_letters_total"] == {("sql",): 3, ("cache",): 0}
    assert told["vnpy_core_journal_last_seq"] == {(): 1042}


def test_times_are_told_in_seconds_and_errors_by_handler() -> None:
    engine = msgspec.structs.replace(
        examples.SYSTEM.event_engine, lag_p99_ms=250.0, queue_depth=7, errors_by_handler={"A.on_tick": 2}
    )
    told = samples(msgspec.structs.replace(examples.SYSTEM, event_engine=engine))
    assert told["vnpy_core_event_engine_lag_p99_seconds"] == {(): 0.25}
    assert told["vnpy_core_event_engine_queued_events"] == {(): 7}
    assert told["vnpy_core_event_engine_processed_events_total"] == {(): engine.processed}
    assert told["vnpy_core_event_engine_handler_errors_total"] == {("A.on_tick",): 2}
    nothing_measured = msgspec.structs.replace(engine, lag_p99_ms=None)
    told = samples(msgspec.structs.replace(examples.SYSTEM, event_engine=nothing_measured))
    assert "vnpy_core_event_engine_lag_p99_seconds" not in told


def test_a_gateway_is_in_one_state_and_strategies_are_counted() -> None:
    stale = msgspec.structs.replace(examples.GATEWAY, state=GatewayState.STALE)
    failed = msgspec.structs.replace(examples.STRATEGY, state=StrategyState.FAILED)
    told = samples(msgspec.structs.replace(examples.SYSTEM, gateways=[stale]), failed, failed)
    states = told["vnpy_core_gateway_state"]
    assert {state for (_, state), value in states.items() if value} == {"STALE"}
    assert len(states) == len(GatewayState)
    assert told["vnpy_core_strategies"][("FAILED",)] == 2
    assert told["vnpy_core_strategies"][("TRADING",)] == 0


def test_the_process_is_told_of() -> None:
    told = samples(examples.SYSTEM)
    if "process_cpu_seconds_total" not in told:
        pytest.skip("this system has no /proc")
    assert told["process_resident_memory_bytes"][()] > 1_000_000


def test_openmetrics_is_spoken_to_whoever_asks_for_it() -> None:
    content, content_type = registry_of(examples.SYSTEM).render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    families = list(parse_openmetrics(content.decode()))
    names = {family.name for family in families}
    assert {"vnpy_core_sink_lag_facts", "vnpy_core_build", "vnpy_core_bridge_dropped_ticks"} <= names
    assert all(family.documentation for family in families)
