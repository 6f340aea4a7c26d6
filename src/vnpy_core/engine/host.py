"""EngineHost: owns the vn.py engines, their threads, and the only ways in (commands) and out (the bridge)."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from vnpy.trader import datafeed
from vnpy.trader.setting import SETTINGS

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.engine import history_database
from vnpy_core.engine.algo import CoreAlgoApp, CoreAlgoEngine
from vnpy_core.engine.algo_desk import AlgoDesk
from vnpy_core.engine.bridge import Bridge
from vnpy_core.engine.chart import CoreChartApp
from vnpy_core.engine.commands import TradingCommands
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.engine.data import CoreDataApp, CoreDataEngine
from vnpy_core.engine.downloads import HistoryDownloads
from vnpy_core.engine.event_engine import CoreEventEngine, EngineStats
from vnpy_core.engine.event_watch import EventWatch, SlowCallback
from vnpy_core.engine.gateways import GatewayHost
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.portfolio import CorePortfolioApp, CorePortfolioEngine
from vnpy_core.engine.risk import CoreRiskApp, CoreRiskEngine
from vnpy_core.engine.strategy_code import StrategyCode
from vnpy_core.engine.strategy_commands import StrategyCommands
from vnpy_core.events import Event
from vnpy_core.ports import HistoryStore

P = ParamSpec("P")
T = TypeVar("T")

class EngineHost:
    """The engines of one account, built and closed once. ``build`` and ``close`` block; keep them off the loop."""

    event_engine: CoreEventEngine
    main_engine: CoreMainEngine
    commands: TradingCommands
    gateways: GatewayHost
    bridge: Bridge
    cta: CoreCtaEngine
    portfolio: CorePortfolioEngine
    risk: CoreRiskEngine
    algo: CoreAlgoEngine
    algo_desk: AlgoDesk
    downloads: HistoryDownloads
    strategy_code: StrategyCode

    def __init__(self, config: VnPyCoreConfig, history: HistoryStore) -> None:
        self.config = config
        self._history = history

    def build(self) -> None:
        """Create and start every engine. Risk is loaded before whatever sends orders, so that nothing goes past it."""
        engine = self.config.engine
        history_database.install(self._history)
        if not SETTINGS["datafeed.name"] and datafeed.datafeed is None:
            datafeed.datafeed = datafeed.BaseDatafeed()  # what vn.py would make too, after printing that none is set
        self.event_engine = CoreEventEngine(engine.timer_interval_s, high_water=engine.queue_high_water)
        try:
            self._add_engines()
        except BaseException:
            self.event_engine.stop()
            raise

    def _add_engines(self) -> None:
        engine = self.config.engine
        self.bridge = Bridge(self.event_engine, tick_buffer=engine.tick_buffer)
        self.main_engine = CoreMainEngine(self.event_engine)
        self.bridge.sent = self.main_engine.sent
        self.gateways = GatewayHost(self.main_engine, self.event_engine, self.config.gateways)
        self.gateways.load()
        self.risk = self.main_engine.add_core_app(CoreRiskApp, CoreRiskEngine)
        self.cta = self.main_engine.add_core_app(CoreCtaApp, CoreCtaEngine)
        self.portfolio = self.main_engine.add_core_app(CorePortfolioApp, CorePortfolioEngine)
        strategies = self.config.strategies
        for host in self.strategy_hosts:
            host.set_init_workers(engine.init_workers)
            host.tell = self.bridge.tell
            host.save_interval_s = strategies.save_interval_s
            host.cancels_on_failure = strategies.orders_on_failure == "cancel"
        self.event_engine.on_error = self._fail_owner
        self.algo = self.main_engine.add_core_app(CoreAlgoApp, CoreAlgoEngine)
        data = self.main_engine.add_core_app(CoreDataApp, CoreDataEngine)
        self.downloads = HistoryDownloads(self.main_engine, data.database, data.datafeed, self.gateways.replays)
        self.main_engine.add_app(CoreChartApp)
        self.risk.require_in_path()
        self.commands = TradingCommands(self.main_engine)
        for host in self.strategy_hosts:
            host.init_engine()
        self.algo.init_engine()
        self.algo_desk = AlgoDesk(self.algo)
        self.strategy_code = StrategyCode(self.strategy_hosts, self.event_engine.call)

    @property
    def strategy_hosts(self) -> Sequence[StrategyCommands]:
        """The engines that strategies run in, the first of which is the one that is meant if none is named."""
        return (self.cta, self.portfolio)

    def _fail_owner(self, event_type: str, handler: object, error: BaseException) -> None:
        """Stop the strategy whose own handler raised, if it is one's, as if that were a callback."""
        for host in self.strategy_hosts:
            host.fail_owner(event_type, handler, error)

    def attach(self, loop: asyncio.AbstractEventLoop, sink: Callable[[list[Event]], None]) -> None:
        self.bridge.attach(loop, sink)

    def watch_callbacks(
        self, loop: asyncio.AbstractEventLoop, on_slow: Callable[[SlowCallback], None]
    ) -> EventWatch:
        """Begin to watch for callbacks that hold the event thread; ``on_slow`` is called on ``loop``."""

        def hand_over(slow: SlowCallback) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(on_slow, slow)

        watch = EventWatch(self.event_engine, hand_over, slow_s=self.config.strategies.slow_callback_s)
        watch.start()
        return watch

    def close(self) -> None:
        self.gateways.close()
        self.main_engine.close()

    def submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` on the event thread, ahead of every queued event."""
        return self.event_engine.call(fn, *args, **kwargs)

    def hold_orders(self, reason: str | None, *, by: str) -> None:
        """Refuse the orders of every app because of ``reason``, or take them again as far as ``by`` is concerned."""
        self.main_engine.hold_orders(reason, by=by)

    def stats(self) -> EngineStats:
        return self.event_engine.stats()

    @property
    def engine_names(self) -> Sequence[str]:
        return tuple(self.main_engine.engines)
