"""Recorded ticks and bars of the history store as the ticks of a market: read in pieces, completed, in order."""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

from vnpy.trader.constant import Interval
from vnpy.trader.database import BaseDatabase
from vnpy.trader.object import BarData, TickData

from vnpy_core.engine.sim.contracts import Instrument
from vnpy_core.engine.sim.session import trading_day_bounds

INTERVALS = {
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(hours=1),
    Interval.DAILY: timedelta(days=1),
    Interval.WEEKLY: timedelta(weeks=1),
}
_FIRST_WINDOW = {
    Interval.TICK: timedelta(hours=1),
    Interval.MINUTE: timedelta(days=1),
    Interval.HOUR: timedelta(days=30),
    Interval.DAILY: timedelta(days=720),
    Interval.WEEKLY: timedelta(days=3600),
}
_WIDEST_WINDOW = timedelta(days=3600)
_FEW_ROWS, _MANY_ROWS = 1_000, 20_000
_STEP = timedelta(microseconds=1)
# Where in its bar each of the four ticks stands: the last just before the end, so that it stays in the bar's minute.
_MOMENTS = (0.0, 1 / 3, 2 / 3, 59 / 60)
_LEVELS = range(1, 6)

_Row = TypeVar("_Row", BarData, TickData)


def in_pieces(
    load: Callable[[datetime, datetime], Sequence[_Row]], start: datetime, end: datetime, window: timedelta
) -> Iterator[_Row]:
    """Yield the rows from ``start`` to ``end`` in pieces whose length adapts: none is large, and gaps cost little."""
    while start <= end:
        following = min(start + window, end + _STEP)
        rows = load(start, following - _STEP)
        yield from rows
        start = following
        if len(rows) < _FEW_ROWS:
            window = min(window * 2, _WIDEST_WINDOW)
        elif len(rows) > _MANY_ROWS:
            window = max(window / 2, timedelta(seconds=1))


def recorded_ticks(
    database: BaseDatabase, market: "RecordedMarket", interval: Interval, start: datetime, end: datetime
) -> Iterator[TickData]:
    """Yield one contract's market from the store, from ``start`` to ``end``, both aware and included."""
    spec, exchange, zone = market.instrument.spec, market.instrument.exchange, market.zone
    start, end = start.astimezone(UTC), end.astimezone(UTC)  # steps of equal length, also where clocks are changed

    def load_ticks(first: datetime, last: datetime) -> list[TickData]:
        return database.load_tick_data(spec.symbol, exchange, first.astimezone(zone), last.astimezone(zone))

    def load_bars(first: datetime, last: datetime) -> list[BarData]:
        return database.load_bar_data(spec.symbol, exchange, interval, first.astimezone(zone), last.astimezone(zone))

    if interval is Interval.TICK:
        for tick in in_pieces(load_ticks, start, end, _FIRST_WINDOW[interval]):
            yield from market.complete(tick)
        return
    length = INTERVALS[interval]
    # A bar that began before ``start`` may still have ticks to come.
    for bar in in_pieces(load_bars, start - length + _STEP, end, _FIRST_WINDOW[interval]):
        yield from (tick for tick in market.unfold(bar, length) if start <= tick.datetime <= end)


class RecordedMarket:
    """Completes what was not recorded of one contract's market: the last price, the book, the day's statistics."""

    def __init__(self, gateway_name: str, instrument: Instrument, zone: tzinfo) -> None:
        self.instrument = instrument
        self._gateway_name = gateway_name
        self.zone = zone
        self._last = 0.0
        self._pre_close = 0.0
        self._day_end: datetime | None = None
        self._open = self._high = self._low = 0.0
        self._volume = self._turnover = 0.0

    def complete(self, recorded: TickData) -> Iterator[TickData]:
        """Yield a recorded tick as the market's: a copy without gaps, or nothing if it has no price at all."""
        tick = copy(recorded)
        fields = vars(tick)
        fields.update({name: 0.0 for name, value in fields.items() if isinstance(value, float) and math.isnan(value)})
        tick.gateway_name = self._gateway_name
        tick.datetime = self._local(recorded.datetime)
        tick.name = tick.name or self.instrument.spec.name
        if not tick.last_price > 0:
            tick.last_price = self._middle(tick.bid_price_1, tick.ask_price_1)
            if not tick.last_price > 0:
                return
        if tick.bid_price_1 > 0 or tick.ask_price_1 > 0:
            shown = self.instrument.volume_of(self.instrument.spec.depth)
            for side in ("bid", "ask"):
                for level in _LEVELS:
                    if fields[f"{side}_price_{level}"] > 0 and not fields[f"{side}_volume_{level}"] > 0:
                        fields[f"{side}_volume_{level}"] = shown
        else:
            self._display(tick, self.instrument.spec.depth)
        self._last = tick.last_price
        yield tick

    def unfold(self, bar: BarData, length: timedelta) -> Iterator[TickData]:
        """Yield the four ticks of a bar: open, the two extremes in the likelier order, close.

        Each carries a quarter of the bar's volume. A tick at or above the one before shows its price as the bid, one
        below shows it as the ask: so an order that rests at a bar's extreme is reached.
        """
        start = self._local(bar.datetime)
        low, high = bar.low_price, bar.high_price
        extremes = (low, high) if bar.close_price >= bar.open_price else (high, low)
        prices = (bar.open_price, *extremes, bar.close_price)
        if not all(price > 0 for price in prices):
            return
        volume, turnover = _known(bar.volume) / 4, _known(bar.turnover) / 4
        lots = self.instrument.whole_lots(volume / len(_LEVELS)) or (1 if volume else self.instrument.spec.depth)
        for moment, price in zip(_MOMENTS, prices, strict=True):
            now = start + length * moment
            self._count(now, price, volume, turnover or price * volume * self.instrument.spec.size)
            tick = TickData(
                self._gateway_name, self.instrument.spec.symbol, self.instrument.exchange, now,
                name=self.instrument.spec.name, volume=self._volume, turnover=self._turnover,
                open_interest=_known(bar.open_interest), last_price=price, last_volume=volume, open_price=self._open,
                high_price=self._high, low_price=self._low, pre_close=self._pre_close,
            )  # fmt: skip
            self._display(tick, lots)
            self._last = price
            yield tick

    def _local(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=self.zone) if moment.tzinfo is None else moment.astimezone(self.zone)

    def _middle(self, bid: float, ask: float) -> float:
        if bid > 0 and ask > 0:
            return self.instrument.price_at(self.instrument.index_of((bid + ask) / 2))
        return max(bid, ask)

    def _display(self, tick: TickData, lots: int) -> None:
        """Put five levels of ``lots`` around the last price."""
        instrument, price, fields = self.instrument, tick.last_price, vars(tick)
        index, gap, volume = instrument.index_of(price), instrument.spec.gap, instrument.volume_of(lots)
        at_bid = price >= self._last
        bid, ask = (index, index + 1) if at_bid else (index - 1, index)
        for level in _LEVELS:
            away = (level - 1) * gap
            fields[f"ask_price_{level}"] = instrument.price_at(ask + away)
            fields[f"ask_volume_{level}"] = volume
            if bid > away:
                fields[f"bid_price_{level}"] = instrument.price_at(bid - away)
                fields[f"bid_volume_{level}"] = volume
        fields["bid_price_1" if at_bid else "ask_price_1"] = price

    def _count(self, now: datetime, price: float, volume: float, turnover: float) -> None:
        if self._day_end is None or now >= self._day_end:
            self._day_end = trading_day_bounds(now)[1]
            self._pre_close = self._last
            self._open = self._high = self._low = price
            self._volume = self._turnover = 0.0
        self._high, self._low = max(self._high, price), min(self._low, price)
        self._volume += volume
        self._turnover += turnover


def _known(value: float) -> float:
    return value if value > 0 else 0.0
