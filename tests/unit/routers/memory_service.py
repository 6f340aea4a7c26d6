"""A service in memory: the real read model, pipeline, order service and hub, over an engine that is made up."""

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
from pydantic import SecretStr
from tests.memory_access import MemoryAccess
from tests.memory_facts import MemoryFacts
from tests.memory_files import LoadedFiles, MemoryStrategyFiles, TextCheck

from vnpy_core.bus.hub import WebSocketHub
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.bus.registry import ServiceRegistry
from vnpy_core.bus.registry_memory import MemoryRegistry
from vnpy_core.config.access_settings import SecuritySettings
from vnpy_core.config.alert_settings import AlertSettings, ChannelSettings
from vnpy_core.config.bus_settings import WebSocketSettings
from vnpy_core.config.performance_settings import PerformanceSettings
from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.data import indicators
from vnpy_core.data.indicators import Indicator
from vnpy_core.data.journal_file import JournalRecord, Latest
from vnpy_core.data.past import PastFacts
from vnpy_core.data.read_model import KEEP_FINAL, ReadModel
from vnpy_core.enums import Exchange, GatewayState, Interval, OrderStatus, ServiceStatus, StrategyState
from vnpy_core.errors import Conflict, CoreError, Invalid, NotFound, StrategyFailed, Unavailable
from vnpy_core.events import Event, decode_fact
from vnpy_core.models import (
    Algo,
    AlgoSpec,
    Bar,
    Contract,
    Download,
    GatewayStatus,
    HistoryOverview,
    Model,
    Order,
    OrderSpec,
    RiskRule,
    Strategy,
    Tick,
    to_timestamp,
)
from vnpy_core.monitoring.alerts.administration import AlertAdministration
from vnpy_core.monitoring.alerts.desk import AlertDesk
from vnpy_core.monitoring.metrics import status_metrics, strategy_metrics
from vnpy_core.monitoring.registry import MetricsRegistry
from vnpy_core.reports import (
    Liveness,
    PositionStanding,
    Readiness,
    SavedState,
    StrategyError,
    StrategyPlan,
    SystemStatus,
)
from vnpy_core.routers import examples, risk_examples, strategy_answers
from vnpy_core.routers.chart import EXAMPLE as CHART
from vnpy_core.routers.reconciliation import DRIFT, EXAMPLE
from vnpy_core.security.access import AccessControl
from vnpy_core.security.identity import acting
from vnpy_core.security.keys import KeyRing
from vnpy_core.strategies.books import Books, TradingDays
from vnpy_core.strategies.chart_reports import Chart
from vnpy_core.strategies.charts import ChartRequest
from vnpy_core.strategies.code_store import CodeStore
from vnpy_core.strategies.performance import StrategyPerformance
from vnpy_core.strategy_files import ClassReload
from vnpy_core.strategy_log import LogLine
from vnpy_core.trading.algos import AlgoService
from vnpy_core.trading.amendments import Amendments
from vnpy_core.trading.calendar import TradingCalendar, Weekdays
from vnpy_core.trading.calendar_day import CalendarDay, describe
from vnpy_core.trading.checks import PreTradeChecks
from vnpy_core.trading.drift_sides import Drift
from vnpy_core.trading.event_thread import EventThread
from vnpy_core.trading.idempotency import IdempotencyKeys
from vnpy_core.trading.kill_switch import KillSwitch
from vnpy_core.trading.orders import OrderService
from vnpy_core.trading.reconciliation import Reconciliation
from vnpy_core.trading.results import GivenSetting
from vnpy_core.trading.risk import RiskService
from vnpy_core.trading.risk_guard import RiskGuard


class MemoryJournal:
    """Numbers facts; ``full`` makes it refuse them."""

    def __init__(self) -> None:
        self.identity = 1
        self.events: list[Event] = []
        self.batches: list[Sequence[Event]] = []
        self.first_seq = 1
        self.full = False

    @property
    def last_seq(self) -> int:
        return len(self.events)

    async def append(self, events: Sequence[Event]) -> None:
        await self.check()
        self.batches.append(events)
        for event in events:
            self.events.append(event)
            event.seq = len(self.events)

    async def check(self) -> None:
        if self.full:
            raise Unavailable("The disk is full.")

    async def latest(self, kind: str, newest: int) -> list[Latest]:
        found: dict[str, Event] = {}
        for event in self.events:
            if event.data.topic == kind:
                found[event.data.key] = event
        return [Latest(event.seq or 0, _record(event)) for event in found.values()]

    async def find(self, kind: str, key: str) -> Latest | None:
        return next((one for one in await self.latest(kind, 1) if _key(one) == key), None)

    async def read(self, after: int, limit: int) -> list[Any]:
        return self.events[after : after + limit]


def _record(event: Event) -> JournalRecord:
    return JournalRecord(event.seq or 0, event.topic, event.ts, event.payload)


def _key(latest: Latest) -> str:
    return decode_fact(latest.record.topic, latest.record.payload).key


class Engine:
    """Takes every order of a symbol it knows, and keeps it until it is cancelled.

    ``failure`` is what every sending raises, ``failures`` what the sending of that number does; ``on_cancel`` takes
    the place of what a cancel does.
    """

    def __init__(self, state: ReadModel, emit: Callable[[Model], None]) -> None:
        self._state = state
        self._emit = emit
        self.failure: BaseException | None = None
        self.failures: dict[int, Exception] = {}
        self.stuck: set[str] = set()
        self.asked = 0
        self.count = 0
        self.sent = asyncio.Event()
        self.cancelled: list[str] = []
        self.on_cancel: Callable[[str], None] | None = None

    def call(self, fn: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn())
        except BaseException as error:  # noqa: BLE001 -- carried to the caller
            future.set_exception(error)
        return future

    def try_order(self, gateway_name: str, spec: OrderSpec) -> None:
        if self.failure is not None:
            raise self.failure

    def send_order(self, gateway_name: str, spec: OrderSpec) -> str:
        self.asked += 1
        if (failure := self.failures.get(self.asked, self.failure)) is not None:
            raise failure
        if self._state.contracts.get(f"{gateway_name}.{spec.vt_symbol}") is None:
            raise NotFound(f"gateway {gateway_name} has no contract {spec.vt_symbol}", code="unknown_contract")
        self.count += 1
        self.sent.set()
        vt_orderid = f"{gateway_name}.{self.count}"
        self._emit(
            Order(
                vt_orderid=vt_orderid, orderid=str(self.count), gateway_name=gateway_name, symbol=spec.symbol,
                exchange=spec.exchange, vt_symbol=spec.vt_symbol, type=spec.type, direction=spec.direction,
                offset=spec.offset, price=spec.price, volume=spec.volume, traded=0.0, status=OrderStatus.NOTTRADED,
                datetime=examples.ORDER.datetime, reference=spec.reference,
            )
        )  # fmt: skip
        return vt_orderid

    def cancel_order(self, vt_orderid: str) -> None:
        if vt_orderid in self.stuck:
            raise Conflict("the exchange is closed", code="gateway_refused")
        self.cancelled.append(vt_orderid)
        if self.on_cancel is not None:
            self.on_cancel(vt_orderid)
            return
        event = self._state.orders.get(vt_orderid)
        if event is None:
            raise NotFound(f"no order {vt_orderid}", code="unknown_order")
        self._emit(msgspec.structs.replace(event.data, status=OrderStatus.CANCELLED))


class Gateways:
    def __init__(self, state: ReadModel, emit: Callable[[Model], None]) -> None:
        self._state = state
        self._emit = emit
        self.setting: Mapping[str, Any] | None = None

    async def connect(self, name: str, setting: Mapping[str, Any] | None = None) -> GatewayStatus:
        self.setting = setting
        return self._become(name, GatewayState.CONNECTING)

    async def disconnect(self, name: str) -> GatewayStatus:
        return self._become(name, GatewayState.DISCONNECTED)

    async def forget_setting(self, name: str) -> None:
        if not self.setting:
            raise NotFound(f"No setting of a gateway {name!r} was given over the API.", code="no_given_setting")
        self.setting = None

    def kept(self) -> Sequence[GivenSetting]:
        names = sorted(self.setting or {})
        return [GivenSetting(gateway_name="SIM", names=names, updated=examples.INTENT.created, readable=True)]

    def _become(self, name: str, state: GatewayState) -> GatewayStatus:
        event = self._state.gateways.get(name)
        if event is None:
            raise NotFound(f"There is no gateway {name!r}.")
        assert isinstance(event.data, GatewayStatus)
        status = msgspec.structs.replace(event.data, state=state)
        self._emit(status)
        return status

    async def subscribe(self, vt_symbols: Sequence[str], gateway_name: str | None = None) -> list[Contract]:
        found = []
        for vt_symbol in vt_symbols:
            event = self._state.contracts.get(f"{gateway_name or 'SIM'}.{vt_symbol}")
            if event is None:
                raise NotFound(f"No contract {vt_symbol!r} is known.", code="unknown_contract")
            assert isinstance(event.data, Contract)
            found.append(event.data)
        return found

    unsubscribe = subscribe


class Reconciler:
    """Has found a difference with SIM, until that is accepted."""

    def __init__(self) -> None:
        self._result = EXAMPLE

    def results(self) -> list[Reconciliation]:
        return [self._result]

    async def accept(self, name: str) -> Reconciliation:
        if name != self._result.gateway_name:
            raise NotFound(f"There is no gateway {name!r}.")
        if not self._result.holds:
            raise Conflict(f"Gateway {name} is not held up by differences.", code="not_different")
        self._result = msgspec.structs.replace(self._result, state="ACCEPTED", holds=False)
        return self._result


class Drifts:
    """Has found one, until that is accepted."""

    def __init__(self) -> None:
        self._result = DRIFT

    def results(self) -> list[Drift]:
        return [self._result]

    async def accept(self, gateway_name: str, vt_symbol: str) -> Drift:
        if (gateway_name, vt_symbol) != (self._result.gateway_name, self._result.vt_symbol):
            raise NotFound(f"Nothing is compared of {vt_symbol} on {gateway_name}.")
        if self._result.state != "DRIFTED":
            raise Conflict(f"No drift of {vt_symbol} on {gateway_name} has been found.", code="not_drifted")
        self._result = msgspec.structs.replace(self._result, state="AGREES", drift=0.0)
        return self._result


class Feeds:
    def __init__(self) -> None:
        self.ages: dict[str, float] = {}

    def age_s(self, name: str) -> float | None:
        return self.ages.get(name)


class Life:
    def __init__(self) -> None:
        self.feeds = Feeds()
        self.reconciler = Reconciler()
        self.drift = Drifts()

    async def calendar_day(self, symbol: str, exchange: Exchange, day: date | None) -> CalendarDay:
        """By weekday, on the Monday of the examples."""
        return describe(TradingCalendar(Weekdays()), symbol, exchange, day, datetime(2026, 1, 5, 1, 30, tzinfo=UTC))


def _require_engine(engine: str | None) -> None:
    if engine not in (None, "CtaStrategy", "PortfolioStrategy"):
        raise NotFound(f"There is no strategy engine {engine!r}.", code="unknown_engine")


class Desk:
    """Does what can be seen of it to the strategies, and has one saved state and one error of each."""

    def __init__(self, strategies: "Strategies") -> None:
        self._strategies = strategies

    async def pause(self, name: str) -> Strategy:
        return self._strategies._keep(msgspec.structs.replace(self._strategies.get(name), paused=True))

    async def resume(self, name: str) -> Strategy:
        return self._strategies._keep(msgspec.structs.replace(self._strategies.get(name), paused=False))

    async def reset(self, name: str, *, zero_pos: bool) -> Strategy:
        strategy = self._strategies.get(name)
        if strategy.trading:
            raise Conflict(f"Strategy {name!r} trades: stop it first.", code="trading")
        pos = 0.0 if zero_pos else strategy.pos
        return self._strategies._keep(msgspec.structs.replace(strategy, state=StrategyState.ADDED, pos=pos))

    async def clone(
        self, name: str, strategy_name: str, vt_symbols: Sequence[str] | None, setting: Mapping[str, Any],
        auto_start: bool,
    ) -> Strategy:  # fmt: skip
        strategy = self._strategies.get(name)
        return await self._strategies.add(
            strategy.class_name, strategy_name, vt_symbols or strategy.symbols, {**strategy.parameters, **setting},
            auto_start, engine=strategy.engine,
        )  # fmt: skip

    async def history(self, name: str, cursor: str | None, limit: int) -> tuple[list[SavedState], str | None]:
        self._strategies.get(name)
        return list(strategy_answers.SAVED_STATES.history) if cursor is None else [], None

    def errors(self, name: str) -> list[StrategyError]:
        self._strategies.get(name)
        return list(strategy_answers.ERRORS.errors)

    async def position(self, name: str) -> PositionStanding:
        self._strategies.get(name)
        return msgspec.structs.replace(strategy_answers.POSITION, strategy_name=name)

    async def accept_position(self, name: str, keep: Literal["pos", "trades"], *, by: str) -> PositionStanding:
        standing = await self.position(name)
        return msgspec.structs.replace(standing, state="AGREES", difference=0.0, set_by=by)


class Strategies:
    """Strategies that do nothing; one of class Broken fails to start."""

    def __init__(self, emit: Callable[[Model], None]) -> None:
        self._emit = emit
        self._strategies: dict[str, Strategy] = {}

    def classes(self, engine: str | None = None) -> Sequence[dict[str, Any]]:
        _require_engine(engine)
        return [msgspec.to_builtins(examples.STRATEGY_CLASS)] if engine in (None, "CtaStrategy") else []

    def broken_files(self) -> Mapping[str, str]:
        return {}

    def class_detail(self, class_name: str, engine: str | None = None) -> dict[str, Any]:
        for described in self.classes(engine):
            if class_name == described["class_name"]:
                return described
        raise NotFound(f"There is no strategy class {class_name!r}.")

    def get(self, name: str) -> Strategy:
        if name not in self._strategies:
            raise NotFound(f"There is no strategy {name!r}.")
        return self._strategies[name]

    async def add(
        self, class_name: str, strategy_name: str, vt_symbols: str | Sequence[str], setting: Mapping[str, Any],
        auto_start: bool = False, *, engine: str = "CtaStrategy",
    ) -> Strategy:
        _require_engine(engine)
        symbols = [vt_symbols] if isinstance(vt_symbols, str) else [*vt_symbols]
        if not symbols or (engine == "CtaStrategy" and len(symbols) > 1):
            raise Invalid("must name one symbol", errors=[{"field": "vt_symbols", "message": "must name one symbol"}])
        if class_name not in ("DoubleMaStrategy", "Broken"):
            raise NotFound(f"There is no strategy class {class_name!r}.")
        if strategy_name in self._strategies:
            raise Conflict(f"There is a strategy {strategy_name!r} already.", code="duplicate_strategy")
        return self._keep(
            msgspec.structs.replace(
                examples.STRATEGY, class_name=class_name, strategy_name=strategy_name, vt_symbol=symbols[0],
                vt_symbols=symbols, engine=engine,
                parameters={**examples.STRATEGY.parameters, **setting}, auto_start=auto_start,
                state=StrategyState.ADDED, inited=False, trading=False, revision=0,
            )
        )  # fmt: skip

    def _keep(self, strategy: Strategy) -> Strategy:
        strategy = msgspec.structs.replace(strategy, revision=strategy.revision + 1)
        self._strategies[strategy.strategy_name] = strategy
        self._emit(strategy)
        return strategy

    def list(self) -> Sequence[Strategy]:
        return tuple(self._strategies.values())

    def plan(self, name: str) -> StrategyPlan:
        found = self.get(name)
        return StrategyPlan(
            strategy_name=name, engine=found.engine, is_active=True, auto_start=found.auto_start,
            desired_state=found.desired_state, version=found.revision, updated_by=acting.get(),
            updated="2026-01-05T01:30:00.000000+00:00",
        )  # fmt: skip

    async def change_plan(
        self, name: str, *, auto_start: bool | None = None, is_active: bool | None = None
    ) -> StrategyPlan:
        found = self.get(name)
        if auto_start is not None:
            self._keep(msgspec.structs.replace(found, auto_start=auto_start))
        return msgspec.structs.replace(self.plan(name), is_active=is_active is not False)

    async def remove(self, name: str) -> None:
        strategy = self.get(name)
        if strategy.trading:
            raise Conflict(f"Strategy {name!r} trades: stop it first.", code="trading")
        self._keep(msgspec.structs.replace(strategy, state=StrategyState.REMOVED))
        del self._strategies[name]

    async def init(self, name: str) -> Strategy:
        return self._keep(msgspec.structs.replace(self.get(name), state=StrategyState.INITED, inited=True))

    async def start(self, name: str) -> Strategy:
        strategy = self.get(name)
        if strategy.class_name == "Broken":
            raise StrategyFailed("on_start of it raised.", traceback="Traceback …\nValueError: broken")
        if not strategy.inited:
            raise Conflict(f"Strategy {name!r} is ADDED: init it first.", code="not_initialised")
        return self._keep(msgspec.structs.replace(strategy, state=StrategyState.TRADING, trading=True))

    async def stop(self, name: str) -> Strategy:
        return self._keep(msgspec.structs.replace(self.get(name), state=StrategyState.INITED, trading=False))

    def parameters(self, name: str) -> Mapping[str, Any]:
        return self.get(name).parameters

    async def set_parameters(self, name: str, partial: Mapping[str, Any]) -> Mapping[str, Any]:
        strategy = self.get(name)
        unknown = [field for field in partial if field not in strategy.parameters]
        if unknown:
            errors = [{"field": field, "message": "unknown parameter"} for field in unknown]
            raise Invalid("The setting is not valid.", errors=errors)
        parameters = {**strategy.parameters, **partial}
        self._keep(msgspec.structs.replace(strategy, parameters=parameters))
        return parameters

    def variables(self, name: str) -> Mapping[str, Any]:
        return self.get(name).variables


class Reload:
    """Replaces nothing; a strategy of class Broken fails."""

    def __init__(self, strategies: Strategies) -> None:
        self._strategies = strategies

    async def strategy(self, name: str) -> Strategy:
        if self._strategies.get(name).class_name == "Broken":
            raise StrategyFailed("Its on_init raised.", traceback="Traceback …\nValueError: broken")
        return self._strategies.get(name)

    async def of_class(self, class_name: str) -> ClassReload:
        self._strategies.class_detail(class_name)
        names = [one.strategy_name for one in self._strategies.list() if one.class_name == class_name]
        return ClassReload(class_name=class_name, module="strategies.it", reloaded=names, failed=[])


class RiskFront:
    """Lets the guard's facts be told."""

    def __init__(self, emit: Callable[[Model], None]) -> None:
        self.guard: RiskGuard | None = None
        self.tell = emit

    def install(self, guard: RiskGuard) -> None:
        self.guard = guard


class Days:
    """It is the same day everywhere, and stays so."""

    def of(self, gateway_name: str) -> str:
        return "2026-01-05"

    def of_all(self) -> str:
        return "2026-01-05"


class RiskEngine:
    """One rule of vn.py's, with one number."""

    def __init__(self, emit: Callable[[Model], None]) -> None:
        self.front = RiskFront(emit)
        self.rule = risk_examples.RULE

    def begin_days(self, today: Callable[[], str]) -> None: ...

    def change_rule(self, rule_name: str, rule_setting: Mapping[str, Any]) -> RiskRule:
        unknown = [name for name in rule_setting if name not in self.rule.parameters]
        if unknown:
            errors = [{"field": name, "message": "unknown parameter"} for name in unknown]
            raise Invalid("The setting is not valid.", errors=errors)
        parameters = {**self.rule.parameters, **rule_setting}
        self.rule = msgspec.structs.replace(self.rule, parameters=parameters)
        return self.rule

    def restore_rules(self, known: Iterable[RiskRule]) -> None:
        pass


class AlgoEngine:
    """Algos that do nothing."""

    def __init__(self) -> None:
        self.running: dict[str, Algo] = {}

    def templates(self) -> Sequence[Mapping[str, Any]]:
        return [msgspec.to_builtins(one) for one in risk_examples.TEMPLATES.templates]

    def reserve_names(self, algo_names: Iterable[str]) -> None:
        pass

    def start(self, spec: AlgoSpec) -> Algo:
        if spec.template != "TwapAlgo":
            raise NotFound(f"There is no algo template {spec.template!r}.")
        name = f"TwapAlgo_{len(self.running) + 1}"
        self.running[name] = msgspec.structs.replace(
            risk_examples.ALGO, algo_name=name, vt_symbol=spec.vt_symbol, direction=spec.direction,
            offset=spec.offset, price=spec.price, volume=spec.volume,
        )  # fmt: skip
        return self.running[name]

    def pause(self, algo_name: str) -> Algo:
        return self._become(algo_name, "PAUSED")

    def resume(self, algo_name: str) -> Algo:
        return self._become(algo_name, "RUNNING")

    def stop(self, algo_name: str) -> Algo:
        return self._become(algo_name, "STOPPED")

    def stop_running(self) -> list[Algo]:
        return [self.stop(name) for name, algo in self.running.items() if not algo.is_final]

    def _become(self, algo_name: str, status: str) -> Algo:
        self.running[algo_name] = msgspec.structs.replace(self.running[algo_name], status=status)
        return self.running[algo_name]


class History:
    """Some bars a minute apart, ticks likewise, and what was asked for."""

    def __init__(self) -> None:
        moments = [f"2026-01-05T01:{minute:02}:00.000000+00:00" for minute in range(30, 40)]
        self._bars = [msgspec.structs.replace(examples.BAR, datetime=moment) for moment in moments]
        self._ticks = [msgspec.structs.replace(examples.TICK, datetime=moment) for moment in moments]
        self.asked: list[Any] = []

    async def bars(
        self, vt_symbol: str, interval: Interval, start: datetime | None, end: datetime | None, limit: int
    ) -> list[Bar]:
        self.asked.append((vt_symbol, interval, start, end, limit))
        return _between(self._bars, start, end)[:limit] if vt_symbol == "rb2501.SHFE" else []

    bars_from_ticks = bars

    async def ticks(
        self, vt_symbol: str, start: datetime | None, end: datetime | None, limit: int
    ) -> list[Tick]:
        self.asked.append((vt_symbol, start, end, limit))
        return _between(self._ticks, start, end)[:limit] if vt_symbol == "rb2501.SHFE" else []

    async def overview(self) -> list[HistoryOverview]:
        return [examples.OVERVIEW]


class Downloads:
    """Notes what was asked for; ``failure`` is raised."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.failure: CoreError | None = None

    async def download(
        self, vt_symbol: str, interval: Interval, start: datetime, end: datetime | None, gateway_name: str | None
    ) -> Download:
        self.asked.append((vt_symbol, interval, start, end, gateway_name))
        if self.failure is not None:
            raise self.failure
        return msgspec.structs.replace(examples.DOWNLOAD, vt_symbol=vt_symbol, interval=interval)


def _between(rows: Iterable[Any], start: datetime | None, end: datetime | None) -> list[Any]:
    first, last = to_timestamp(start) if start else "", to_timestamp(end) if end else "9999"
    return [row for row in rows if first <= row.datetime <= last]


class Logs:
    """Lines of strategies' logs, in memory."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    async def page(
        self,
        strategy_name: str,
        *,
        levels: Collection[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[LogLine]:
        found = [
            line
            for line in reversed(self.lines)
            if line.strategy_name == strategy_name
            and (levels is None or line.level in levels)
            and (start or "") <= line.datetime <= (end or "9999")
            and line.log_id < (before or "g")
        ]
        return found[:limit]


class Charts:
    """Nothing but the example, and the real indicators."""

    def __init__(self) -> None:
        self.asked: list[ChartRequest] = []

    async def catalogue(self) -> list[Indicator]:
        return list(indicators.catalogue().values())

    async def chart(self, request: ChartRequest) -> Chart:
        self.asked.append(request)
        return msgspec.structs.replace(
            CHART, vt_symbol=request.vt_symbol, interval=request.interval, bars=CHART.bars[: request.limit]
        )


class Reports:
    """What tells of strategies."""

    def __init__(self, performance: StrategyPerformance) -> None:
        self.performance = performance
        self.performance.unready = None
        self.logs = Logs()
        self.charts = Charts()


class MemoryService:
    """Everything that the routers ask for."""

    def __init__(
        self,
        keep_final: int = KEEP_FINAL,
        journal: MemoryJournal | None = None,
        security: SecuritySettings | None = None,
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.read_model = ReadModel(keep_final)
        self.facts = MemoryFacts()
        self.past = PastFacts(self.facts, self.read_model, self.journal)
        self.pipeline = Pipeline(self.journal, self.read_model, backoff_s=(0.001, 0.01))
        self.hub = WebSocketHub(self.read_model, WebSocketSettings(batch_interval_ms=0), self.journal)
        self.pipeline.subscribe(self.hub.publish)
        emit = self.pipeline.emit
        self.engine = Engine(self.read_model, emit)
        self.orders = OrderService(
            self.engine, self.engine.call, self.pipeline, self.read_model, timeout_s=1,
            checks=PreTradeChecks(self.read_model),
        )  # fmt: skip
        self.amendments = Amendments(self.orders, self.pipeline, self.read_model.orders, timeout_s=0.2)
        self.idempotency = IdempotencyKeys(self.pipeline, self.journal, self.orders.book)
        self.gateways = Gateways(self.read_model, emit)
        self.given_settings = self.gateways
        self.life = Life()
        self.strategies = Strategies(emit)
        folder = Path(tempfile.mkdtemp(prefix="vnpy-core-test-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.code = CodeStore(
            MemoryStrategyFiles(), TextCheck(), folder=folder, own_folder=folder / "own", may_upload=True
        )
        self.code.attach(LoadedFiles({}), self.strategies.list)
        costs = PerformanceSettings(commission_rate=0.0001)
        books = Books(costs, TradingDays(TradingCalendar(Weekdays()), UTC))
        self.reports = Reports(StrategyPerformance(costs, books))
        self.strategy_reload = Reload(self.strategies)
        self.strategy_desk = Desk(self.strategies)
        event_thread = EventThread(self.engine.call, 1)
        self.algos = AlgoService(AlgoEngine(), event_thread, self.pipeline, self.read_model.algos)
        self.risk_engine = RiskEngine(emit)
        self.risk = RiskService(
            RiskSettings(), self.risk_engine, event_thread, self.pipeline, self.read_model, Days()
        )
        self.kill_switch = KillSwitch(
            self.risk, self.orders, self.strategies, self.algos, self.pipeline, self.read_model, longest_s=1.0
        )
        self.data = History()
        self.downloads = Downloads()
        self.backend = MemoryRegistry()
        self.registry = ServiceRegistry(self.backend, examples.SERVICE, lambda: ServiceStatus.HEALTHY)
        self.live, self.ready = examples.LIVENESS, examples.READINESS
        self.access = AccessControl(security or SECURITY, KeyRing([KEY]), MemoryAccess(), self.pipeline.emit)
        self.alert_desk = AlertDesk(
            AlertSettings(channels={"ops": ChannelSettings(url=SecretStr("json://nowhere"), timeout_s=0.1)}),
            self.pipeline, self.read_model.alerts, gateways=["SIM"], make_sender=lambda settings: lambda message: None,
        )  # fmt: skip
        self.alerts = AlertAdministration(self.alert_desk)
        self.status_error: CoreError | None = None
        self.tracing = None
        self.metrics = MetricsRegistry()
        self.metrics.add("status", lambda: status_metrics(self._status()))
        self.metrics.add("strategies", lambda: strategy_metrics(self._strategies()))

    async def restore(self) -> None:
        """Take up what its journal holds, as after a restart."""
        intents = await self.read_model.restore(self.journal)
        await self.orders.resolve_at_start(intents)
        await self.idempotency.restore(intents)

    async def tell(self, *models: Model) -> None:
        """Have these facts and ticks known."""
        for model in models:
            self.pipeline.emit(model)
        await self.pipeline.drain()

    async def status(self) -> SystemStatus:
        return self._status()

    def _strategies(self) -> list[Strategy]:
        return [each.data for each in self.read_model.strategies.values() if isinstance(each.data, Strategy)]

    def _status(self) -> SystemStatus:
        if self.status_error is not None:
            raise self.status_error
        return msgspec.structs.replace(examples.SYSTEM, sessions=self.hub.statuses())

    def liveness(self) -> Liveness:
        return self.live

    async def readiness(self) -> Readiness:
        return self.ready


def contract(vt_symbol: str, gateway_name: str = "SIM", **changes: Any) -> Contract:
    symbol, _, exchange = vt_symbol.rpartition(".")
    return msgspec.structs.replace(
        examples.CONTRACT, vt_symbol=vt_symbol, symbol=symbol, exchange=Exchange(exchange),
        gateway_name=gateway_name, **changes,
    )  # fmt: skip


KEY = "a key of the tests, and of nothing else"
ADMIN_KEY = "the admin key of the tests, of nothing else"
SECURITY = SecuritySettings(admin_key=SecretStr(ADMIN_KEY), allowed_hosts=("core",), logins_per_minute=100_000)
AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}


class Api:
    """The application, and a client of it."""

    def __init__(self, service: MemoryService, http: httpx.AsyncClient) -> None:
        self.service = service
        self.http = http

    async def get(self, path: str, expect: int = 200, **params: Any) -> Any:
        response = await self.http.get(path, params=params)
        assert response.status_code == expect, response.text
        return response.json()

    async def send(self, method: str, path: str, body: Any = None, expect: int = 200, **params: Any) -> Any:
        response = await self.http.request(method, path, json=body, params=params)
        assert response.status_code == expect, response.text
        return response.json()
