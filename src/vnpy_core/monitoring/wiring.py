"""What watches a started service: who tells metrics of it, and the vigil over its threads."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from vnpy_core.monitoring.metrics import (
    disk_metrics,
    engine_metrics,
    gateway_metrics,
    order_metrics,
    pipeline_metrics,
    process_metrics,
    status_metrics,
    strategy_metrics,
    thread_metrics,
    websocket_metrics,
)
from vnpy_core.monitoring.tracing import OrderTraces
from vnpy_core.monitoring.vigil import Vigil

if TYPE_CHECKING:
    from vnpy_core.models import Alert
    from vnpy_core.monitoring.health import Health
    from vnpy_core.monitoring.loop_watch import LoopWatch
    from vnpy_core.monitoring.supervisor import Supervisor
    from vnpy_core.service import VnPyCoreService
    from vnpy_core.stages import Stages


def add_metrics(service: "VnPyCoreService", health: "Health", loop_watch: "LoopWatch", vigil: Vigil) -> None:
    """Let ``service.metrics`` ask every part from now on."""
    add = service.metrics.add
    add("status", lambda: status_metrics(health.status()))
    add("strategies", lambda: strategy_metrics(service.strategies.list()))
    add("event engine", lambda: engine_metrics(service.host.event_engine))
    add("pipeline", lambda: pipeline_metrics(service.pipeline))
    add("orders", lambda: order_metrics(service.orders.journeys))
    add("gateways", lambda: gateway_metrics(service.config.gateways, service.life))
    add("websocket", lambda: websocket_metrics(service.hub))
    add("disk", lambda: disk_metrics(service.config.data_dir))
    add("threads", lambda: thread_metrics(vigil.stalls, service.host.event_engine.stalled_s, loop_watch.lag_seconds))
    add("process", process_metrics)
    add("alerts", service.probes.collect)


def keep_vigil(service: "VnPyCoreService", loop_watch: "LoopWatch", supervisor: "Supervisor") -> Vigil:
    """Watch the loop that this is called on, and the event thread, from now on."""
    loop = asyncio.get_running_loop()

    def emit(alert: "Alert") -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(service.pipeline.emit, alert)

    vigil = Vigil(
        service.host.event_engine,
        loop_watch,
        emit,
        stalled_after_s=service.config.monitoring.stalled_after_s,
        alive=supervisor.alive,
        beat_s=supervisor.watchdog_s / 3 or None,
    )
    vigil.start()
    return vigil


def trace_orders(service: "VnPyCoreService", stages: "Stages") -> None:
    """Have the traces of orders made and sent, if there is anywhere to send them."""
    if service.tracing is None:
        return
    traces, loop = OrderTraces(service.tracing), asyncio.get_running_loop()

    def on_passed(seq: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(traces.rows_upto, seq)

    async def close() -> None:
        traces.close()

    service.orders.journeys.observer = traces
    service.recorder.follow(on_passed)
    stages.at_stop("traces of orders", close)
