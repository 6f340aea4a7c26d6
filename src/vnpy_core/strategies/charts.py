"""ChartService: bars of an interval joined to the live one, indicators over them, and a strategy's fills and orders."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.data import chart_bars, indicators
from vnpy_core.data.adapter import timestamps
from vnpy_core.data.bar_builder import MINUTE_MICROS
from vnpy_core.data.chart_bars import WIDTHS, ChartInterval, Columns
from vnpy_core.data.history.series import parse_vt_symbol, to_micros, to_moment
from vnpy_core.data.live_bars import LiveBars
from vnpy_core.data.past import PastFacts
from vnpy_core.data.strategy_fills import RecordedFill, StrategyFills
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import Invalid
from vnpy_core.models import Order, to_timestamp
from vnpy_core.ports import BAR_COLUMNS, HistoryStore, Series
from vnpy_core.strategies.books import TradingDays, strategy_of_reference
from vnpy_core.strategies.chart_reports import Chart, ChartBar, ChartGap, ChartTrade
from vnpy_core.trading.filters import OrderFilter

MOST_BARS = 5000
_MOST_WARM_UP = 5000
_MOST_MINUTES = 400_000
_MOST_MARKS = 2000
_DAY_MINUTES = 1440
_STORED = {ChartInterval.HOUR: Interval.HOUR, ChartInterval.DAY: Interval.DAILY}


class Reads(Protocol):
    """The data adapter: runs what blocks on threads of its own."""

    async def run(self, work: Callable[..., Any], *args: Any) -> Any: ...


class ChartRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``start`` and ``end`` are of bars, both inside; without ``start`` the newest ``limit`` up to ``end``."""

    vt_symbol: str
    interval: ChartInterval = ChartInterval.MINUTE
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 500
    strategy: str | None = None
    indicators: Sequence[str] = ()


class ChartService:
    """Loop only; what blocks or computes runs on the adapter's threads."""

    def __init__(
        self,
        history: HistoryStore,
        reads: Reads,
        live: LiveBars,
        past: PastFacts,
        fills: StrategyFills,
        days: TradingDays,
        zone: ZoneInfo,
    ) -> None:
        self._history = history
        self._reads = reads
        self._live = live
        self._past = past
        self._fills = fills
        self._days = days
        self._zone = zone

    async def catalogue(self) -> list[indicators.Indicator]:
        return list((await asyncio.to_thread(indicators.catalogue)).values())

    async def chart(self, request: ChartRequest) -> Chart:
        """Raises:
        Invalid: no such symbol can be.
        Unavailable: the history store or the database is down.
        """
        if request.start is not None and request.end is not None and request.start > request.end:
            raise Invalid("from is after to", errors=[{"field": "to", "message": "is before from"}])
        symbol, exchange = parse_vt_symbol(request.vt_symbol)
        live = self._live.minutes(request.vt_symbol)
        made = await self._reads.run(self._made, symbol, exchange, request, chart_bars.of_live(live))
        bars, computed, more, gap = made
        forming = bool(live and len(bars["datetime"]) and self._is_of(request, exchange, live[-1].time, bars))
        trades: list[ChartTrade] = []
        orders: list[Order] = []
        if request.strategy is not None and len(bars["datetime"]):
            first, last = int(bars["datetime"][0]), int(bars["datetime"][-1]) + WIDTHS[request.interval] - 1
            trades, orders = await self._marks(request, to_moment(first), to_moment(last))
        return Chart(
            vt_symbol=request.vt_symbol,
            interval=request.interval,
            bars=_rows(bars),
            forming=forming,
            gap=gap,
            indicators=computed,
            trades=trades,
            orders=orders,
            next_cursor=more,
        )

    # -- on a thread of the adapter

    def _made(
        self, symbol: str, exchange: Exchange, request: ChartRequest, live: Columns
    ) -> tuple[Columns, list[indicators.IndicatorValues], str | None, ChartGap | None]:
        asked: list[indicators.Asked | indicators.IndicatorValues] = []
        for text in request.indicators:
            try:
                asked.append(indicators.parse(text))
            except indicators.Refused as error:
                asked.append(indicators.refused(text, error))
        computable = [each for each in asked if isinstance(each, indicators.Asked)]
        warm_up = min(indicators.warm_up(computable), _MOST_WARM_UP)
        first = None if request.start is None else to_micros(request.start)
        last = None if request.end is None else to_micros(request.end)
        more = None
        if first is None:
            whole = self._bars(symbol, exchange, request.interval, None, last, request.limit + warm_up, live)
            whole = _last(whole, request.limit + warm_up)
            count = min(request.limit, len(whole["datetime"]))
        else:
            bars = self._bars(symbol, exchange, request.interval, first, last, request.limit + 1, live)
            if len(bars["datetime"]) > request.limit:
                more = to_timestamp(to_moment(int(bars["datetime"][request.limit])))
                bars = {name: column[: request.limit] for name, column in bars.items()}
            count = len(bars["datetime"])
            before = chart_bars.empty()
            if warm_up:
                before = self._bars(symbol, exchange, request.interval, None, first - 1, warm_up, live)
            whole = chart_bars.joined([_last(before, warm_up), bars])
        values = [
            each if isinstance(each, indicators.IndicatorValues) else indicators.compute(each, whole, count)
            for each in asked
        ]
        bars = _last(whole, count)
        return bars, values, more, self._gap(symbol, exchange, live)

    def _bars(
        self,
        symbol: str,
        exchange: Exchange,
        interval: ChartInterval,
        first: int | None,
        last: int | None,
        limit: int,
        live: Columns,
    ) -> Columns:
        """Return at least the first ``limit`` bars from ``first``, or the last ones up to ``last``, if there are."""
        if interval is ChartInterval.MINUTE:
            return chart_bars.between(self._minutes(symbol, exchange, first, last, limit, live), first, last)
        width = WIDTHS[interval]
        per_bar = _DAY_MINUTES if interval is ChartInterval.DAY else width // MINUTE_MICROS
        # Whole bars: from the start of the first to the end of the last.
        begin = None if first is None else (first if interval is ChartInterval.DAY else first - first % width) - width
        end = None if last is None else last + 2 * width
        minutes = self._minutes(symbol, exchange, begin, end, min((limit + 2) * per_bar, _MOST_MINUTES), live)
        starts = chart_bars.starts_of(
            minutes["datetime"], interval, lambda micros: self._day_start(exchange, micros)
        )
        made = chart_bars.longer(minutes, starts)
        stored = _STORED.get(interval)
        if stored is not None:
            kept = self._load(symbol, exchange, stored, first, last, limit)
            # Where minutes begin amid a bar, or have holes, the stored one knows better; but not of what goes on.
            going_on = made["datetime"][-1] if len(made["datetime"]) and len(live["datetime"]) else None
            made = chart_bars.joined([made, kept, _from(made, going_on)])
        return chart_bars.between(made, first, last)

    def _minutes(
        self, symbol: str, exchange: Exchange, first: int | None, last: int | None, limit: int, live: Columns
    ) -> Columns:
        """Return stored minutes, those that stored ticks make where there are none, and live ones."""
        stored = self._load(symbol, exchange, Interval.MINUTE, first, last, limit)
        times = stored["datetime"]
        # Ticks go on where bars end, perhaps amid the last one; of the far past they are not asked.
        resume = int(times[-1]) if len(times) else first
        if last is None or resume is None or resume <= last:
            series = self._history.bars_from_ticks(
                symbol, exchange, Interval.MINUTE, None if resume is None else to_moment(resume),
                None if last is None else to_moment(last), limit=limit, newest=first is None,
            )  # fmt: skip
            stored = chart_bars.continued(stored, _columns(series))
        return chart_bars.continued(stored, chart_bars.between(live, first, last))

    def _load(
        self, symbol: str, exchange: Exchange, interval: Interval, first: int | None, last: int | None, limit: int
    ) -> Columns:
        series = self._history.load(
            symbol, exchange, interval, None if first is None else to_moment(first),
            None if last is None else to_moment(last), limit=limit, newest=first is None,
        )  # fmt: skip
        return _columns(series)

    def _gap(self, symbol: str, exchange: Exchange, live: Columns) -> ChartGap | None:
        """Return what lies between the stored and the live bars, if anything can."""
        if not len(live["datetime"]):
            return None
        begin = int(live["datetime"][0])
        before = self._minutes(symbol, exchange, None, begin - 1, 1, chart_bars.empty())
        if not len(before["datetime"]):
            return None
        last = int(before["datetime"][-1]) + MINUTE_MICROS
        if begin <= last:
            return None
        return ChartGap(start=to_timestamp(to_moment(last)), end=to_timestamp(to_moment(begin)))

    def _day_start(self, exchange: Exchange, micros: int) -> int:
        """Return midnight, in the zone of trading, of the trading day: what vn.py dates daily bars by."""
        day = date.fromisoformat(self._days.of(exchange, to_timestamp(to_moment(micros))))
        return to_micros(datetime.combine(day, time(), self._zone))

    # -- on the loop

    def _is_of(self, request: ChartRequest, exchange: Exchange, minute: int, bars: Columns) -> bool:
        """Tell whether the last bar is the one that the live minute belongs to."""
        starts = chart_bars.starts_of(
            np.array([minute], np.int64), request.interval, lambda micros: self._day_start(exchange, micros)
        )
        return bool(starts[0] == bars["datetime"][-1])

    async def _marks(
        self, request: ChartRequest, first: datetime, last: datetime
    ) -> tuple[list[ChartTrade], list[Order]]:
        start, end = to_timestamp(first), to_timestamp(last)
        found: list[RecordedFill] = []

        def take(fill: RecordedFill) -> None:
            if fill.moment <= end and strategy_of_reference(fill.reference) == request.strategy:
                found.append(fill)

        await self._fills.read(take, vt_symbol=request.vt_symbol, start=start)
        which = OrderFilter(vt_symbol=request.vt_symbol, strategy=request.strategy)
        page = await self._past.orders(which, start, end, None, _MOST_MARKS)
        orders = [msgspec.json.decode(payload, type=Order) for payload in page.payloads]
        return [_mark(fill) for fill in found[-_MOST_MARKS:]], orders


def _mark(fill: RecordedFill) -> ChartTrade:
    return ChartTrade(
        datetime=fill.moment, vt_tradeid=fill.vt_tradeid, vt_orderid=fill.vt_orderid, direction=fill.direction,
        offset=fill.offset, price=fill.price, volume=fill.volume,
    )  # fmt: skip


def _columns(series: Series) -> Columns:
    return {name: series.columns[name] for name in ("datetime", *BAR_COLUMNS)}


def _last(columns: Columns, count: int) -> Columns:
    length = len(columns["datetime"])
    return {name: column[max(0, length - count) :] for name, column in columns.items()}


def _from(columns: Columns, first: int | None) -> Columns:
    return chart_bars.empty() if first is None else chart_bars.between(columns, int(first), None)


def _rows(columns: Mapping[str, NDArray[Any]]) -> list[ChartBar]:
    values = {name: columns[name].astype(np.float64).tolist() for name in BAR_COLUMNS}
    for name in BAR_COLUMNS:
        for place in np.flatnonzero(~np.isfinite(columns[name])).tolist():
            values[name][place] = None
    names = ("datetime", *BAR_COLUMNS)
    rows = zip(timestamps(columns["datetime"]), *(values[name] for name in BAR_COLUMNS), strict=True)
    return [ChartBar(**dict(zip(names, row, strict=True))) for row in rows]

