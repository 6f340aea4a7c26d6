"""Health: is the service alive, is it ready, and everything an operator looks at first."""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from vnpy_core import __version__
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.data.lease import DatabaseLease
from vnpy_core.engine.event_watch import occupation_of
from vnpy_core.engine.packages import installed_versions
from vnpy_core.enums import GatewayState
from vnpy_core.errors import CoreError
from vnpy_core.models import Alert, GatewayStatus, now_timestamp
from vnpy_core.monitoring.loop_watch import LoopWatch
from vnpy_core.monitoring.vigil import holder_of
from vnpy_core.reports import (
    BridgeStatus,
    Dependency,
    EventEngineStatus,
    JournalStatus,
    Liveness,
    Readiness,
    SinkStatus,
    SystemStatus,
)
from vnpy_core.trading.reconciliation import Reconciliation

if TYPE_CHECKING:
    from vnpy_core.service import VnPyCoreService

_LOOK_EVERY_S = 1.0
_ASK_DATABASE_EVERY = 5  # looks


class Sink(Protocol):
    """What the facts are copied to, as far as it is reported."""

    @property
    def position(self) -> int: ...
    @property
    def lag(self) -> int: ...
    @property
    def healthy(self) -> bool: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def since(self) -> str: ...
    @property
    def dead_letters(self) -> int: ...


class HoldOrders(Protocol):
    def __call__(self, reason: str | None, *, by: str) -> None: ...


def guard_journal(pipeline: Pipeline, hold_orders: HoldOrders) -> None:
    """Let nothing new go out while nobody could be told of it; what is out already goes on being taken note of.

    The alert is a fact: it is shown with those that waited, once the journal is written again.
    """

    def on_health(detail: str | None) -> None:
        hold_orders(detail, by="journal")
        summary = f"New orders are refused: {detail}" if detail else "The journal is written again"
        pipeline.emit(
            Alert(
                alert_id="journal", severity="critical", summary=summary, datetime=now_timestamp(),
                resolved=detail is None,
            )
        )  # fmt: skip

    pipeline.on_health = on_health


def guard_database(lease: DatabaseLease, pipeline: Pipeline, hold_orders: HoldOrders) -> None:
    """Let nothing new go out while another service is known to work with the database: it runs the same strategies."""

    def on_obstacle(obstacle: str | None) -> None:
        hold_orders(obstacle, by="database")
        summary = f"New orders are refused: {obstacle}" if obstacle else "No other service works with the database"
        pipeline.emit(
            Alert(
                alert_id="database_lease", severity="critical", summary=summary, datetime=now_timestamp(),
                resolved=obstacle is None,
            )
        )  # fmt: skip

    lease.on_obstacle = on_obstacle
    if lease.obstacle is not None:
        on_obstacle(lease.obstacle)


def gateway_dependency(status: GatewayStatus, compared: Reconciliation, wanted: bool) -> Dependency:
    """Return how a gateway is: DOWN if it is not connected and should be, DEGRADED while it takes no orders."""
    name = f"gateway.{status.gateway_name}"
    if status.state is not GatewayState.CONNECTED:
        why = f"{status.state}: {status.detail or 'not connected'}"
        return Dependency(name=name, state="DOWN" if wanted else "DEGRADED", needed=False, detail=why)
    if compared.holds:
        why = f"reconciling: {compared.detail or 'the venue has not told everything yet'}"
        return Dependency(name=name, state="DEGRADED", needed=False, detail=why)
    return Dependency(name=name, state="UP", needed=False)


class Reported(Protocol):
    """What says itself whether it is well."""

    @property
    def healthy(self) -> bool: ...
    @property
    def detail(self) -> str | None: ...


def _optional(name: str, reported: Reported) -> Dependency:
    return Dependency(
        name=name, needed=False, state="UP" if reported.healthy else "DEGRADED", detail=reported.detail
    )


def summary_of(readiness: Readiness) -> str:
    """Return in one line whether it is ready, and what is not as it should be."""
    wrong = [f"{each.name} {each.state}" for each in readiness.dependencies if each.state != "UP"]
    return f"{'Ready' if readiness.ready else 'Not ready'}{': ' if wrong else ''}{', '.join(wrong)}"


class Health:
    """Reads what the parts of a started service say of themselves; changes nothing. Loop only."""

    def __init__(self, service: "VnPyCoreService", loop_watch: LoopWatch) -> None:
        self._service = service
        self._loop_watch = loop_watch
        self._stalled_after_s = service.config.monitoring.stalled_after_s
        self._states: dict[str, tuple[str, str]] = {}
        self._began = time.monotonic()
        self._versions = {name: number for name, number in installed_versions().items() if name != "python"}

    def liveness(self) -> Liveness:
        engine = self._service.host.event_engine
        runs, stalled_s = engine.is_alive(), engine.stalled_s
        stalled = stalled_s > self._stalled_after_s
        detail = None
        if not runs:
            detail = "The event thread has ended. Start the service again."
        elif stalled:
            holder = holder_of(occupation_of(engine))
            detail = f"The event thread has made no progress for {stalled_s:.0f} s: {holder}."
        return Liveness(
            alive=runs and not stalled,
            event_thread=runs and not stalled,
            loop_lag_ms=self._loop_watch.lag_ms,
            detail=detail,
        )

    def is_ready(self) -> bool:
        """Tell whether orders can be taken; without asking anything that might not answer."""
        service = self._service
        able = service.is_running and service.life.is_settled
        return able and all(dependency.state != "DOWN" for dependency in self._needed())

    async def readiness(self) -> Readiness:
        """``ready`` when orders can be taken: event thread and journal work, and the gateways that are connected at the
        start have been reconciled. What can catch up is DEGRADED."""
        dependencies = self._with_since([*self._needed(), await self._database(), *self._others()])
        return Readiness(ready=self.is_ready(), dependencies=dependencies)

    async def follow(self, tell: Callable[[str], None] = lambda summary: None) -> None:
        """Look all the time how everything is, so that it is known since when; ``tell`` gets it in one line."""
        for number in itertools.count():
            dependencies = [*self._needed(), *self._others()]
            if number % _ASK_DATABASE_EVERY == 0:
                dependencies.append(await self._database())
            self._with_since(dependencies)
            tell(summary_of(Readiness(ready=self.is_ready(), dependencies=dependencies)))
            await asyncio.sleep(_LOOK_EVERY_S)

    def _others(self) -> Iterator[Dependency]:
        """Yield what orders do not need."""
        service = self._service
        for name, sink in service.sinks.items():
            yield _optional(f"sink.{name}", sink)
        yield _optional("history", service.history_recorder)
        yield _optional("bus", service.bus)
        yield _optional("registry", service.registry)
        compared = {each.gateway_name: each for each in service.life.reconciler.states()}
        for status in service.host.gateways.statuses():
            wanted = service.life.is_wanted(status.gateway_name)
            yield gateway_dependency(status, compared[status.gateway_name], wanted)

    def _with_since(self, dependencies: Sequence[Dependency]) -> list[Dependency]:
        told = []
        for each in dependencies:
            state, since = self._states.get(each.name, ("", ""))
            if state != each.state:
                since = now_timestamp()
                self._states[each.name] = each.state, since
            told.append(msgspec.structs.replace(each, since=since))
        return told

    def status(self) -> SystemStatus:
        service = self._service
        stats = service.host.stats()
        bridge = service.host.bridge.stats()
        return SystemStatus(
            service="vnpy-core",
            version=__version__,
            started=service.started or "",
            uptime_s=round(time.monotonic() - self._began, 3),
            pid=os.getpid(),
            python=installed_versions()["python"],
            timezone=service.config.timezone,
            ready=self.is_ready(),
            versions=self._versions,
            engines=list(service.host.engine_names),
            gateways=service.host.gateways.statuses(),
            event_engine=EventEngineStatus(
                running=stats.running,
                queue_depth=stats.queue_depth,
                processed=stats.processed,
                lag_p50_ms=stats.lag_p50_ms,
                lag_p99_ms=stats.lag_p99_ms,
                lag_max_ms=stats.lag_max_ms,
                handler_ms=stats.handler_ms,
                errors=stats.errors,
                errors_by_handler=stats.errors_by_handler,
                high_water_reached=stats.high_water_reached,
            ),
            bridge=BridgeStatus(
                buffered=bridge.buffered, translated=bridge.translated, ticks_dropped=bridge.ticks_dropped
            ),
            journal=JournalStatus(
                first_seq=service.journal.first_seq,
                last_seq=service.journal.last_seq,
                pending=service.pipeline.pending,
                healthy=service.pipeline.healthy,
                detail=service.pipeline.detail,
            ),
            sinks=[
                SinkStatus(
                    name=name,
                    position=sink.position,
                    lag=sink.lag,
                    healthy=sink.healthy,
                    detail=sink.detail,
                    since=sink.since,
                    dead_letters=sink.dead_letters,
                )
                for name, sink in service.sinks.items()
            ],
            history=service.history_recorder.status(),
            sessions=service.hub.statuses(),
            bus=service.bus.status(),
            unknown_orders=len(service.orders.unknown),
        )

    def _needed(self) -> tuple[Dependency, ...]:
        return self._event_engine(), self._journal(), self._lease()

    def _event_engine(self) -> Dependency:
        liveness = self.liveness()
        return Dependency(name="event_engine", state="UP" if liveness.alive else "DOWN", detail=liveness.detail)

    def _journal(self) -> Dependency:
        pipeline = self._service.pipeline
        return Dependency(name="journal", state="UP" if pipeline.healthy else "DOWN", detail=pipeline.detail)

    def _lease(self) -> Dependency:
        obstacle = self._service.lease.obstacle
        return Dependency(name="database_lease", state="UP" if obstacle is None else "DOWN", detail=obstacle)

    async def _database(self) -> Dependency:
        """Facts wait in the journal while it is down; only what changes strategies needs it at once."""
        try:
            await self._service.database.ping()
        except CoreError as error:
            return Dependency(name="database", state="DOWN", needed=False, detail=error.detail)
        return Dependency(name="database", state="UP", needed=False)
