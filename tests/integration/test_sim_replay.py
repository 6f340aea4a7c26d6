"""Replays of real recordings through SimGateway, with vn.py's own CTA engine and unmodified strategies on them."""

import csv
import gzip
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from vnpy.event import Event
from vnpy.trader import database
from vnpy.trader.constant import Direction, Exchange, Interval, Offset, OrderType
from vnpy.trader.event import EVENT_LOG, EVENT_TICK, EVENT_TRADE
from vnpy.trader.object import BarData, HistoryRequest, TickData
from vnpy_ctastrategy import CtaStrategyApp

from tests.integration.sim_client import BITCOIN, REBAR, Client, client
from tests.recorded import BITCOIN as BITCOIN_BARS
from tests.recorded import YEN as YEN_QUOTES
from tests.unit.engine.sim.recording import Recording, bar
from vnpy_core.engine.sim.replay import ReplayProgress
from vnpy_core.errors import ConfigError

USDJPY = "USDJPY.IDEALPRO"
START = datetime(2022, 1, 3, tzinfo=UTC)


def rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


@pytest.fixture(scope="module")
def bitcoin(recorded: Path) -> Recording:
    """Five days of bars; the file's times are the ends of the minutes."""
    bars = []
    for row in rows(recorded / BITCOIN_BARS):
        moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC) - timedelta(minutes=1)
        if not START <= moment < START + timedelta(days=5):
            continue
        prices = {f"{name}_price": float(row[name]) for name in ("open", "high", "low", "close")}
        bars.append(
            BarData(
                "DB", "BTCUSDT", Exchange.GLOBAL, moment.astimezone(database.DB_TZ), interval=Interval.MINUTE,
                volume=float(row["volume"]), **prices,
            )
        )  # fmt: skip
    assert len(bars) == 5 * 1440
    return Recording(bars)


@pytest.fixture(scope="module")
def yen(recorded: Path) -> Recording:
    return Recording(
        ticks=[
            TickData(
                "DB", "USDJPY", Exchange.IDEALPRO, datetime.fromisoformat(row["timestamp"]),
                bid_price_1=float(row["bid"]), ask_price_1=float(row["ask"]),
            )
            for row in rows(recorded / YEN_QUOTES)
        ]
    )  # fmt: skip


@pytest.fixture
def sim() -> Iterator[Client]:
    with client() as made:
        yield made
    database.database = None


def replay(sim: Client, recording: Recording, vt_symbol: str, **setting: Any) -> None:
    database.database = recording
    fields = {"feed": "replay", "replay_symbols": vt_symbol, "speed": 0.0, "replay_begin": "command"} | setting
    sim.connect(**fields)


def progress(sim: Client) -> ReplayProgress:
    found = sim.gateway.replay_progress
    assert found is not None
    return found


def run(sim: Client, timeout_s: float = 60.0) -> None:
    """Let the replay begin and wait for its end, and until all it has brought about is handled."""
    sim.gateway.resume_replay()
    sim.wait(lambda: any("replay has finished" in log.msg for log in sim.of(EVENT_LOG)), timeout_s)
    sim.settle()


def test_recorded_quotes_are_the_market(sim: Client, yen: Recording) -> None:
    replay(sim, yen, USDJPY, replay_interval="TICK")
    sim.subscribe(USDJPY)
    run(sim)
    ticks = sim.of(EVENT_TICK)
    assert len(ticks) == len(yen.ticks) == 1000
    for tick, recorded in zip(ticks, yen.ticks, strict=True):
        assert tick.datetime == recorded.datetime
        assert tick.datetime.tzinfo is database.DB_TZ
        assert (tick.bid_price_1, tick.ask_price_1) == (recorded.bid_price_1, recorded.ask_price_1)
        assert tick.bid_price_1 <= tick.last_price <= tick.ask_price_1
    assert progress(sim).state == "FINISHED"
    filled = sim.send(10_000, vt_symbol=USDJPY, offset=Offset.NONE)
    sim.wait_for_state(filled, "ALLTRADED")
    (fill,) = sim.fills(filled)
    assert (fill.price, fill.datetime) == (ticks[-1].ask_price_1, ticks[-1].datetime)


def test_orders_meet_the_very_quote_they_answer_and_the_run_repeats_exactly(yen: Recording) -> None:
    """At full speed the market waits for its client: nothing passes between a tick and the order it brings about."""
    runs = []
    for _ in range(2):
        with client() as sim:
            asks = []

            def on_tick(event: Event, sim: Client = sim, asks: list[float] = asks) -> None:
                if len(sim.of(EVENT_TICK)) % 50 == 0:
                    asks.append(event.data.ask_price_1)
                    sim.send(1000, vt_symbol=USDJPY, offset=Offset.NONE)

            sim.event_engine.register(EVENT_TICK, on_tick)
            replay(sim, yen, USDJPY, replay_interval="TICK")
            sim.subscribe(USDJPY)
            run(sim)
            fills = sim.of(EVENT_TRADE)
            assert [fill.price for fill in fills] == asks
            runs.append([(fill.price, fill.volume, fill.datetime) for fill in fills])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 20
    database.database = None


@pytest.mark.parametrize("in_flight", [1, 100])
def test_a_slow_client_is_waited_for(sim: Client, bitcoin: Recording, in_flight: int) -> None:
    depths: list[int] = []

    def slow(event: Event) -> None:
        depths.append(sim.event_engine._queue.qsize())
        if len(depths) % 40 == 0:
            time.sleep(0.005)

    sim.event_engine.register(EVENT_TICK, slow)
    replay(sim, bitcoin, BITCOIN, replay_in_flight=in_flight, replay_end="2022-01-03T20:00")
    sim.subscribe(BITCOIN)
    run(sim)
    assert len(depths) == (12 * 60 + 1) * 4 - 3  # from 8:00 to the first tick at 20:00, in Shanghai
    assert max(depths) <= 3 * in_flight + 20


def test_speed_is_kept(sim: Client, bitcoin: Recording) -> None:
    replay(sim, bitcoin, BITCOIN, speed=600.0, replay_begin="subscribe")
    assert progress(sim).state == "WAITING"
    sim.subscribe(BITCOIN)
    sim.wait(lambda: len(sim.of(EVENT_TICK)) > 20)
    first, began = sim.of(EVENT_TICK)[0].datetime, time.monotonic()
    start = sim.of(EVENT_TICK)[-1].datetime
    sim.wait(lambda: sim.of(EVENT_TICK)[-1].datetime - first > timedelta(minutes=15))
    rate = (sim.of(EVENT_TICK)[-1].datetime - start).total_seconds() / (time.monotonic() - began)
    assert 300 < rate < 1200
    assert 0 < progress(sim).fraction < 0.1


def test_history_is_of_the_replays_time(sim: Client, bitcoin: Recording) -> None:
    replay(sim, bitcoin, BITCOIN, replay_start="2022-01-05T08:00", replay_end="2022-01-05T08:10")
    now = datetime.now(database.DB_TZ)
    request = HistoryRequest("BTCUSDT", Exchange.GLOBAL, now - timedelta(hours=3), now, Interval.MINUTE)
    bars = sim.main.query_history(request, "SIM")
    assert len(bars) == 180
    assert bars[-1].datetime == datetime(2022, 1, 5, 7, 59, tzinfo=database.DB_TZ)


def test_pausing_and_beginning_again(sim: Client, bitcoin: Recording) -> None:
    replay(sim, bitcoin, BITCOIN, replay_end="2022-01-03T09:00")
    sim.subscribe(BITCOIN)
    sim.gateway.resume_replay()
    sim.gateway.pause_replay()
    sim.settle()
    assert progress(sim).state in ("PAUSED", "FINISHED")
    run(sim)
    count = len(sim.of(EVENT_TICK))
    sim.gateway.inject(disconnect=True)
    sim.connect(  # a connection that comes back does not begin again …
        feed="replay", replay_symbols=BITCOIN, speed=0.0, replay_begin="command", replay_end="2022-01-03T09:00"
    )
    assert progress(sim).state == "FINISHED"
    replay(sim, bitcoin, BITCOIN, replay_end="2022-01-03T09:00")  # … a new one does, once it is told to
    assert progress(sim).state == "WAITING"
    sim.gateway.resume_replay()
    sim.wait(lambda: len(sim.of(EVENT_TICK)) > 2 * count)


def test_a_replay_that_was_interrupted_goes_on(bitcoin: Recording, tmp_path: Path) -> None:
    path = str(tmp_path / "sim.db")
    seen: list[datetime] = []
    for part in range(2):
        with client() as sim:
            replay(sim, bitcoin, BITCOIN, persist=path, speed=0.0 if part else 6000.0, replay_end="2022-01-03T12:00")
            sim.subscribe(BITCOIN)
            if part:
                assert progress(sim).clock == seen[-1]
                run(sim)
            else:
                sim.gateway.resume_replay()
                sim.wait(lambda sim=sim: len(sim.of(EVENT_TICK)) > 100)
                sim.gateway.close()
                sim.settle()
            seen += [tick.datetime for tick in sim.of(EVENT_TICK)]
    assert len(seen) == len(set(seen)) == (4 * 60 + 1) * 4 - 3
    assert seen == sorted(seen)
    database.database = None


def test_a_recording_that_is_not_there_is_said_at_once(sim: Client) -> None:
    with pytest.raises(ConfigError, match=r"BTCUSDT\.GLOBAL"):
        replay(sim, Recording(), BITCOIN)


class Broken(Recording):
    """Raises once, in the middle."""

    def load_bar_data(self, *args: Any) -> list[BarData]:
        if len(self.loads) == 2:
            self.loads.append(self.loads[-1])
            raise OSError("the disk is gone")
        return super().load_bar_data(*args)


def test_a_store_that_fails_stops_the_market_and_says_so(sim: Client, bitcoin: Recording) -> None:
    replay(sim, Broken(bitcoin.bars), BITCOIN, replay_begin="connect")
    sim.subscribe(BITCOIN)
    sim.wait(lambda: any("the disk is gone" in log.msg for log in sim.of(EVENT_LOG)))
    sim.forget()
    replay(sim, bitcoin, BITCOIN, replay_begin="connect")
    sim.wait_for_tick(BITCOIN)


def test_closing_does_not_wait_for_a_client_that_does_not_answer(sim: Client, bitcoin: Recording) -> None:
    held, release = threading.Event(), threading.Event()

    def stuck(event: Event) -> None:
        held.set()
        release.wait()

    replay(sim, bitcoin, BITCOIN, replay_begin="subscribe")
    sim.event_engine.register(EVENT_TICK, stuck)
    sim.subscribe(BITCOIN)
    assert held.wait(10)
    began = time.monotonic()
    sim.gateway.close()
    assert time.monotonic() - began < 5
    release.set()


def made_up() -> Recording:
    """An hour of minutes: no recorded file is needed."""
    start = datetime(2026, 1, 5, 9, tzinfo=database.DB_TZ)
    return Recording([bar(start + timedelta(minutes=n), 3500, 3505, 3495, 3502) for n in range(60)])


def test_a_replay_that_has_finished_stays_finished_until_it_is_asked_for(tmp_path: Path) -> None:
    recording, path = made_up(), str(tmp_path / "sim.db")
    with client() as sim:
        replay(sim, recording, REBAR, persist=path)
        sim.subscribe(REBAR)
        run(sim)
        order = sim.send(1, 3600, vt_symbol=REBAR)
        sim.wait_for_state(order, "ALLTRADED")
    with client() as sim:  # the service is started again
        replay(sim, recording, REBAR, persist=path, replay_begin="connect")
        sim.subscribe(REBAR)
        sim.wait(lambda: any("replay has finished before" in log.msg for log in sim.of(EVENT_LOG)))
        assert (progress(sim).state, progress(sim).fraction, progress(sim).ticks) == ("FINISHED", 1, 0)
        assert "begin anew" in (sim.gateway.status_note or "")
        assert sim.of(EVENT_TICK) == []
        assert [each.vt_orderid for each in sim.of(EVENT_TRADE)] == [order]

        sim.gateway.close()
        sim.forget()
        replay(sim, recording, REBAR, persist=path)  # by hand: that is to see it again
        run(sim)
        assert len(sim.of(EVENT_TICK)) == progress(sim).ticks == 240
    with client() as sim:
        replay(sim, recording, REBAR, persist=path, replay_repeat=True)
        sim.subscribe(REBAR)
        run(sim)
        assert len(sim.of(EVENT_TICK)) == 240
    database.database = None


def test_a_replay_in_the_middle_of_its_repetition_is_not_over(tmp_path: Path) -> None:
    recording, path = made_up(), str(tmp_path / "sim.db")
    with client() as sim:
        replay(sim, recording, REBAR, persist=path)
        run(sim)
        replay(sim, recording, REBAR, persist=path)
        assert progress(sim).state == "WAITING"
    with client() as sim:
        replay(sim, recording, REBAR, persist=path)
        assert progress(sim).state == "WAITING"
    database.database = None


@pytest.mark.parametrize("class_name", ["AtrRsiStrategy", "DoubleMaStrategy", "BollChannelStrategy"])
def test_official_strategies_trade_on_it(sim: Client, bitcoin: Recording, class_name: str) -> None:
    replay(sim, bitcoin, BITCOIN, replay_start="2022-01-05T08:00", replay_end="2022-01-06T08:00")
    sim.settle()
    cta = sim.main.add_app(CtaStrategyApp)
    try:
        cta.init_engine()
        cta.add_strategy(class_name, "tested", BITCOIN, {})
        cta.init_strategy("tested").result(30)
        cta.start_strategy("tested")
        strategy = cta.strategies["tested"]
        assert strategy.trading
        run(sim)
        assert strategy.trading, "the strategy has stopped itself"
        trades = sim.of(EVENT_TRADE)
        assert len(trades) >= 2
        net = sum(trade.volume if trade.direction is Direction.LONG else -trade.volume for trade in trades)
        held = {position.vt_symbol: position.volume for position in sim.main.get_all_positions()}
        assert strategy.pos == pytest.approx(net)
        assert held[BITCOIN] == pytest.approx(net)
        by_order: dict[str, float] = defaultdict(float)
        for trade in trades:
            by_order[trade.vt_orderid] += trade.volume
        for order in sim.main.get_all_orders():
            assert order.traded == pytest.approx(by_order[order.vt_orderid])
            assert order.status.name != "REJECTED", order.extra
        stops = [order for order in sim.main.get_all_orders() if order.type is OrderType.STOP]
        assert bool(stops) is (class_name != "DoubleMaStrategy")
        cta.stop_strategy("tested")
        assert cta.remove_strategy("tested")
    finally:
        cta.init_executor.shutdown()
