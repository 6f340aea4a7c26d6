"""Charts: stored and live bars joined without a hole and without a double, longer ones, indicators, marks."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
import talib
from tests import facts
from tests.memory_facts import MemoryFacts

from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.bar_builder import BarBuilder, bar_series
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.chart_bars import WIDTHS, ChartInterval
from vnpy_core.data.history.memory import MemoryHistory
from vnpy_core.data.history.series import empty_series, to_micros
from vnpy_core.data.live_bars import LiveBars
from vnpy_core.data.past import PastFacts
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.strategy_fills import RecordedFill
from vnpy_core.data.tick_series import TimedTick, tick_series
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import Invalid
from vnpy_core.events import Event
from vnpy_core.models import Bar, Tick, to_timestamp
from vnpy_core.strategies.books import TradingDays
from vnpy_core.strategies.chart_reports import ChartBar
from vnpy_core.strategies.charts import ChartRequest, ChartService
from vnpy_core.trading.calendar import TradingCalendar, Weekdays

SYMBOL = "rb2501.SHFE"
SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)


def ticks_of(count: int, step_s: float, seed: int = 1, start: datetime = START) -> list[Tick]:
    chance = random.Random(seed)
    price, volume, made = 3500.0, 0.0, []
    for number in range(count):
        price += chance.choice((-1.0, 0.0, 1.0))
        volume += chance.randrange(5)
        moment = to_timestamp(start + timedelta(seconds=number * step_s + chance.random() * step_s / 2))
        made.append(
            msgspec.structs.replace(
                facts.tick(price=price), datetime=moment, volume=volume, turnover=volume * 3500,
                open_interest=float(number),
            )
        )
    return made


def bars_of(ticks: list[Tick]) -> list[dict[str, Any]]:
    """The minutes of all ticks, made in one go."""
    builder = BarBuilder()
    done = [bar for tick in ticks if (bar := builder.update(tick, micros(tick), 0.0)) is not None]
    done += builder.finish(0.0, everything=True)
    return [{name: getattr(bar, name) for name in bar.__struct_fields__} for bar in done]


def micros(tick: Tick) -> int:
    return to_micros(datetime.fromisoformat(tick.datetime))


class Journal:
    identity = 1


class Fills:
    """Recorded fills in memory."""

    def __init__(self) -> None:
        self.made: list[RecordedFill] = []

    async def read(
        self, take: Callable[[RecordedFill], None], *, vt_symbol: str | None = None, start: str | None = None
    ) -> None:
        for fill in self.made:
            if fill.vt_symbol == vt_symbol and fill.moment >= (start or ""):
                take(fill)


class Desk:
    """A chart service over a history in memory; ``told`` are the bars that were published."""

    def __init__(self) -> None:
        self.history = MemoryHistory()
        self.read_model = ReadModel()
        self.adapter = VnPyDataAdapter(self.history, LatestState(self.read_model))
        self.told: list[Bar] = []
        self.live = LiveBars(lambda events: self.told.extend(e.data for e in events if isinstance(e.data, Bar)))
        self.fills = Fills()
        past = PastFacts(MemoryFacts(), self.read_model, Journal())
        days = TradingDays(TradingCalendar(Weekdays()), SHANGHAI)
        self.charts = ChartService(
            self.history, self.adapter, self.live, past, self.fills, days, SHANGHAI  # type: ignore[arg-type]
        )

    def store_bars(self, ticks: list[Tick]) -> None:
        builder = BarBuilder()
        done = [bar for tick in ticks if (bar := builder.update(tick, micros(tick), 0.0)) is not None]
        self.history.save(bar_series([*done, *builder.finish(0.0, everything=True)]))

    def see(self, ticks: list[Tick]) -> None:
        self.live.on_events([Event(tick) for tick in ticks])

    async def chart(self, interval: str = "1m", **changes: Any) -> Any:
        return await self.charts.chart(
            ChartRequest(vt_symbol=SYMBOL, interval=ChartInterval(interval), **{"limit": 5000} | changes)
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    yield made
    await made.adapter.close()


def times(bars: list[ChartBar]) -> list[int]:
    return [to_micros(datetime.fromisoformat(bar.datetime)) for bar in bars]


@pytest.mark.parametrize("seed", range(6))
async def test_stored_bars_stored_ticks_and_live_ones_are_one_run(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    ticks = ticks_of(900, 7.0, seed)
    expected = bars_of(ticks)
    # Bars up to somewhere, ticks beyond, overlapping or not, and what was seen since the service began.
    first, second = sorted(chance.sample(range(100, 800), 2))
    desk.store_bars(ticks[:first])
    stored = ticks[max(0, first - chance.randrange(60)) : second]
    desk.history.save(tick_series([TimedTick.of(tick) for tick in stored]))
    desk.see(ticks[second - chance.randrange(20) :])
    chart = await desk.chart()
    assert times(chart.bars) == [bar["time"] for bar in expected]
    assert chart.gap is None
    assert chart.forming
    for bar, wanted in zip(chart.bars, expected, strict=True):
        assert bar.close_price == wanted["close_price"], bar.datetime
    # All but those amid which one source ends and another begins are the same to the last digit.
    whole = [
        all(getattr(bar, name) == wanted[name] for name in ("open_price", "high_price", "low_price", "volume"))
        for bar, wanted in zip(chart.bars, expected, strict=True)
    ]
    assert whole.count(False) <= 3


async def test_a_hole_before_the_live_bars_is_said(desk: Desk) -> None:
    ticks = ticks_of(600, 7.0)
    desk.store_bars(ticks[:200])
    desk.see(ticks[400:])
    chart = await desk.chart()
    assert chart.gap is not None
    missing = [bar["time"] for bar in bars_of(ticks) if bar["time"] not in times(chart.bars)]
    start, end = (to_micros(datetime.fromisoformat(moment)) for moment in (chart.gap.start, chart.gap.end))
    assert [start <= time < end for time in missing] == [True] * len(missing)
    assert len(missing) > 10


@pytest.mark.parametrize("interval", ["5m", "15m", "30m", "1h", "1d"])
async def test_longer_bars_are_made_of_minutes(desk: Desk, interval: str) -> None:
    ticks = ticks_of(3000, 61.0)  # some fifty hours: two nights
    desk.store_bars(ticks[:2500])
    desk.see(ticks[2400:])
    minutes = (await desk.chart()).bars
    chart = await desk.chart(interval)
    days = TradingDays(TradingCalendar(Weekdays()), SHANGHAI)
    groups: dict[str, list[ChartBar]] = {}
    for bar in minutes:
        if interval == "1d":
            day = days.of(Exchange.SHFE, bar.datetime)
            key = to_timestamp(datetime.fromisoformat(day).replace(tzinfo=SHANGHAI))
        else:
            time, width = times([bar])[0], WIDTHS[ChartInterval(interval)]
            key = to_timestamp(START + timedelta(microseconds=time - time % width - to_micros(START)))
        groups.setdefault(key, []).append(bar)
    assert [bar.datetime for bar in chart.bars] == list(groups)
    for bar, parts in zip(chart.bars, groups.values(), strict=True):
        assert (bar.open_price, bar.close_price) == (parts[0].open_price, parts[-1].close_price)
        assert bar.high_price == max(part.high_price or 0 for part in parts)
        assert bar.low_price == min(part.low_price or 0 for part in parts)
        assert bar.volume == pytest.approx(sum(part.volume or 0 for part in parts))
    assert chart.forming
    newest = await desk.chart(interval, limit=2)
    assert newest.bars == chart.bars[-2:]


async def test_stored_days_are_there_where_minutes_are_not(desk: Desk) -> None:
    midnight = datetime(2026, 1, 5, tzinfo=SHANGHAI)
    old = empty_series("rb2501", Exchange.SHFE, Interval.DAILY)
    columns = {name: np.full(3, 100.0) for name in old.columns if name != "datetime"}
    columns["datetime"] = np.array([to_micros(midnight - timedelta(days=number)) for number in (3, 2, 0)], np.int64)
    desk.history.save([msgspec.structs.replace(old, columns=columns)])
    desk.see(ticks_of(100, 7.0))
    chart = await desk.chart("1d")
    assert len(chart.bars) == 3
    assert [bar.close_price for bar in chart.bars[:2]] == [100, 100]
    assert chart.bars[2].close_price != 100  # today's goes on
    assert (await desk.chart("1h")).bars[0].volume is not None


async def test_pages_go_on_where_the_one_before_ended(desk: Desk) -> None:
    desk.store_bars(ticks_of(900, 20.0))
    for interval in ("1m", "5m"):
        whole = (await desk.chart(interval)).bars
        start: datetime | None = datetime.fromisoformat(whole[3].datetime)
        found: list[ChartBar] = []
        while start is not None:
            page = await desk.chart(interval, start=start, limit=17)
            found += page.bars
            start = datetime.fromisoformat(page.next_cursor) if page.next_cursor else None
        assert found == whole[3:]
        end = datetime.fromisoformat(whole[-5].datetime)
        assert (await desk.chart(interval, end=end, limit=4)).bars == whole[-8:-4]
    with pytest.raises(Invalid):
        await desk.chart(start=START, end=START - timedelta(1))


async def test_indicators_are_talibs_over_all_there_is(desk: Desk) -> None:
    desk.store_bars(ticks_of(4000, 20.0))
    close = np.array([bar.close_price for bar in (await desk.chart()).bars])
    asked = ("SMA:30", "MACD:12,26,9", "rsi", "NOPE", "SMA:0", "BBANDS:timeperiod=10,nbdevup=3")
    middle = datetime.fromisoformat((await desk.chart()).bars[700].datetime)
    for place, chart in (
        (slice(-50, None), await desk.chart(indicators=asked, limit=50)),
        (slice(700, 750), await desk.chart(indicators=asked, limit=50, start=middle)),
    ):
        sma, macd, rsi, nope, bad, bands = chart.indicators
        assert sma.outputs["real"] == pytest.approx(talib.SMA(close, 30)[place])
        assert macd.outputs["macdhist"] == pytest.approx(talib.MACD(close, 12, 26, 9)[2][place], abs=1e-6)
        assert rsi.outputs["real"] == pytest.approx(talib.RSI(close, 14)[place], abs=1e-6)
        assert bands.outputs["upperband"] == pytest.approx(talib.BBANDS(close, 10, 3, 2)[0][place])
        assert (nope.code, bad.code) == ("unknown_indicator", "bad_parameters")
        assert not nope.outputs
        assert len(chart.bars) == 50


async def test_no_bars_at_all_are_an_empty_chart(desk: Desk) -> None:
    chart = await desk.chart("5m", indicators=["SMA:3"], strategy="demo")
    assert (chart.bars, chart.forming, chart.trades, chart.orders) == ([], False, [], [])
    assert chart.indicators[0].outputs == {"real": []}


async def test_marks_are_the_strategys_own_in_the_time_of_the_bars(desk: Desk) -> None:
    desk.store_bars(ticks_of(100, 30.0))
    inside, outside = to_timestamp(START + timedelta(minutes=10)), to_timestamp(START + timedelta(days=2))
    for number, (reference, moment) in enumerate(
        [("CtaStrategy_demo", inside), ("CtaStrategy_other", inside), ("CtaStrategy_demo", outside)]
    ):
        order = facts.order(number, reference=reference, datetime=moment)
        desk.read_model.apply([Event(order, seq=number + 1, ts=moment)])
        desk.fills.made.append(
            RecordedFill(
                vt_tradeid=f"T{number}", vt_orderid=order.vt_orderid, vt_symbol=SYMBOL, symbol="rb2501",
                exchange=Exchange.SHFE, direction=order.direction, offset=order.offset, price=3500.0, volume=1.0,
                moment=moment, seq=number, reference=reference, ordered=None,
            )
        )  # fmt: skip
    chart = await desk.chart(strategy="demo")
    assert [trade.vt_tradeid for trade in chart.trades] == ["T0"]
    assert [order.vt_orderid for order in chart.orders] == ["SIM.0"]
    assert (await desk.chart()).trades == []


async def test_bars_are_told_once_they_are_complete(desk: Desk) -> None:
    ticks = ticks_of(200, 7.0)
    desk.see(ticks[:120])
    desk.see(ticks[120:])
    assert desk.told == []  # not between the ticks that they are made of
    await asyncio.sleep(0)
    chart = await desk.chart()
    told = [(bar.datetime, bar.close_price, bar.volume) for bar in desk.told]
    assert told == [(bar.datetime, bar.close_price, bar.volume) for bar in chart.bars[:-1]]
    assert Event(desk.told[0]).topic == "bar.MINUTE.rb2501.SHFE"
