"""vn.py's own portfolio strategies on recorded data: with our engine they trade as they do with vn.py's."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from vnpy.trader import database
from vnpy.trader.constant import Direction, Exchange, Interval
from vnpy.trader.event import EVENT_LOG, EVENT_TRADE
from vnpy.trader.object import BarData, TradeData
from vnpy_portfoliostrategy import PortfolioStrategyApp

from tests.integration.sim_client import WAIT_S, Client
from tests.recorded import BITCOIN, EURO_FUTURE
from tests.unit.engine.sim.recording import Recording
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.portfolio import CorePortfolioApp

BTC, EURO = "BTCUSDT.GLOBAL", "6EH4.CME"
FUTURE, CALL, PUT = "IF2606.CFFEX", "IO2606-C-4600.CFFEX", "IO2606-P-4600.CFFEX"
BEGIN, HOURS = datetime(2022, 1, 5, 8, tzinfo=UTC), 12
SPECS = [
    {"vt_symbol": EURO, "name": "Euro", "product": "FUTURES", "pricetick": 0.00005, "price": 1.1, "limit_rate": 0.0},
    {"vt_symbol": CALL, "name": "Call", "product": "OPTION", "pricetick": 0.1, "price": 100, "limit_rate": 0.0},
    {"vt_symbol": PUT, "name": "Put", "product": "OPTION", "pricetick": 0.1, "price": 100, "limit_rate": 0.0},
    {"vt_symbol": FUTURE, "pricetick": 0.1, "limit_rate": 0.0},
]

Row = tuple[float, float, float, float]


def rows(path: Path, begin: int) -> Iterator[Row]:
    with gzip.open(path, "rt") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if begin <= number < begin + HOURS * 60:
                yield float(row["open"]), float(row["high"]), float(row["low"]), float(row["close"])


@pytest.fixture(scope="module")
def recording(recorded: Path) -> Recording:
    """The same hours of bitcoin and of the euro, which was recorded in another year; and options made of both."""
    bitcoin = list(rows(recorded / BITCOIN, int((BEGIN - datetime(2021, 12, 31, 23, tzinfo=UTC)).total_seconds() / 60)))
    euro = list(rows(recorded / EURO_FUTURE, 1000))
    bars = []
    for minute, (btc, eur) in enumerate(zip(bitcoin, euro, strict=True)):
        moment = (BEGIN + timedelta(minutes=minute)).astimezone(database.DB_TZ)
        future = [price / 10 for price in btc]
        noise = [(price - 1.09) * 10_000 for price in eur]
        prices = {
            BTC: btc,
            EURO: eur,
            FUTURE: future,
            PUT: [200.0] * 4,
            CALL: [max(200 + price - 4600 + extra, 1.0) for price, extra in zip(future, noise, strict=True)],
        }
        for vt_symbol, (open_, high, low, close) in prices.items():
            symbol, exchange = vt_symbol.split(".")
            bars.append(
                BarData(
                    "DB", symbol, Exchange(exchange), moment, interval=Interval.MINUTE, volume=1000, open_price=open_,
                    high_price=max(high, open_, close), low_price=min(low, open_, close), close_price=close,
                )
            )  # fmt: skip
    return Recording(bars)


CASES = [
    ("PairTradingStrategy", [BTC, EURO], 4),
    ("TrendFollowingStrategy", [BTC, EURO], 2),
    ("PcpArbitrageStrategy", [FUTURE, CALL, PUT], 3),
    ("PortfolioBollChannelStrategy", [BTC, EURO], 0),  # its bars are of two hours, and it wants a hundred first
]


def traded(recording: Recording, app: Any, class_name: str, symbols: list[str]) -> tuple[list[tuple[Any, ...]], Any]:
    """Replay the recording to a strategy, and return what was traded, and the strategy."""
    database.database = recording
    client = Client(event_engine=CoreEventEngine(0.05))
    try:
        client.connect(
            feed="replay", replay_symbols=",".join(symbols), speed=0.0, replay_begin="command", replay_in_flight=1,
            contracts=SPECS, balance=1e9,
        )  # fmt: skip
        client.settle()
        engine = client.main.add_app(app)
        engine.init_engine()
        name = f"{class_name} of {app.__name__}"  # both write the same files
        engine.add_strategy(class_name, name, symbols, {})
        if app is PortfolioStrategyApp:
            engine._init_strategy(name)
        else:
            engine.init_strategy(name).result(WAIT_S)
        engine.start_strategy(name)
        client.gateway.resume_replay()
        client.wait(lambda: any("replay has finished" in log.msg for log in client.of(EVENT_LOG)), 60)
        client.settle()
        strategy = engine.strategies[name]
        assert strategy.trading, "it has stopped itself"
        found: list[TradeData] = client.of(EVENT_TRADE)
        held: dict[str, float] = defaultdict(float)
        for trade in found:
            held[trade.vt_symbol] += trade.volume if trade.direction is Direction.LONG else -trade.volume
        assert {name: pos for name, pos in strategy.pos_data.items() if pos} == pytest.approx(
            {name: pos for name, pos in held.items() if pos}
        )
        engine.stop_strategy(name)
        assert engine.remove_strategy(name)
        engine.init_executor.shutdown()
        return [
            (each.vt_symbol, each.direction.name, each.offset.name, each.price, each.volume, each.datetime)
            for each in found
        ], strategy
    finally:
        client.close()
        database.database = None


@pytest.mark.parametrize(("class_name", "symbols", "least"), CASES, ids=[case[0] for case in CASES])
def test_it_trades_as_with_the_engine_of_vnpy(
    recording: Recording, class_name: str, symbols: list[str], least: int
) -> None:
    ours, strategy = traded(recording, CorePortfolioApp, class_name, symbols)
    theirs, other = traded(recording, PortfolioStrategyApp, class_name, symbols)
    assert ours == theirs
    assert len(ours) >= least
    assert (strategy.get_variables(), dict(strategy.target_data)) == (other.get_variables(), dict(other.target_data))
