"""The nine official CTA strategies, unmodified, on recorded bars: our engine trades what vn.py's own does.

In these hours they do the same. Where a strategy cancels an order whose first event is still queued they do not:
vn.py's engine does not know the order yet and lets it live, ours cancels it (test_cta.py).
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from vnpy.event import EventEngine
from vnpy.trader import database, utility
from vnpy.trader.constant import Direction, Exchange, Interval
from vnpy.trader.engine import MainEngine
from vnpy.trader.event import EVENT_LOG, EVENT_TRADE
from vnpy.trader.object import BarData
from vnpy_ctastrategy import CtaEngine, CtaStrategyApp

from tests.integration.sim_client import BITCOIN, Client
from tests.recorded import BITCOIN as BITCOIN_BARS
from tests.unit.engine.sim.recording import Recording
from vnpy_core.engine.cta import CoreCtaApp, CoreCtaEngine
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.main_engine import CoreMainEngine

# With settings where those of the class would not trade within some hours.
OFFICIAL: Mapping[str, Mapping[str, Any]] = {
    "AtrRsiStrategy": {},
    "BollChannelStrategy": {"boll_window": 5, "boll_dev": 1.0, "cci_window": 3},
    "DoubleMaStrategy": {},
    "DualThrustStrategy": {"k1": 0.05, "k2": 0.05},
    "KingKeltnerStrategy": {},
    "MultiSignalStrategy": {},
    "MultiTimeframeStrategy": {"rsi_signal": 5},
    "TestStrategy": {},
    "TurtleSignalStrategy": {},
}
START = datetime(2022, 1, 3, tzinfo=UTC)
Trade = tuple[str, str, str, float, float, datetime]


@pytest.fixture(scope="module")
def bitcoin(recorded: Path) -> Recording:
    """Two days of bars; the file's times are the ends of the minutes."""
    bars = []
    with gzip.open(recorded / BITCOIN_BARS, "rt") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC) - timedelta(minutes=1)
            if START <= moment < START + timedelta(days=2):
                prices = {f"{name}_price": float(row[name]) for name in ("open", "high", "low", "close")}
                bars.append(
                    BarData(
                        "DB", "BTCUSDT", Exchange.GLOBAL, moment.astimezone(database.DB_TZ),
                        interval=Interval.MINUTE, volume=float(row["volume"]), **prices,
                    )
                )  # fmt: skip
    assert len(bars) == 2 * 1440
    return Recording(bars)


@contextmanager
def vnpy_engine() -> Iterator[tuple[Client, CtaEngine]]:
    sim = Client()
    try:
        cta = cast("CtaEngine", sim.main.add_app(CtaStrategyApp))
        yield sim, cta
        cta.init_executor.shutdown()
    finally:
        sim.close()


@contextmanager
def core_engine() -> Iterator[tuple[Client, CtaEngine]]:
    def engines(event_engine: EventEngine) -> MainEngine:
        assert isinstance(event_engine, CoreEventEngine)
        return CoreMainEngine(event_engine)

    sim = Client(event_engine=CoreEventEngine(1), engines=engines)
    try:
        assert isinstance(sim.main, CoreMainEngine)
        yield sim, sim.main.add_core_app(CoreCtaApp, CoreCtaEngine)
    finally:
        sim.close()


def traded(sim: Client, cta: CtaEngine) -> list[Trade]:
    """Run all nine on the whole recording, and return what each has traded."""
    sim.connect(
        feed="replay", replay_symbols=BITCOIN, speed=0.0, replay_begin="command", balance=100_000_000.0,
        replay_start="2022-01-04T21:00", replay_end="2022-01-05T02:00",
    )  # fmt: skip
    sim.settle()
    for filename in (cta.setting_filename, cta.data_filename):
        utility.save_json(filename, {})  # each of the two engines begins anew
    cta.init_engine()
    for class_name, setting in OFFICIAL.items():
        cta.add_strategy(class_name, class_name, BITCOIN, dict(setting))
        cta.init_strategy(class_name).result(30)
        cta.start_strategy(class_name)
    sim.gateway.resume_replay()
    sim.wait(lambda: any("replay has finished" in log.msg for log in sim.of(EVENT_LOG)), 120)
    sim.settle()
    strategies: dict[str, Any] = cta.strategies
    assert [name for name in OFFICIAL if not strategies[name].trading] == []
    trades: list[Trade] = []
    held: Counter[str] = Counter()
    for trade in sim.of(EVENT_TRADE):
        order = sim.main.get_order(trade.vt_orderid)
        assert order is not None
        name = order.reference.removeprefix("CtaStrategy_")
        trades.append((name, trade.direction.name, trade.offset.name, trade.price, trade.volume, trade.datetime))
        held[name] += trade.volume if trade.direction is Direction.LONG else -trade.volume
    assert {name: strategies[name].pos for name in OFFICIAL} == pytest.approx({name: held[name] for name in OFFICIAL})
    return trades


@pytest.mark.timeout(240)
def test_all_nine_trade_the_same_as_with_vnpys_own_engine(bitcoin: Recording) -> None:
    database.database = bitcoin
    with vnpy_engine() as (sim, cta):
        theirs = traded(sim, cta)
    with core_engine() as (sim, cta):
        ours = traded(sim, cta)
    assert ours == theirs
    assert {name for name, *_ in ours} == set(OFFICIAL)
    database.database = None
