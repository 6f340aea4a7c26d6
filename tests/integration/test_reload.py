"""Strategies reloaded while they trade: orders and variables stay theirs, and a failure changes nothing."""

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader.constant import Status
from vnpy.trader.object import OrderData

from tests.e2e.process import eventually
from tests.integration.engine_room import SYMBOL, WAIT_S, engine_room
from tests.integration.test_strategy_manager import TRADING, Service
from vnpy_core.engine.portfolio import CorePortfolioApp, CorePortfolioEngine
from vnpy_core.engine.strategy_code import StrategyCode
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Invalid, NotFound, StrategyFailed
from vnpy_core.strategies.reload import StrategyReload

CODE = '''
from vnpy_ctastrategy import CtaTemplate


class Trader(CtaTemplate):
    """Version {version}."""

    version = {version}
    lots = 1
    parameters = ["lots"]
    fills = 0
    stops = 0
    heard = ""
    variables = ["fills", "stops", "heard"]

    def __init__(self, *args):
        super().__init__(*args)
        self.noted = []
        {constructor}

    def on_init(self):
        {on_init}

    def on_start(self):
        {on_start}

    def on_stop(self):
        self.cancel_all()

    def on_tick(self, tick):
        if self.trading and not self.noted:
            self.noted = self.buy(3400, self.lots)
            self.noted += self.buy(3600, 1, stop=True)
        if tick.last_price == 3333:
            for vt_orderid in self.noted:
                self.cancel_order(vt_orderid)

    def on_trade(self, trade):
        self.fills += 1
        self.heard += "{version}"

    def on_stop_order(self, stop_order):
        if stop_order.status.name == "TRIGGERED":
            self.stops += 1
            self.heard += "s{version}"
'''


GATE = "import threading\nentered, leave = threading.Event(), threading.Event()\n"


def imported(name: str) -> Any:
    """Return the module of the strategy once it is the version that has ``name``. Blocks."""

    def made() -> Any:
        module = sys.modules.get("strategies.trader")
        return module if hasattr(module, name) else None

    return eventually(made, WAIT_S)


def code(version: int, *, constructor: str = "pass", on_init: str = "pass", on_start: str = "pass") -> str:
    return CODE.format(version=version, constructor=constructor, on_init=on_init, on_start=on_start)


class Reloadable(Service):
    reload: StrategyReload

    async def start(self) -> None:
        await super().start()
        self.reload = StrategyReload(self.manager.table, StrategyCode([self.cta], self.room.event_engine.call))
        await self.manager.restore()

    def write(self, source: str) -> None:
        self.room.strategy_file("trader.py", source)

    async def trade(self, name: str = "t") -> None:
        """Have it trade, with one working order and one stop order."""
        await self.run("Trader", name)
        await self.tick(3500)

    def instance(self, name: str = "t") -> object:
        return self.cta.strategies[name]

    def version(self, name: str = "t") -> int:
        return int(self.cta.strategies[name].version)

    def working(self) -> list[OrderData]:
        return [order for order in self.room.gateway.orders.values() if order.is_active()]

    async def fill(self, order: OrderData) -> None:
        await asyncio.to_thread(self.room.gateway.fill, order)
        await asyncio.to_thread(self.room.settle)
        await self.pipeline.drain()


@pytest.fixture
async def service(tmp_path: Path, runtime_dir: Path) -> AsyncIterator[Reloadable]:
    with engine_room(tmp_path, runtime_dir) as room:
        service = Reloadable(room)
        service.write(code(1))
        await service.start()
        await service.connect()
        yield service
        await service.stop()


async def test_orders_and_stop_orders_reach_the_new_version(service: Reloadable) -> None:
    await service.trade()
    old, module = service.instance(), weakref.ref(sys.modules["strategies.trader"])
    before = service.manager.get("t")
    service.write(code(2))
    told = await service.reload.strategy("t")
    assert (told.state, service.version(), told.revision > before.revision) == (TRADING, 2, True)
    assert service.in_read_model("t") == told
    assert len(service.working()) == 1  # the old one's on_stop has cancelled nothing
    await service.fill(service.working()[0])
    await service.tick(3601)
    (triggered,) = service.working()
    await service.fill(triggered)
    shown = service.manager.variables("t")
    assert (shown["pos"], shown["fills"], shown["stops"], shown["heard"]) == (2, 2, 1, "2s22")
    assert (old.trading, old.inited, old.fills) == (False, False, 0)  # type: ignore[attr-defined]
    del old
    await asyncio.to_thread(service.room.timer)
    gc.collect()
    assert module() is None


async def test_its_variables_and_its_notes_of_orders_are_carried_over(service: Reloadable) -> None:
    await service.trade()
    await service.fill(service.working()[0])
    service.write(code(2))
    await service.reload.strategy("t")
    await service.tick(3500)
    assert service.manager.variables("t")["heard"] == "1"
    assert service.working() == []  # it has not sent the order again: it knows of its stop order
    await service.tick(3333)  # it cancels what it has noted
    assert service.cta.stop_orders == {}
    await service.manager.stop("t")
    await service.restart()
    assert service.manager.variables("t")["pos"] == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (code(2, on_init="raise ValueError('boom in on_init')"), "boom in on_init"),
        (code(2, on_start="raise ValueError('boom in on_start')"), "boom in on_start"),
        (code(2, constructor="raise SystemExit('gone')"), "gone"),
        ("raise ValueError('boom in the import')", "boom in the import"),
        ("x = (", "SyntaxError"),
    ],
    ids=["on_init", "on_start", "constructor", "import", "syntax"],
)
async def test_a_version_that_fails_leaves_the_old_one_trading(service: Reloadable, source: str, told: str) -> None:
    await service.trade()
    old, module = service.instance(), sys.modules["strategies.trader"]
    service.write(source)
    with pytest.raises(StrategyFailed) as failed:
        await service.reload.strategy("t")
    assert told in failed.value.extra["traceback"]
    assert service.instance() is old
    assert service.manager.get("t").state is TRADING
    assert sys.modules["strategies.trader"] is module
    assert service.manager.class_detail("Trader")["doc"] == "Version 1."
    await service.fill(service.working()[0])
    assert service.manager.variables("t")["heard"] == "1"
    service.write(code(3))
    assert (await service.reload.strategy("t")).state is TRADING
    assert (service.version(), service.manager.class_detail("Trader")["doc"]) == (3, "Version 3.")


async def test_it_trades_while_the_new_version_is_initialised(service: Reloadable) -> None:
    await service.trade()
    service.write(GATE + code(2, on_init="entered.set(); assert leave.wait(20)"))
    reloading = asyncio.create_task(service.reload.strategy("t"))
    made = await asyncio.to_thread(imported, "entered")
    assert await asyncio.to_thread(made.entered.wait, 10)
    await service.fill(service.working()[0])
    assert service.manager.variables("t")["heard"] == "1"
    assert isinstance(service.cta.replace_strategy("t", made.Trader).exception(5), Conflict)
    made.leave.set()
    await reloading
    assert (service.version(), service.manager.variables("t")["heard"], service.manager.get("t").pos) == (2, "1", 1)


async def test_what_was_changed_meanwhile_is_not_replaced(service: Reloadable) -> None:
    await service.trade()
    service.write(GATE + code(2, on_init="entered.set(); assert leave.wait(20)"))
    reloading = asyncio.create_task(service.reload.strategy("t"))
    made = await asyncio.to_thread(imported, "entered")
    assert await asyncio.to_thread(made.entered.wait, 10)
    await service.manager.set_parameters("t", {"lots": 2})
    made.leave.set()
    with pytest.raises(Conflict) as refused:
        await reloading
    assert refused.value.error_code == "changed_meanwhile"
    assert (service.version(), service.manager.get("t").state) == (1, TRADING)


async def test_what_was_stopped_meanwhile_stays_stopped(service: Reloadable) -> None:
    await service.trade()
    service.write(GATE + code(2, on_init="entered.set(); assert leave.wait(20)"))
    reloading = asyncio.create_task(service.reload.strategy("t"))
    made = await asyncio.to_thread(imported, "entered")
    assert await asyncio.to_thread(made.entered.wait, 10)
    await service.manager.stop("t")
    made.leave.set()
    assert (await reloading).state is StrategyState.INITED
    await service.tick(3500)
    assert (service.version(), len(service.working())) == (2, 0)
    assert (await service.manager.start("t")).state is TRADING


async def test_the_setting_must_fit_the_new_version(service: Reloadable) -> None:
    await service.trade()
    await service.manager.set_parameters("t", {"lots": 2})
    narrower = code(2).replace("lots = 1", "lots: Literal[1, 3] = 1")
    service.write(f"from typing import Literal\n{narrower}")
    with pytest.raises(Invalid) as refused:
        await service.reload.strategy("t")
    assert refused.value.extra["errors"][0]["field"] == "lots"
    assert service.version() == 1
    service.write(code(3).replace("lots", "volume"))
    await service.reload.strategy("t")
    assert (service.version(), service.manager.parameters("t")) == (3, {"volume": 1})


async def test_all_strategies_of_a_class(service: Reloadable) -> None:
    await service.trade("a")
    await service.trade("b")
    await service.manager.add("Trader", "added", SYMBOL, {})
    service.write(code(2, on_init="if self.strategy_name == 'b': raise ValueError('not b')"))
    result = await service.reload.of_class("Trader")
    assert (result.reloaded, [failure.strategy_name for failure in result.failed]) == (["a", "added"], ["b"])
    assert "not b" in str(result.failed[0].traceback)
    assert [service.version(name) for name in ("a", "b", "added")] == [2, 1, 2]
    states = [service.manager.get(name).state for name in ("a", "b", "added")]
    assert states == [TRADING, TRADING, StrategyState.ADDED]
    service.write(code(3, on_init="raise ValueError('nobody')"))
    result = await service.reload.of_class("Trader")
    assert (result.reloaded, len(result.failed)) == (["added"], 2)  # it is not initialised, and so not tried


async def test_a_failed_strategy_is_made_anew_and_keeps_its_position(service: Reloadable) -> None:
    service.write(code(1).replace('self.heard += "1"', "raise ValueError('boom in on_trade')"))
    await service.reload.of_class("Trader")
    await service.trade()
    await service.fill(service.working()[0])
    assert service.manager.get("t").state is StrategyState.FAILED
    service.write(code(2))
    assert (await service.reload.strategy("t")).state is StrategyState.ADDED
    await service.manager.init("t")
    assert (service.version(), service.manager.get("t").pos, service.manager.variables("t")["fills"]) == (2, 1, 1)


async def test_a_file_that_is_new_or_was_broken(service: Reloadable) -> None:
    with pytest.raises(NotFound):
        await service.reload.of_class("Late")
    service.room.strategy_file("late.py", code(1).replace("class Trader", "class Late"))
    result = await service.reload.of_class("Late")
    assert (result.module, result.reloaded, result.failed) == ("strategies.late", [], [])
    await service.run("Late", "late")
    with pytest.raises(Conflict) as refused:
        await service.reload.of_class("DoubleMaStrategy")
    assert refused.value.error_code == "official_class"
    await service.manager.stop("late")
    service.room.strategy_file("late.py", "x = (")
    await service.restart()
    assert service.manager.get("late").state is StrategyState.FAILED
    bad = code(2, constructor="raise ValueError('not yet')").replace("class Trader", "class Late")
    service.room.strategy_file("late.py", bad)
    with pytest.raises(StrategyFailed):
        await service.reload.strategy("late")
    result = await service.reload.of_class("Late")
    assert ([failure.strategy_name for failure in result.failed], result.reloaded) == (["late"], [])
    service.room.strategy_file("late.py", code(3).replace("class Trader", "class Late"))
    assert (await service.reload.strategy("late")).state is StrategyState.ADDED
    assert service.version("late") == 3
    service.room.strategy_file("late.py", "x = (")
    await service.restart()
    service.room.strategy_file("late.py", code(4).replace("class Trader", "class Late"))
    assert (await service.reload.of_class("Late")).reloaded == ["late"]
    assert service.version("late") == 4


async def test_handlers_that_a_version_has_registered_go_with_it(service: Reloadable) -> None:
    service.write(code(1, on_init="self.cta_engine.event_engine.register('eProbe', self.on_probe)")
                  + "\n    def on_probe(self, event):\n        self.heard += 'p1'\n")
    await service.reload.of_class("Trader")
    await service.trade()
    assert service.room.event_engine._registry.get("eProbe")
    service.write(code(2, on_init="self.cta_engine.event_engine.register('eProbe', self.on_tick); raise ValueError"))
    with pytest.raises(StrategyFailed):
        await service.reload.strategy("t")
    assert len(service.room.event_engine._registry.get("eProbe")) == 1
    service.write(code(3))
    await service.reload.strategy("t")
    assert service.room.event_engine._registry.get("eProbe") == ()


async def test_a_cancelled_order_of_before_is_told_to_the_new_version(service: Reloadable) -> None:
    await service.trade()
    service.write(code(2))
    await service.reload.strategy("t")
    (order,) = service.working()
    await asyncio.to_thread(service.room.gateway.report, order, Status.CANCELLED)
    await asyncio.to_thread(service.room.settle)
    assert order.vt_orderid not in service.cta.strategy_orderid_map["t"]


PORTFOLIO = '''
from vnpy_portfoliostrategy import StrategyTemplate


class Pair(StrategyTemplate):
    version = {version}
    heard = ""
    variables = ["heard"]

    def on_init(self): ...

    def on_bars(self, bars): ...

    def on_tick(self, tick):
        if self.trading and not self.active_orderids:
            self.buy("rb2505.SHFE", 3400, 1)

    def update_trade(self, trade):
        self.heard += "{version}"
        super().update_trade(trade)
'''


def test_a_portfolio_strategy_keeps_its_orders_and_positions(tmp_path: Path, runtime_dir: Path) -> None:
    with engine_room(tmp_path, runtime_dir) as room:
        room.strategy_file("pair.py", PORTFOLIO.format(version=1))
        room.start()
        engine = room.add(CorePortfolioApp, CorePortfolioEngine)
        engine.reads_anew = True  # type: ignore[misc]  # it is alone here
        engine.init_engine()
        room.connect()
        engine.add_strategy("Pair", "p", [SYMBOL], {})
        engine.init_strategy("p").result(WAIT_S)
        engine.start_strategy("p")
        room.tick(3500)
        code = StrategyCode([engine], room.event_engine.call)
        room.strategy_file("pair.py", PORTFOLIO.format(version=2))
        made = code.import_anew("strategies.pair")
        engine.replace_strategy("p", made.module.Pair).result(WAIT_S)
        room.tick(3500)
        (order,) = room.gateway.orders.values()  # it has not sent a second one
        room.gateway.fill(order)
        room.settle()
        shown = engine.get_state("p")["variables"]
        assert (engine.strategies["p"].version, shown["heard"], shown["pos_data"]) == (2, "2", {SYMBOL: 1})
        assert engine.strategies["p"].active_orderids == set()
        room.strategy_file("pair.py", PORTFOLIO.format(version=3).replace("heard = ", "raise ValueError; heard = "))
        with pytest.raises(StrategyFailed):
            code.import_anew("strategies.pair")
        engine.reloads = False  # type: ignore[misc]  # as an engine that cannot
        refused = engine.replace_strategy("p", made.module.Pair).exception(WAIT_S)
        assert isinstance(refused, Conflict)
        assert refused.error_code == "reload_unsupported"
