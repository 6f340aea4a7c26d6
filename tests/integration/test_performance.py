"""Performance beside vn.py's own back-tester on recorded data, and the same after a restart as before it."""

import asyncio
import csv
import gzip
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from vnpy.trader.constant import Exchange as VnExchange
from vnpy.trader.constant import Interval
from vnpy.trader.object import BarData
from vnpy_ctastrategy.backtesting import BacktestingEngine
from vnpy_ctastrategy.strategies.atr_rsi_strategy import AtrRsiStrategy
from vnpy_ctastrategy.strategies.double_ma_strategy import DoubleMaStrategy

from tests import facts
from tests.recorded import BITCOIN
from tests.unit.strategies.test_books import books
from vnpy_core.bus.pipeline import Pipeline
from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.recorder import RecorderThread
from vnpy_core.data.strategy_fills import RecordedFill, StoredTerms
from vnpy_core.engine import translate
from vnpy_core.enums import Direction, Offset
from vnpy_core.errors import Unavailable
from vnpy_core.routers import examples
from vnpy_core.strategies.books import Books
from vnpy_core.strategies.performance import Page, Span, StrategyPerformance
from vnpy_core.strategies.performance_feed import PerformanceFeed, open_performance
from vnpy_core.strategies.statistics import Basis, vnpy_statistics

SYMBOL = "BTCUSDT.GLOBAL"
RATE, SLIPPAGE, CAPITAL = 0.0002, 0.5, 1_000_000


@pytest.fixture(scope="module")
def bars(recorded: Path) -> list[BarData]:
    """Twelve days of minutes, in UTC, as vn.py is to see them."""
    with gzip.open(recorded / BITCOIN, "rt") as file:
        rows = list(islice(csv.DictReader(file), 12 * 1440))
    return [
        BarData(
            "DB", "BTCUSDT", VnExchange.GLOBAL, datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC),
            Interval.MINUTE, float(row["volume"]), 0, 0,
            *(float(row[name]) for name in ("open", "high", "low", "close")),
        )
        for row in rows
    ]  # fmt: skip


class Backtester(BacktestingEngine):
    """Loads the bars before its own from memory."""

    before: Sequence[BarData] = ()

    def load_bar(self, *args: Any) -> list[BarData]:
        self.callback = args[3]
        return list(self.before)

    def output(self, msg: str) -> None:
        """Say nothing."""


def backtest(strategy: type[Any], bars: list[BarData]) -> BacktestingEngine:
    engine = Backtester()
    engine.set_parameters(
        vt_symbol=SYMBOL, interval=Interval.MINUTE, start=bars[0].datetime.replace(tzinfo=None),
        end=bars[-1].datetime.replace(tzinfo=None), rate=RATE, slippage=SLIPPAGE, size=3, pricetick=0.5,
        capital=CAPITAL,
    )  # fmt: skip
    engine.before = bars[:1440]
    engine.add_strategy(strategy, {})
    engine.history_data = bars[1440:]
    engine.run_backtesting()
    engine.calculate_result()
    return engine


def booked(engine: BacktestingEngine, bars: list[BarData]) -> Books:
    """The same fills and closes, as the service comes to know them."""
    made = books(commission_rate=RATE, slippage=SLIPPAGE)
    made.load({}, {SYMBOL: StoredTerms(3.0, False)})
    for number, trade in enumerate(engine.get_all_trades()):
        told = translate.trade(trade)
        assert made.take_fill(
            RecordedFill(
                vt_tradeid=told.vt_tradeid, vt_orderid=told.vt_orderid, vt_symbol=SYMBOL, symbol=told.symbol,
                exchange=told.exchange, direction=told.direction, offset=told.offset, price=told.price,
                volume=told.volume, moment=told.datetime or "", seq=number, reference="CtaStrategy_demo", ordered=None,
            )
        )  # fmt: skip
    for bar in bars:
        made.closes[SYMBOL].put(bar.datetime.date().isoformat(), bar.close_price)
    return made


@pytest.mark.parametrize("strategy", [DoubleMaStrategy, AtrRsiStrategy])
def test_days_and_statistics_are_those_of_vnpys_backtester(strategy: type[Any], bars: list[BarData]) -> None:
    engine = backtest(strategy, bars)
    made = booked(engine, bars)
    rows = made.rows("demo")
    assert len(rows) > 5
    assert sum(row.trade_count for row in rows) > 20
    theirs = engine.daily_df
    first = datetime.fromisoformat(rows[0].date).date()
    theirs = theirs[theirs.index >= first].copy()
    assert [row.date for row in rows] == [day.isoformat() for day in theirs.index]
    for name in ("trade_count", "turnover", "commission", "slippage", "trading_pnl", "holding_pnl", "net_pnl"):
        assert [getattr(row, name) for row in rows] == pytest.approx(list(theirs[name]), rel=1e-9, abs=1e-6), name
    expected = engine.calculate_statistics(theirs, output=False)
    ours = vnpy_statistics(rows, Basis(capital=CAPITAL))
    assert ours is not None
    for name in ours.__struct_fields__:
        value = getattr(ours, name)
        if not name.endswith("_date"):
            assert value == pytest.approx(expected[name], rel=1e-8), name


class Running:
    """What the service composes around the performance; ``stop`` and ``start`` again is a restart."""

    performance: StrategyPerformance
    feed: PerformanceFeed

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = VnPyCoreConfig(data_dir=folder)
        self.number = 0

    async def start(self) -> None:
        self.journal = Journal(self.folder / "journal.db")
        await self.journal.open()
        self.database = DatabaseManager(f"sqlite+aiosqlite:///{self.folder / 'core.db'}")
        await self.database.open()
        self.recorder = RecorderThread(self.journal, self.database)
        await self.recorder.start()
        self.read_model = ReadModel()
        await self.read_model.restore(self.journal)
        self.pipeline = Pipeline(self.journal, self.read_model)
        self.pipeline.on_written = self.recorder.notify
        self.performance, self.feed = open_performance(
            self.config, self.database, self.read_model, self.journal, self.pipeline
        )
        self.task = asyncio.create_task(self.feed.run())

    async def ready(self) -> None:
        await self.until(lambda: self.performance.unready is None)

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not reached():  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.01)

    async def reaches(self, name: str, value: float) -> None:
        """Wait until a number of strategy ``one`` is ``value``."""
        async with asyncio.timeout(10):
            while getattr((await self.numbers("one"))[0], name) != value:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.01)

    async def stop(self, *, saved: bool = True) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if saved:
            await self.feed.close()
        await self.pipeline.close()
        await self.recorder.stop()
        await self.database.close()
        await self.journal.close()

    async def numbers(self, *names: str) -> Any:
        report = await self.performance.report(names or self.performance.names(), Span())
        daily = await self.performance.daily(report.strategies, Span(), Page())
        return msgspec.structs.replace(report, as_of=""), daily

    def trade(self, number: int, name: str, *, is_buy: bool, price: float, day: int, order: bool = True) -> None:
        """A strategy's order, filled at once on a day of January."""
        moment = f"2026-01-{day:02}T02:{number % 60:02}:00.000000+00:00"
        side = Direction.LONG if is_buy else Direction.SHORT
        offset = Offset.OPEN if is_buy else Offset.CLOSE
        vt_orderid = f"SIM.{number}"
        told = facts.order(
            number, vt_orderid=vt_orderid, direction=side, offset=offset, reference=f"CtaStrategy_{name}",
            datetime=moment,
        )  # fmt: skip
        fill = facts.trade(
            number, vt_orderid=vt_orderid, direction=side, offset=offset, price=price, datetime=moment
        )
        for fact in (told, fill) if order else (fill, told):
            self.pipeline.emit(fact)

    def tick(self, day: int, price: float) -> None:
        moment = f"2026-01-{day:02}T03:00:00.000000+00:00"
        self.pipeline.emit(msgspec.structs.replace(examples.TICK, datetime=moment, last_price=price))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    made = Running(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def days_of_trade(running: Running, chance: random.Random, first: int, days: int) -> None:
    for day in range(first, first + days):
        for _ in range(6):
            running.number += 1
            running.trade(
                running.number, chance.choice(["one", "two"]), is_buy=chance.random() < 0.5,
                price=3500.0 + chance.randrange(-50, 50), day=day, order=chance.random() < 0.7,
            )  # fmt: skip
            running.tick(day, 3500.0 + chance.randrange(-50, 50))
        await running.pipeline.drain()


async def test_after_a_restart_the_numbers_are_the_same_and_go_on(running: Running) -> None:
    running.pipeline.emit(examples.CONTRACT)
    chance = random.Random(5)
    for first in (5, 7, 12):
        await running.ready()
        await days_of_trade(running, chance, first, 2)
        before = await running.numbers()
        assert before[0].trade_count
        assert before[0].notes == [] or all("closed" in note for note in before[0].notes)
        await running.stop()
        await running.start()
        with pytest.raises(Unavailable):
            await running.numbers("one")
        await running.ready()
        assert await running.numbers() == before


async def test_what_comes_while_fills_are_being_read_is_counted_once(running: Running) -> None:
    running.pipeline.emit(examples.CONTRACT)
    await running.ready()
    await days_of_trade(running, random.Random(6), 5, 3)
    for _ in range(3):
        await running.stop()
        await running.start()
        chance = random.Random(running.journal.last_seq)
        for step in range(8):
            running.trade(3000 + running.journal.last_seq + step, "one", is_buy=True, price=3500.0, day=9)
            await running.pipeline.drain()
            await asyncio.sleep(0 if chance.random() < 0.5 else 0.002)
        await running.ready()
        trades = [event.data.key for event in running.read_model.trades.values()]
        assert (await running.numbers())[0].trade_count == len(trades)


async def test_the_size_that_a_contract_turns_out_to_have_is_counted_with(running: Running) -> None:
    await running.ready()
    running.trade(1, "one", is_buy=True, price=3500.0, day=5)
    running.tick(5, 3510.0)
    await running.pipeline.drain()
    report = (await running.numbers("one"))[0]
    assert (report.unrealised_pnl, len(report.notes)) == (10, 1)
    running.pipeline.emit(examples.CONTRACT)
    await running.reaches("unrealised_pnl", 100)
    assert (await running.numbers("one"))[0].notes == []
    await running.stop()
    await running.start()  # no gateway is connected, and the size is known
    await running.ready()
    assert (await running.numbers("one"))[0].unrealised_pnl == 100


async def test_a_fill_that_comes_late_is_put_where_it_belongs(running: Running) -> None:
    running.pipeline.emit(examples.CONTRACT)
    await running.ready()
    for number, is_buy, price in ((1, True, 3500.0), (3, False, 3600.0), (2, True, 3400.0)):
        running.trade(number, "one", is_buy=is_buy, price=price, day=5)
    await running.pipeline.drain()
    assert (await running.numbers("one"))[0].realised_pnl == 1000  # as if the second had been bought after the sale
    await running.reaches("realised_pnl", 1500)
    before = await running.numbers()
    await running.stop()
    await running.start()
    await running.ready()
    assert await running.numbers() == before


async def test_fills_of_nobody_and_of_clients_are_passed_over(running: Running) -> None:
    await running.ready()
    running.pipeline.emit(facts.order(1, reference="desk"))
    running.pipeline.emit(facts.trade(1))
    running.pipeline.emit(facts.trade(2, vt_orderid="SIM.unheard"))
    await running.pipeline.drain()
    assert running.performance.names() == []


async def test_a_database_that_is_down_is_waited_for(running: Running) -> None:
    await running.ready()
    running.trade(1, "one", is_buy=True, price=3500.0, day=5)
    await running.pipeline.drain()
    await running.stop()
    await running.start()
    await running.database.close()
    await running.until(lambda: "cannot be read" in (running.performance.unready or ""))
    await running.database.open()
    await running.ready()
    assert running.performance.names() == ["one"]

