"""Bars of the past, as the simulated exchange answers ``query_history``: made from the seed, or from the recording."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo

import numpy as np
from vnpy.trader.constant import Interval
from vnpy.trader.database import BaseDatabase
from vnpy.trader.object import BarData, HistoryRequest, TickData

from vnpy_core.engine.sim.contracts import Instrument
from vnpy_core.engine.sim.recorded import INTERVALS
from vnpy_core.engine.sim.session import Session
from vnpy_core.engine.sim.walk import RandomWalk

MINUTE = timedelta(minutes=1)
LONGEST = timedelta(days=730)  # what is made up of the past; nobody needs more to warm up

# minute of the epoch, then open, high, low, close, volume, turnover, open interest
MinuteBar = tuple[int, float, float, float, float, float, float, float]


class MinuteRecorder:
    """Builds the minute bars of the random market as it goes, so that later questions about it have an answer."""

    def __init__(self) -> None:
        self._open: dict[str, list[float]] = {}
        self._ends: dict[str, datetime] = {}
        self._bases: dict[str, tuple[float, float]] = {}
        self._finished: list[tuple[str, MinuteBar]] = []

    def add(self, tick: TickData) -> None:
        name, price = tick.vt_symbol, tick.last_price
        end = self._ends.get(name)
        if end is None or tick.datetime >= end:
            self._finish(name)
            minute = tick.datetime.replace(second=0, microsecond=0)
            self._ends[name] = minute + MINUTE
            volume, turnover = self._bases.get(name, (tick.volume - tick.last_volume, tick.turnover))
            if tick.volume < volume:  # a new trading day
                volume, turnover = 0.0, 0.0
            self._open[name] = [
                minute.timestamp() // 60, price, price, price, price, volume, turnover, tick.open_interest
            ]  # fmt: skip
        bar = self._open[name]
        if price > bar[2]:
            bar[2] = price
        elif price < bar[3]:
            bar[3] = price
        bar[4], bar[7] = price, tick.open_interest
        self._bases[name] = (tick.volume, tick.turnover)

    def _finish(self, name: str) -> None:
        bar = self._open.pop(name, None)
        if bar is None:
            return
        minute, open_, high, low, close, volume, turnover, interest = bar
        last_volume, last_turnover = self._bases[name]
        row = (int(minute), open_, high, low, close, last_volume - volume, last_turnover - turnover, interest)
        self._finished.append((name, row))

    def take_finished(self, now: datetime) -> list[tuple[str, MinuteBar]]:
        """Return the bars of minutes that were over at ``now``, each once."""
        for name in [name for name in self._open if self._ends[name] <= now]:
            self._finish(name)
        finished, self._finished = self._finished, []
        return finished


class PastBars:
    """Answers for the random market. Before the walk's first tick: made backwards from its first price."""

    def __init__(self, gateway_name: str, session: Session, zone: tzinfo) -> None:
        self._gateway_name = gateway_name
        self._session = session
        self._zone = zone

    def query(
        self, request: HistoryRequest, walk: RandomWalk, recorded: Iterable[MinuteBar], now: datetime
    ) -> list[BarData]:
        """Return the finished bars of the request's range, ascending; ``recorded`` are those since the first tick."""
        interval = request.interval or Interval.MINUTE
        if interval not in INTERVALS:
            return []
        anchor = walk.state.anchor or now
        start, end = local_time(request.start, self._zone), local_time(request.end or now, self._zone)
        start = max(start, anchor - LONGEST)
        minutes = [*self._made(walk, anchor, start, end), *recorded]
        bars = [
            bar
            for row in minutes
            if start <= (bar := self._bar(walk.instrument, row)).datetime <= min(end, now - MINUTE)
            and self._session.is_open(bar.datetime)
        ]
        return bars if interval is Interval.MINUTE else list(aggregate(bars, interval))

    def _made(self, walk: RandomWalk, anchor: datetime, start: datetime, end: datetime) -> Iterator[MinuteBar]:
        first = int(anchor.timestamp() // 60)
        count = first - int(start.timestamp() // 60)
        if count <= 0:
            return
        until = min(first, int(end.timestamp() // 60) + 1)
        instrument = walk.instrument
        interest, size = instrument.volume_of(instrument.spec.depth * 1000), instrument.spec.size
        rows = walk.past_minutes(count)[:, : max(0, until - (first - count))]
        for minute, row in zip(range(first - count, until), np.transpose(rows).tolist(), strict=True):
            open_, high, low, close = (instrument.price_at(index) for index in row[:4])
            volume = instrument.volume_of(row[4])
            yield (minute, open_, high, low, close, volume, volume * close * size, interest)

    def _bar(self, instrument: Instrument, row: MinuteBar) -> BarData:
        minute, open_, high, low, close, volume, turnover, interest = row
        return BarData(
            self._gateway_name, instrument.spec.symbol, instrument.exchange,
            datetime.fromtimestamp(minute * 60, UTC).astimezone(self._zone),
            interval=Interval.MINUTE, volume=volume, turnover=turnover, open_interest=interest, open_price=open_,
            high_price=high, low_price=low, close_price=close,
        )  # fmt: skip


def replayed_bars(
    database: BaseDatabase, request: HistoryRequest, gateway_name: str, *, now: datetime, clock: datetime, zone: tzinfo
) -> list[BarData]:
    """Return recorded bars as they looked at the replay's ``clock``: the asked range is moved from ``now`` to it.

    Only bars that were finished at ``clock``; their times are the recorded ones.
    """
    interval = request.interval or Interval.MINUTE
    if interval not in INTERVALS:
        return []
    shift = now - clock
    start = local_time(request.start, zone) - shift
    end = min(local_time(request.end or now, zone) - shift, clock - INTERVALS[interval])
    if start > end:
        return []
    bars = database.load_bar_data(request.symbol, request.exchange, interval, start, end)
    for bar in bars:
        bar.gateway_name = gateway_name
    return bars


def aggregate(bars: Iterable[BarData], interval: Interval) -> Iterator[BarData]:
    """Yield the longer bars that ascending minute bars make: clock hours, calendar days, weeks from Monday."""
    current: BarData | None = None
    for bar in bars:
        start = _start_of(bar.datetime, interval)
        if current is None or current.datetime != start:
            if current is not None:
                yield current
            current = BarData(
                bar.gateway_name, bar.symbol, bar.exchange, start, interval=interval, open_price=bar.open_price,
                high_price=bar.high_price, low_price=bar.low_price,
            )  # fmt: skip
        current.high_price = max(current.high_price, bar.high_price)
        current.low_price = min(current.low_price, bar.low_price)
        current.close_price, current.open_interest = bar.close_price, bar.open_interest
        current.volume += bar.volume
        current.turnover += bar.turnover
    if current is not None:
        yield current


def _start_of(moment: datetime, interval: Interval) -> datetime:
    if interval is Interval.HOUR:
        return moment.replace(minute=0, second=0, microsecond=0)
    midnight = datetime.combine(moment.date(), time.min, moment.tzinfo)
    return midnight - timedelta(days=moment.weekday()) if interval is Interval.WEEKLY else midnight


def local_time(moment: datetime, zone: tzinfo) -> datetime:
    """Return ``moment`` in ``zone``; without a zone of its own it is taken to be there already."""
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


