"""Who tells metrics of a started service."""

from typing import TYPE_CHECKING

from vnpy_core.monitoring.metrics import (
    engine_metrics,
    pipeline_metrics,
    process_metrics,
    status_metrics,
    strategy_metrics,
)

if TYPE_CHECKING:
    from vnpy_core.monitoring.health import Health
    from vnpy_core.service import VnPyCoreService


def add_metrics(service: "VnPyCoreService", health: "Health") -> None:
    """Let ``service.metrics`` ask every part from now on."""
    add = service.metrics.add
    add("status", lambda: status_metrics(health.status()))
    add("strategies", lambda: strategy_metrics(service.strategies.list()))
    add("event engine", lambda: engine_metrics(service.host.event_engine))
    add("pipeline", lambda: pipeline_metrics(service.pipeline))
    add("process", process_metrics)
