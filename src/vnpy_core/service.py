"""VnPyCoreService: the composition root; builds, starts and stops everything, in the order the design names."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from vnpy_core.bus.hub import WebSocketHub
from vnpy_core.bus.message_bus import MessageBus
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.bus.registry import ServiceRegistry
from vnpy_core.bus.registry_entry import open_registry
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.cache.adapters import open_cache_writer
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.cache.writer import CacheWriter
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.downloads import Downloads
from vnpy_core.data.fact_queries import FactQueries
from vnpy_core.data.gateway_settings import GatewaySettingRepository
from vnpy_core.data.history.factory import open_history_store
from vnpy_core.data.journal import Journal
from vnpy_core.data.lease import DatabaseLease
from vnpy_core.data.opening import open_database
from vnpy_core.data.past import PastFacts
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.recorder import SINK, RecorderThread
from vnpy_core.data.strategy_positions import TradedPositions
from vnpy_core.data.strategy_variables import SavedVariables
from vnpy_core.data.tick_recorder import HistoryRecorder
from vnpy_core.engine import runtime
from vnpy_core.enums import ServiceStatus
from vnpy_core.errors import CoreError
from vnpy_core.models import RiskRule, now_timestamp, to_timestamp
from vnpy_core.monitoring.alerts.administration import AlertAdministration
from vnpy_core.monitoring.alerts.desk import AlertDesk
from vnpy_core.monitoring.alerts.probes import Probes
from vnpy_core.monitoring.health import Health, Sink, guard_database, guard_journal
from vnpy_core.monitoring.loop_watch import LoopWatch
from vnpy_core.monitoring.registry import MetricsRegistry
from vnpy_core.monitoring.supervisor import Supervisor
from vnpy_core.monitoring.tracing import Tracing
from vnpy_core.monitoring.vigil import Vigil
from vnpy_core.monitoring.wiring import add_metrics, keep_vigil, trace_orders
from vnpy_core.ports import HistoryStore
from vnpy_core.reports import Liveness, Readiness, SystemStatus
from vnpy_core.routers.commands import CommandDesk
from vnpy_core.security.access import AccessControl
from vnpy_core.stages import Stages
from vnpy_core.strategies.code_store import CodeStore, open_code_store
from vnpy_core.strategies.demo import add_demo
from vnpy_core.strategies.desk import StrategyDesk
from vnpy_core.strategies.host import ENGINE_NAME
from vnpy_core.strategies.life import StrategyLife
from vnpy_core.strategies.manager import RedFireStrategyManager
from vnpy_core.strategies.opening import Reports, open_reports
from vnpy_core.strategies.reload import StrategyReload
from vnpy_core.trading.amendments import Amendments
from vnpy_core.trading.checks import PreTradeChecks
from vnpy_core.trading.closed_days import ClosedDays
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.gateway_life import GatewayLife
from vnpy_core.trading.gateway_settings import GivenSettings
from vnpy_core.trading.gateways import GatewayService
from vnpy_core.trading.idempotency import IdempotencyKeys
from vnpy_core.trading.leftovers import ends_of_leftovers
from vnpy_core.trading.orders import OrderService
from vnpy_core.trading.risk_desk import open_risk

if TYPE_CHECKING:
    from vnpy_core.engine.host import EngineHost

logger = logging.getLogger(__name__)

GATEWAY_WAIT_S = 10.0
PRUNE_INTERVAL_S = 3600.0


class VnPyCoreService:
    """The whole service in one process. ``start`` and ``stop`` once each, on the loop.

    The data folder must be held (``runtime.DataDirLock``) by whoever starts a service on it. ``port`` is where it is
    listened for requests, if that is not the configured one.
    """

    host: "EngineHost"
    journal: Journal
    read_model: ReadModel
    pipeline: Pipeline
    database: DatabaseManager
    lease: DatabaseLease
    recorder: RecorderThread
    history: HistoryStore
    history_recorder: HistoryRecorder
    cache: CacheWriter | None
    data: VnPyDataAdapter
    past: PastFacts
    downloads: Downloads
    hub: WebSocketHub
    bus: MessageBus
    orders: OrderService
    amendments: Amendments
    idempotency: IdempotencyKeys
    gateways: GatewayService
    given_settings: GivenSettings
    life: GatewayLife
    strategies: RedFireStrategyManager
    strategy_life: StrategyLife
    strategy_desk: StrategyDesk
    saved_variables: SavedVariables
    code: CodeStore
    reports: Reports
    strategy_reload: StrategyReload
    registry: ServiceRegistry
    access: AccessControl
    alert_desk: AlertDesk
    alerts: AlertAdministration
    probes: Probes

    def __init__(
        self,
        config: VnPyCoreConfig,
        *,
        port: int | None = None,
        on_stage: Callable[[str], None] | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self.config = config
        self._port = config.service.port if port is None else port
        self.started: str | None = None
        self.sinks: dict[str, Sink] = {}
        self.metrics = MetricsRegistry()
        self._on_stage = on_stage or (lambda name: None)
        self._stages = Stages()
        self._leaving = self._stopping = False
        self._loop_watch = LoopWatch()
        self._supervisor = supervisor or Supervisor(None)
        self._vigil: Vigil | None = None
        self.tracing: Tracing | None = None
        self._health = Health(self, self._loop_watch)

    async def start(self) -> None:
        """Bring up every part; if one cannot start, those before it are stopped again and its error is raised."""
        try:
            await self._build(self._stages)
        except BaseException:
            await self._stages.close()
            raise
        self.started = now_timestamp()
        self._vigil = keep_vigil(self, self._loop_watch, self._supervisor)
        add_metrics(self, self._health, self._loop_watch, self._vigil)
        self.registry.notify()
        self._on_stage("ready")

    def announce_stop(self) -> None:
        """Tell the other services that this one is about to stop; it goes on as before."""
        self._leaving = True
        self.registry.notify()

    async def stop(self) -> None:
        """Stop in the reverse order, each stage within its time; nothing that was shown is lost."""
        if self._stopping:
            return
        self._stopping = True
        if self._vigil is not None:
            self._vigil.rest()
        await self._stages.close()
        if self._vigil is not None:
            self._vigil.close()
        logger.info("Stopped")

    async def _build(self, stages: Stages) -> None:
        config = self.config
        if config.tracing.endpoint is not None:
            self.tracing = Tracing(config.tracing, f"{config.service.host}:{self._port}")
            stages.at_stop("tracing", self.tracing.close)
        self.registry = open_registry(config, self._port, self._registry_status)
        self._on_stage("journal")
        self.journal = Journal(config.data_dir / "journal.db", config.journal.synchronous)
        await self.journal.open()
        stages.at_stop("journal", self.journal.close)

        self._on_stage("database")
        self.database = DatabaseManager.configured(config)
        stages.at_stop("database", self.database.close)
        self.lease = DatabaseLease.configured(config, self.database, self.journal.identity)
        stages.at_stop("lease on the database", self.lease.release)
        strategy_store = await open_database(config, self.database, self.lease)
        stages.own_task(self.lease.keep(), "lease on the database")
        self.code = await open_code_store(config, self.database)
        self.recorder = RecorderThread(self.journal, self.database, guard=self.lease.require)
        stages.at_stop("recorder", self.recorder.stop)
        await self.recorder.start()
        self.sinks["sql"] = self.recorder

        self._on_stage("history")
        self.history = await asyncio.to_thread(open_history_store, config)
        stages.at_stop("history", lambda: asyncio.to_thread(self.history.close))
        self.history_recorder = HistoryRecorder(
            self.history, config.history, config.history.spool_path or config.data_dir / "spool",
            is_live=lambda gateway_name: not self.host.gateways.replays(gateway_name),
        )  # fmt: skip
        await self.history_recorder.start()
        stages.at_stop("history recorder", self.history_recorder.stop)

        self.bus = MessageBus(self.journal, config.bus)
        await self.bus.start()
        stages.at_stop("bus", self.bus.stop)
        if self.bus.sink is not None:
            self.sinks["bus"] = self.bus.sink

        self._on_stage("read model")
        self.read_model = ReadModel()
        intents = await self.read_model.restore(self.journal)
        rules = [event.data for event in self.read_model.risk_rules.values() if isinstance(event.data, RiskRule)]
        for gone in {event.data.key for event in self.read_model.gateways.values()} - config.gateways.keys():
            self.read_model.gateways.remove(gone)
        self.past = PastFacts(FactQueries(self.database, SINK), self.read_model, self.journal)
        self.cache = open_cache_writer(config.cache, self.journal, self.read_model)
        if self.cache is not None:
            await self.cache.start()
            stages.at_stop("cache", self.cache.stop)
            self.sinks["cache"] = self.cache
        self.data = VnPyDataAdapter(self.history, LatestState(self.read_model, self.cache))
        stages.at_stop("data adapter", self.data.close)
        self.hub = WebSocketHub(self.read_model, config.websocket, self.journal)
        stages.at_stop("sessions", self.hub.close)
        self.pipeline = Pipeline(self.journal, self.read_model)
        stages.at_stop("pipeline", self.pipeline.close)
        self.pipeline.on_written = self.recorder.notify
        for subscriber in (self.hub.publish, self.history_recorder.on_events, self.bus.on_events):
            self.pipeline.subscribe(subscriber)
        if self.cache is not None:
            self.pipeline.subscribe(self.cache.on_events)
        self.reports = open_reports(
            config, stages, self.database, self.journal, self.read_model, self.pipeline, self.history, self.data,
            self.past,
        )  # fmt: skip
        for fact in ends_of_leftovers(self.read_model):
            self.pipeline.emit(fact)
        self.alert_desk = AlertDesk(
            config.alerts, self.pipeline, self.read_model.alerts, gateways=config.gateways,
            zone=ZoneInfo(config.timezone),
        )  # fmt: skip
        stages.at_stop("alerts", self.alert_desk.close)
        await self.alert_desk.open(self.journal)
        self.alerts = AlertAdministration(self.alert_desk)
        self.access = await AccessControl.opened(config, self.database, self.pipeline.emit_in_company)
        stages.at_stop("access", self.access.close)

        self._on_stage("engines")
        building = asyncio.create_task(asyncio.to_thread(self._build_host), name="build engines")
        stages.at_stop("engines", lambda: self._close_host(building), config.service.shutdown_timeout_s)
        host = self.host = await asyncio.shield(building)
        host.attach(asyncio.get_running_loop(), self.pipeline.accept)
        host.main_engine.on_notification = self.alert_desk.messages.offer_threadsafe
        guard_journal(self.pipeline, host.hold_orders)
        guard_database(self.lease, self.pipeline, host.hold_orders)
        self.downloads = Downloads(host.downloads, config.engine.download_timeout_s)
        stages.at_stop("downloads", self.downloads.close)
        event_thread = EventThread(host.submit, config.service.command_timeout_s)
        self.orders = OrderService(
            host.commands, host.submit, self.pipeline, self.read_model, timeout_s=config.service.command_timeout_s,
            client_order_ids=host.bridge.client_order_ids, replaces=host.bridge.replaces,
            checks=PreTradeChecks(self.read_model),
        )  # fmt: skip
        self.amendments = Amendments(
            self.orders, self.pipeline, self.read_model.orders, timeout_s=config.service.amend_timeout_s
        )
        trace_orders(self, stages)
        stages.at_stop("orders", self.orders.close)
        stages.at_stop("amendments", self.amendments.close)
        await self.orders.resolve_at_start(intents)
        keep = timedelta(hours=config.service.idempotency_keep_h)
        self.idempotency = IdempotencyKeys(self.pipeline, self.journal, self.orders.book, keep=keep)
        await self.idempotency.restore(intents)

        self.strategies = RedFireStrategyManager(
            host.strategy_hosts, host.submit, strategy_store, self.pipeline, self.read_model,
            timeout_s=config.service.command_timeout_s,
        )  # fmt: skip
        closed_days = ClosedDays()
        self.risk, self.algos, self.kill_switch = await open_risk(
            config.risk, host, event_thread, self.pipeline, self.read_model, self.orders, self.strategies,
            closed_days, ZoneInfo(config.timezone), rules,
        )  # fmt: skip
        self.saved_variables = SavedVariables(self.database, self.journal)
        self.strategy_life = StrategyLife(
            config.strategies, host.strategy_hosts, host.cta, event_thread, self.saved_variables, self.pipeline,
            self.read_model,
        )  # fmt: skip
        self.strategy_desk = StrategyDesk(
            self.strategies, host.cta, self.saved_variables, self.strategy_life.alerts,
            TradedPositions(self.database, ENGINE_NAME), self.recorder,
            check_positions=config.strategies.check_positions,
        )  # fmt: skip
        watch = host.watch_callbacks(asyncio.get_running_loop(), self.strategy_life.alerts.on_slow)
        stages.at_stop("event watch", lambda: asyncio.to_thread(watch.stop))
        await self.strategy_life.give_back()
        self.code.attach(host.strategy_code, self.strategies.list)
        self.strategy_reload = StrategyReload(self.strategies.table, host.strategy_code)
        # Before the gateways connect: they tell again which orders work and what was filled.
        await self.strategies.load_strategies_from_db()

        self._on_stage("gateways")
        self.given_settings = GivenSettings(
            GatewaySettingRepository(self.database), self.access.keys, self.pipeline, self.read_model.alerts,
            None if self.database.dialect == "sqlite" else config.data_dir / "gateway_settings.json",
        )  # fmt: skip
        await self.given_settings.open()
        stages.at_stop("gateway settings", self.given_settings.close)
        self.gateways = GatewayService(
            host.gateways,
            host.commands,
            event_thread,
            self.pipeline,
            self.read_model,
            given=self.given_settings,
            remembered=config.data_dir / "subscriptions.json",
        )
        stages.at_stop("subscriptions", self.gateways.close)
        self.life = GatewayLife(
            config.gateways, host.gateways, self.gateways, self.orders, event_thread, self.pipeline, self.read_model,
            config.data_dir, closed_days,
        )  # fmt: skip
        stages.at_stop("reconciliation", self.life.close)
        await self.life.open()
        for name in config.gateways:
            if self.life.is_wanted(name):
                await self.gateways.connect_at_start(name)

        self._on_stage("strategies")
        stages.at_stop("strategies", self.strategies.close)
        self._bringing_up = stages.own_task(self._bring_up(), "bring up strategies")
        stages.own_task(self.gateways.watch(), "gateway watch")
        stages.own_task(self._housekeeping(), "housekeeping")
        stages.own_task(self._loop_watch.run(), "loop watch")
        stages.own_task(self._health.follow(self._supervisor.status), "health watch")
        self.probes = Probes(self)
        stages.own_task(self.probes.run(), "probes")
        stages.own_task(self.alert_desk.run(self.metrics.snapshot), "alerts")

        if config.bus.commands == "on":
            desk = CommandDesk(self, self.pipeline, config.bus)
            await desk.restore(self.journal)
            await self.bus.serve(desk)
            stages.at_stop("commands of the bus", self.bus.stop_serving)

        self._on_stage("registry")
        await self.registry.start()
        stages.at_stop("registry", self.registry.stop)

    def _build_host(self) -> "EngineHost":
        """vn.py may be imported only once its folder and time zone are set: hence the import in here."""
        runtime.prepare(self.config)
        from vnpy_core.engine.host import EngineHost

        host = EngineHost(self.config, self.history)
        host.build()
        return host

    async def _close_host(self, building: "asyncio.Task[EngineHost]") -> None:
        """End the engines; if the start was broken off while they were built, once they are."""
        await asyncio.wait({building})
        if building.exception() is not None:
            return
        host = building.result()
        try:
            await asyncio.to_thread(host.close)
        finally:
            host.bridge.detach()  # what they have told to their end, before the pipeline is closed

    async def settled(self) -> None:
        """Wait until the gateways are connected or have failed, and so have the strategies that are to run."""
        await self.life.settled()
        await asyncio.shield(self._bringing_up)
        await self.strategies.settled()

    async def status(self) -> SystemStatus:
        return self._health.status()

    def liveness(self) -> Liveness:
        return self._health.liveness()

    async def readiness(self) -> Readiness:
        return await self._health.readiness()

    def _registry_status(self) -> ServiceStatus:
        if self._leaving or self._stopping:
            return ServiceStatus.STOPPING
        if self.started is None or not self.life.is_settled:
            return ServiceStatus.STARTING
        return ServiceStatus.HEALTHY if self._health.is_ready() else ServiceStatus.UNHEALTHY

    @property
    def is_running(self) -> bool:
        return self.started is not None and not self._stopping

    async def _bring_up(self) -> None:
        """Bring strategies to what they are to do, with their gateways there if these come in time: history and
        contracts come from them."""
        await self.life.settle_at_start(GATEWAY_WAIT_S)
        self.registry.notify()
        await self.strategies.restore()
        await self.strategies.settled()
        await self.strategy_life.end_rest(self.strategies.list())
        if self.config.demo and not self.strategies.list():
            await add_demo(self.strategies, self.config.gateways)

    async def _housekeeping(self) -> None:
        """Remove from the journal what is older than clients may resume from."""
        while True:
            before = datetime.now(UTC) - timedelta(days=self.config.journal.retention_days)
            try:
                removed = await self.journal.prune(to_timestamp(before), self.journal.last_seq)
                if removed:
                    logger.info("Removed %d facts from the journal", removed)
            except CoreError as error:
                logger.warning("The journal was not pruned: %s", error.detail)
            try:
                await self.strategy_life.prune()
            except CoreError as error:
                logger.warning("The saved variables were not pruned: %s", error.detail)
            await asyncio.sleep(PRUNE_INTERVAL_S)
