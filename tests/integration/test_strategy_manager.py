"""The strategy manager with real parts below it: CTA engine, bridge, journal, pipeline, read model, SQLite."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine_room import SYMBOL, WAIT_S, Room, engine_room
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.repositories import StrategyRecord, StrategyRepository
from vnpy_core.engine.bridge import Bridge
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.engine.portfolio import CorePortfolioApp, CorePortfolioEngine
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Invalid, NotFound, StrategyFailed
from vnpy_core.strategies.manager import RedFireStrategyManager

ADDED, INITED, TRADING, FAILED = (
    StrategyState.ADDED, StrategyState.INITED, StrategyState.TRADING, StrategyState.FAILED,
)  # fmt: skip

PROBES = '''
import threading

from vnpy_ctastrategy import CtaTemplate


class Probe(CtaTemplate):
    size = 1
    label = "x"
    parameters = ["size", "label"]
    ticks = 0
    variables = ["ticks"]

    def on_init(self):
        pass

    def on_tick(self, tick):
        self.ticks += 1
        if self.trading and self.ticks == 1:
            self.buy(tick.last_price, self.size)
        self.put_event()


class BadInit(Probe):
    def on_init(self):
        raise ValueError("boom in on_init")


class BadStart(Probe):
    def on_start(self):
        raise ValueError("boom in on_start")


class BadStop(Probe):
    def on_stop(self):
        raise ValueError("boom in on_stop")


class BadTick(Probe):
    def on_tick(self, tick):
        raise ValueError("boom in on_tick")


class Slow(Probe):
    entered = threading.Semaphore(0)
    leave = threading.Event()

    def on_init(self):
        self.entered.release()
        assert self.leave.wait(10)
'''

PAIRS = '''
import threading

from vnpy_portfoliostrategy import StrategyTemplate


class Twin(StrategyTemplate):
    def on_init(self): ...

    def on_bars(self, bars): ...


class SlowTwin(Twin):
    entered = threading.Semaphore(0)
    leave = threading.Event()

    def on_init(self):
        self.entered.release()
        assert self.leave.wait(10)


class BadTwin(Twin):
    def on_init(self):
        raise ValueError("boom in on_init")
'''


class Service:
    """What the service composes around the manager; ``stop`` and ``start`` again is a restart."""

    cta: CoreCtaEngine
    portfolio: CorePortfolioEngine
    manager: RedFireStrategyManager

    def __init__(self, room: Room) -> None:
        self.room = room

    async def start(self) -> None:
        room = self.room
        self.journal = Journal(room.folder / "journal.db")
        await self.journal.open()
        self.database = DatabaseManager(f"sqlite+aiosqlite:///{room.folder / 'core.db'}")
        await self.database.open()
        self.repository = StrategyRepository(self.database)
        self.read_model = ReadModel()
        await self.read_model.restore(self.journal)
        self.pipeline = Pipeline(self.journal, self.read_model)
        await asyncio.to_thread(room.start)
        self.bridge = Bridge(room.event_engine, tick_buffer=1000)
        self.cta = room.add(CoreCtaApp, CoreCtaEngine)
        self.cta.init_engine()
        self.portfolio = room.add(CorePortfolioApp, CorePortfolioEngine)
        self.portfolio.init_engine()
        self.bridge.attach(asyncio.get_running_loop(), self.pipeline.accept)
        self.manager = RedFireStrategyManager(
            [self.cta, self.portfolio], room.event_engine.call, self.repository, self.pipeline, self.read_model
        )

    async def restore(self) -> None:
        await self.manager.restore()
        await self.manager.settled()

    async def stop(self) -> None:
        await self.manager.close()
        await asyncio.to_thread(self.room.stop)
        self.bridge.detach()
        await self.pipeline.close()
        await self.database.close()
        await self.journal.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()
        await self.restore()

    async def connect(self) -> None:
        await asyncio.to_thread(self.room.connect)

    async def tick(self, *prices: float) -> None:
        await asyncio.to_thread(self.room.tick, *prices)
        await asyncio.to_thread(self.room.timer)
        await self.pipeline.drain()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something published makes ``reached`` true."""
        changed = asyncio.Event()
        self.pipeline.subscribe(lambda events: changed.set())
        async with asyncio.timeout(WAIT_S):
            while not reached():
                changed.clear()
                await changed.wait()

    async def run(self, class_name: str, name: str | None = None) -> str:
        name = name or class_name
        await self.manager.add(class_name, name, SYMBOL, {})
        await self.manager.init(name)
        await self.manager.start(name)
        return name

    def in_read_model(self, name: str) -> Any:
        event = self.read_model.strategies.get(name)
        return None if event is None else event.data


@pytest.fixture
async def service(tmp_path: Path, runtime_dir: Path) -> AsyncIterator[Service]:
    with engine_room(tmp_path, runtime_dir) as room:
        room.strategy_file("probes.py", PROBES)
        room.strategy_file("pairs.py", PAIRS)
        service = Service(room)
        await service.start()
        yield service
        await service.stop()


async def test_life_of_a_strategy(service: Service) -> None:
    manager = service.manager
    await manager.restore()
    added = await manager.add("Probe", "p", SYMBOL, {"size": 2.0})
    assert (added.state, added.parameters) == (ADDED, {"size": 2, "label": "x"})
    assert (await manager.init("p")).state is INITED
    assert (await manager.start("p")).state is TRADING
    assert manager.get("p") == service.in_read_model("p")
    assert [strategy.strategy_name for strategy in manager.list()] == ["p"]
    assert manager.parameters("p") == {"size": 2, "label": "x"}
    assert manager.variables("p")["trading"] is True
    with pytest.raises(Conflict):
        await manager.remove("p")
    assert (await manager.stop("p")).state is INITED
    assert (await manager.stop("p")).state is INITED
    await manager.remove("p")
    assert manager.list() == []
    assert service.in_read_model("p") is None
    with pytest.raises(NotFound):
        manager.get("p")
    assert await service.repository.list() == []


async def test_answers_are_journaled(service: Service) -> None:
    await service.manager.restore()
    name = await service.run("Probe")
    facts = await service.journal.read(0, 100)
    last = json.loads(facts[-1].payload)
    assert (last["strategy_name"], last["state"], last["desired_state"]) == (name, "TRADING", "TRADING")


async def test_refusals(service: Service) -> None:
    manager = service.manager
    await manager.restore()
    await manager.add("Probe", "p", SYMBOL, {})
    with pytest.raises(Conflict):
        await manager.add("Probe", "p", SYMBOL, {})
    with pytest.raises(NotFound):
        await manager.add("Nope", "q", SYMBOL, {})
    with pytest.raises(Invalid):
        await manager.add("Probe", "q", "rb2505", {})
    with pytest.raises(Invalid):
        await manager.add("Probe", "classes", SYMBOL, {})
    with pytest.raises(Invalid) as caught:
        await manager.add("Probe", "q", SYMBOL, {"size": "big"})
    assert caught.value.extra["errors"][0]["field"] == "size"
    with pytest.raises(Conflict, match="init it first"):
        await manager.start("p")
    for command in (manager.init, manager.start, manager.stop, manager.remove):
        with pytest.raises(NotFound):
            await command("nobody")
    assert [record.strategy_name for record in await service.repository.list()] == ["p"]
    assert (await service.repository.get("p")).desired_state is ADDED


async def test_failures_are_answers_and_facts(service: Service) -> None:
    manager = service.manager
    await manager.restore()
    for class_name in ("BadInit", "BadStart"):
        await manager.add(class_name, class_name, SYMBOL, {})
    with pytest.raises(StrategyFailed, match="boom in on_init"):
        await manager.init("BadInit")
    await manager.init("BadStart")
    with pytest.raises(StrategyFailed) as caught:
        await manager.start("BadStart")
    assert "boom in on_start" in caught.value.extra["traceback"]
    for name, desired in (("BadInit", INITED), ("BadStart", TRADING)):
        shown = manager.get(name)
        assert (shown.state, shown.desired_state) == (FAILED, desired)
        assert "Traceback" in (shown.error or "")
        assert (await service.repository.get(name)).desired_state is desired


async def test_failed_on_stop_stays_stopped(service: Service) -> None:
    await service.manager.restore()
    name = await service.run("BadStop")
    with pytest.raises(StrategyFailed, match="boom in on_stop"):
        await service.manager.stop(name)
    assert service.manager.get(name).state is FAILED
    assert (await service.repository.get(name)).desired_state is INITED


async def test_failure_while_trading_is_told_and_keeps_the_wish(service: Service) -> None:
    await service.manager.restore()
    await service.connect()
    name = await service.run("BadTick")
    await service.tick(3500)
    shown = service.manager.get(name)
    assert (shown.state, shown.desired_state) == (FAILED, TRADING)
    assert "boom in on_tick" in (shown.error or "")


async def test_parameters_are_merged_checked_and_kept(service: Service) -> None:
    await service.manager.restore()
    name = await service.run("Probe")
    assert await service.manager.set_parameters(name, {"size": 7}) == {"size": 7, "label": "x"}
    with pytest.raises(Invalid) as caught:
        await service.manager.set_parameters(name, {"size": 1.5, "labl": "y"})
    assert {error["field"] for error in caught.value.extra["errors"]} == {"size", "labl"}
    assert (await service.repository.get(name)).setting == {"size": 7}
    await service.restart()
    assert service.manager.parameters(name) == {"size": 7, "label": "x"}


async def test_restart_brings_each_to_its_desired_state(service: Service) -> None:
    manager = service.manager
    await manager.restore()
    await manager.add("Probe", "added", SYMBOL, {})
    await manager.add("Probe", "auto", SYMBOL, {}, auto_start=True)
    await manager.add("Probe", "inited", SYMBOL, {})
    await manager.init("inited")
    await service.run("Probe", "trading")
    await service.run("Probe", "stopped")
    await manager.stop("stopped")

    await service.restart()

    states = {strategy.strategy_name: strategy.state for strategy in service.manager.list()}
    assert states == {"added": ADDED, "auto": TRADING, "inited": INITED, "trading": TRADING, "stopped": INITED}


async def test_variables_and_positions_survive_a_restart(service: Service) -> None:
    await service.manager.restore()
    await service.connect()
    name = await service.run("Probe")
    await service.tick(3500)
    (order,) = service.room.gateway.orders.values()
    service.room.gateway.fill(order)
    await service.tick(3501)
    assert (service.manager.get(name).pos, service.manager.variables(name)["ticks"]) == (1, 2)

    await service.restart()

    shown = service.manager.get(name)
    assert (shown.state, shown.pos, shown.variables["ticks"]) == (TRADING, 1, 2)


async def test_fill_told_again_after_a_restart_counts_once(service: Service) -> None:
    await service.manager.restore()
    await service.connect()
    name = await service.run("Probe")
    await service.tick(3500)
    (order,) = service.room.gateway.orders.values()
    service.room.gateway.fill(order)
    await service.tick(3501)

    await service.stop()
    await service.start()
    await service.manager.load_strategies_from_db()
    await service.connect()
    service.room.gateway.fill(order)
    service.room.gateway.fill(order, tradeid="another")
    await asyncio.to_thread(service.room.settle)
    await service.restore()

    assert service.manager.get(name).pos == 2


async def test_what_fails_at_restart_holds_up_no_other(service: Service) -> None:
    (service.room.folder / "strategies" / "gone.py").write_text(
        "from vnpy_ctastrategy import CtaTemplate\nclass Gone(CtaTemplate):\n    def on_init(self): pass\n"
    )
    await service.stop()
    await service.start()
    manager = service.manager
    await manager.restore()
    await service.run("Gone")
    await manager.add("BadInit", "BadInit", SYMBOL, {})
    with pytest.raises(StrategyFailed):
        await manager.init("BadInit")
    await service.run("Probe")
    (service.room.folder / "strategies" / "gone.py").write_text("raise SystemExit('broken now')")

    await service.restart()

    manager = service.manager
    assert manager.get("Probe").state is TRADING
    assert manager.get("BadInit").state is FAILED
    gone = manager.get("Gone")
    assert (gone.state, gone.desired_state) == (FAILED, TRADING)
    assert "gone.py" in (gone.error or "")
    assert service.in_read_model("Gone") == gone
    assert service.room.json("cta_strategy_setting.json").keys() == {"Probe", "BadInit", "Gone"}
    with pytest.raises(Conflict):
        await manager.start("Gone")
    with pytest.raises(NotFound):
        await manager.init("Gone")
    assert (await manager.stop("Gone")).desired_state is INITED
    await manager.remove("Gone")
    assert service.in_read_model("Gone") is None
    assert service.room.json("cta_strategy_setting.json").keys() == {"Probe", "BadInit"}


async def test_unloaded_strategy_is_mended_by_its_parameters(service: Service) -> None:
    record = StrategyRecord(
        strategy_name="p", class_name="Probe", engine="CtaStrategy", vt_symbol=SYMBOL, setting={"size": "big"}
    )
    await service.repository.save(record)
    await service.restore()
    manager = service.manager
    assert manager.get("p").state is FAILED
    with pytest.raises(Invalid):
        await manager.set_parameters("p", {"label": "y"})
    assert await manager.set_parameters("p", {"size": 3}) == {"size": 3, "label": "x"}
    assert (await manager.init("p")).state is INITED
    assert (await service.repository.get("p")).setting == {"size": 3}


async def test_slow_on_init_holds_up_no_other(service: Service) -> None:
    manager = service.manager
    await manager.restore()
    kind = service.cta.classes["Slow"]
    kind.leave.set()
    await service.run("Slow")
    await service.run("Probe")
    kind.leave.clear()
    await service.stop()
    await service.start()
    kind = service.cta.classes["Slow"]

    await service.manager.restore()
    assert await asyncio.to_thread(kind.entered.acquire, timeout=WAIT_S)
    await service.until(lambda: service.manager.get("Probe").state is TRADING)
    assert service.manager.get("Slow").state is StrategyState.INITING
    kind.leave.set()
    await service.manager.settled()
    assert service.manager.get("Slow").state is TRADING


async def test_what_hangs_or_fails_in_one_engine_holds_up_no_other(service: Service) -> None:
    """Each engine has ``init_workers`` of its own: one is taken by what hangs, and the rest goes on by the other."""
    added = {
        "Slow": "CtaStrategy", "BadInit": "CtaStrategy", "Probe": "CtaStrategy",
        "SlowTwin": "PortfolioStrategy", "BadTwin": "PortfolioStrategy", "Twin": "PortfolioStrategy",
    }  # fmt: skip
    await service.manager.restore()
    for name, engine in added.items():
        await service.manager.add(name, name, SYMBOL, {}, auto_start=True, engine=engine)
    await service.stop()
    await service.start()
    service.cta.set_init_workers(1)
    service.portfolio.set_init_workers(2)
    slow, slow_twin = service.cta.classes["Slow"], service.portfolio.classes["SlowTwin"]
    await service.manager.load_strategies_from_db()
    order = service.cta.init_strategy("Slow")  # it has the only worker of its engine
    assert await asyncio.to_thread(slow.entered.acquire, timeout=WAIT_S)

    await service.manager.restore()
    assert await asyncio.to_thread(slow_twin.entered.acquire, timeout=WAIT_S)
    await service.until(lambda: service.manager.get("Twin").state is TRADING)
    await service.until(lambda: service.manager.get("BadTwin").state is FAILED)
    assert service.manager.get("SlowTwin").state is StrategyState.INITING
    assert service.manager.get("Probe").state is StrategyState.INITING  # in turn, behind the one that hangs

    slow.leave.set()
    await asyncio.wrap_future(order)
    await service.until(lambda: service.manager.get("Probe").state is TRADING)
    assert service.manager.get("BadInit").state is FAILED
    slow_twin.leave.set()
    await service.manager.settled()
    assert service.manager.get("SlowTwin").state is TRADING


async def test_stop_during_the_restore_wins(service: Service) -> None:
    await service.manager.restore()
    service.cta.classes["Slow"].leave.set()
    await service.run("Slow")
    await service.stop()
    await service.start()
    kind = service.cta.classes["Slow"]
    await service.manager.restore()
    assert await asyncio.to_thread(kind.entered.acquire, timeout=WAIT_S)

    await service.manager.stop("Slow")
    kind.leave.set()
    await service.manager.settled()

    assert service.manager.get("Slow").state is INITED
    assert (await service.repository.get("Slow")).desired_state is INITED


async def test_setting_file_of_vnpy_is_taken_over_once(service: Service) -> None:
    settings = {
        "old": {"class_name": "Probe", "vt_symbol": SYMBOL, "setting": {"size": 4, "no_longer": 1}},
        "bad": {"class_name": "Nope", "vt_symbol": SYMBOL, "setting": {}},
        "garbage": 5,
    }
    (service.room.folder / ".vntrader" / "cta_strategy_setting.json").write_text(json.dumps(settings))
    (service.room.folder / ".vntrader" / "cta_strategy_data.json").write_text('{"old": {"pos": 3, "ticks": 9}}')
    await service.restart()

    manager = service.manager
    assert {strategy.strategy_name: strategy.state for strategy in manager.list()} == {"old": ADDED, "bad": FAILED}
    assert (await manager.init("old")).pos == 3
    assert manager.get("old").parameters == {"size": 4, "label": "x"}

    await manager.remove("bad")
    await service.restart()
    assert [strategy.strategy_name for strategy in service.manager.list()] == ["old"]


async def test_strategy_whose_row_is_gone_is_gone(service: Service) -> None:
    await service.manager.restore()
    await service.run("Probe")
    await service.run("Probe", "other")
    await service.repository.delete("Probe")

    await service.restart()

    assert [strategy.strategy_name for strategy in service.manager.list()] == ["other"]
    await service.pipeline.drain()
    assert service.in_read_model("Probe") is None


async def test_commands_at_once_on_one_strategy(service: Service) -> None:
    await service.manager.restore()
    await service.manager.add("Probe", "p", SYMBOL, {})
    outcomes = await asyncio.gather(
        *(service.manager.init("p") for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Conflict", "Conflict", "Strategy"]
    outcomes = await asyncio.gather(
        *(service.manager.start("p") for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Conflict", "Conflict", "Strategy"]
    await asyncio.gather(*(service.manager.stop("p") for _ in range(4)))
    assert service.manager.get("p").state is INITED


async def test_classes(service: Service) -> None:
    names = [kind["class_name"] for kind in service.manager.classes()]
    assert {"Probe", "AtrRsiStrategy", "DoubleMaStrategy", "BollChannelStrategy"} <= set(names)
    assert service.manager.class_detail("Probe")["parameters"][0] == {"name": "size", "type": "int", "default": 1}
    with pytest.raises(NotFound):
        service.manager.class_detail("Nope")


async def test_no_thread_is_left(service: Service) -> None:
    await service.manager.restore()
    await service.run("Probe")
    await service.stop()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("strategy-init-")]
    await service.start()
