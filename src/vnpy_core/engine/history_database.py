"""vn.py's database object over the history store: what strategies, DataManager, ChartWizard and back-tests load from.

Loaded datetimes are aware and in vn.py's ``DB_TZ``. A datetime without a zone, given as a bound or in a row to save,
is a wall time in ``DB_TZ``, as everywhere in vn.py.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from itertools import repeat
from operator import attrgetter
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from vnpy.trader import constant, database
from vnpy.trader.database import BarOverview, BaseDatabase, TickOverview
from vnpy.trader.object import BarData, TickData

from vnpy_core.data.history.series import NO_TIME, Int64s
from vnpy_core.engine.vn_enums import from_vn, to_vn
from vnpy_core.enums import Interval
from vnpy_core.errors import ConfigError, Invalid
from vnpy_core.models import HistoryOverview
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, HistoryStore, Series

GATEWAY_NAME = "DB"
_SAVE_ROWS = 100_000
_BAR_IDENTITY = attrgetter("symbol", "exchange", "interval")
_TICK_IDENTITY = attrgetter("symbol", "exchange")
_TICK_VALUES = tuple(field.name for field in fields(TickData) if field.name in TICK_COLUMNS)

_Row = TypeVar("_Row", BarData, TickData)


class HistoryDatabase(BaseDatabase):
    """What ``vnpy.trader.database.get_database`` returns. Any thread; several at once.

    Rows may be saved in any order and of any symbols together; they are not changed. What the store does not know
    (NaN) is loaded as 0, vn.py's own word for it, but for the prices of a bar, where 0 would be a price.
    """

    def __init__(self, store: HistoryStore, zone: ZoneInfo | None = None) -> None:
        self._store = store
        self._zone = zone or database.DB_TZ

    def save_bar_data(self, bars: list[BarData], stream: bool = False) -> bool:
        """Save them all or none. ``stream`` changes nothing: the overview is always exact.

        Raises:
            Invalid: a bar has no interval.
        """
        self._store.save(part for group in _grouped(bars, _BAR_IDENTITY) for part in self._bar_series(group))
        return True

    def save_tick_data(self, ticks: list[TickData], stream: bool = False) -> bool:
        """Save them all or none. ``stream`` changes nothing: the overview is always exact."""
        self._store.save(part for group in _grouped(ticks, _TICK_IDENTITY) for part in self._tick_series(group))
        return True

    def load_bar_data(
        self,
        symbol: str,
        exchange: constant.Exchange,
        interval: constant.Interval,
        start: datetime,
        end: datetime,
    ) -> list[BarData]:
        found = self._store.load(symbol, from_vn(exchange), from_vn(interval), self._aware(start), self._aware(end))
        with _no_collection():
            return self._bars(found, exchange, interval)

    def load_tick_data(
        self, symbol: str, exchange: constant.Exchange, start: datetime, end: datetime
    ) -> list[TickData]:
        found = self._store.load(symbol, from_vn(exchange), Interval.TICK, self._aware(start), self._aware(end))
        with _no_collection():
            return self._ticks(found, exchange)

    def delete_bar_data(self, symbol: str, exchange: constant.Exchange, interval: constant.Interval) -> int:
        return self._store.delete(symbol, from_vn(exchange), from_vn(interval))

    def delete_tick_data(self, symbol: str, exchange: constant.Exchange) -> int:
        return self._store.delete(symbol, from_vn(exchange), Interval.TICK)

    def get_bar_overview(self) -> list[BarOverview]:
        return [
            BarOverview(item.symbol, to_vn(item.exchange), to_vn(item.interval), item.count, *self._span(item))
            for item in self._store.overview()
            if item.interval is not Interval.TICK
        ]

    def get_tick_overview(self) -> list[TickOverview]:
        return [
            TickOverview(item.symbol, to_vn(item.exchange), item.count, *self._span(item))
            for item in self._store.overview()
            if item.interval is Interval.TICK
        ]

    def _bars(self, found: Series, exchange: constant.Exchange, interval: constant.Interval) -> list[BarData]:
        times = self._moments(found.columns["datetime"])
        symbol, vt_symbol = found.symbol, f"{found.symbol}.{exchange.value}"
        opens, highs, lows, closes = (found.columns[name].tolist() for name in BAR_COLUMNS[:4])
        volumes, turnovers, interests = (_known(found.columns[name]).tolist() for name in BAR_COLUMNS[4:])
        new, bars = BarData.__new__, []
        # Without the constructor, whose arguments and f-string are a third of the time.
        for moment, open_price, high, low, close, volume, turnover, interest in zip(
            times, opens, highs, lows, closes, volumes, turnovers, interests, strict=True
        ):
            bar = new(BarData)
            bar.gateway_name = GATEWAY_NAME
            bar.symbol = symbol
            bar.exchange = exchange
            bar.datetime = moment
            bar.interval = interval
            bar.volume = volume
            bar.turnover = turnover
            bar.open_interest = interest
            bar.open_price = open_price
            bar.high_price = high
            bar.low_price = low
            bar.close_price = close
            bar.vt_symbol = vt_symbol
            bars.append(bar)
        return bars

    def _ticks(self, found: Series, exchange: constant.Exchange) -> list[TickData]:
        times = self._moments(found.columns["datetime"])
        local = found.columns["localtime"]
        arrivals: list[datetime | None] = list(self._moments(np.where(local == NO_TIME, 0, local)))
        for place in np.flatnonzero(local == NO_TIME).tolist():
            arrivals[place] = None
        values = zip(*(_known(found.columns[name]).tolist() for name in _TICK_VALUES), strict=True)
        return [
            TickData(GATEWAY_NAME, found.symbol, exchange, moment, found.name, *row, arrival)  # type: ignore[call-arg]
            for moment, row, arrival in zip(times, values, arrivals, strict=True)
        ]

    def _bar_series(self, bars: Sequence[BarData]) -> Iterator[Series]:
        first = bars[0]
        if first.interval is None:
            raise Invalid(f"A bar of {first.vt_symbol} has no interval")
        exchange, interval = from_vn(first.exchange), from_vn(first.interval)
        for part in _parts(bars):
            columns: dict[str, NDArray[Any]] = {"datetime": self._micros([bar.datetime for bar in part])}
            columns |= {name: _floats(name, part) for name in BAR_COLUMNS}
            yield Series(first.symbol, exchange, interval, columns)

    def _tick_series(self, ticks: Sequence[TickData]) -> Iterator[Series]:
        first = ticks[0]
        for part in _parts(ticks):
            local = np.full(len(part), NO_TIME)
            known = [place for place, tick in enumerate(part) if tick.localtime is not None]
            if known:
                local[known] = self._micros([moment for tick in part if (moment := tick.localtime) is not None])
            columns: dict[str, NDArray[Any]] = {
                "datetime": self._micros([tick.datetime for tick in part]),
                "localtime": local,
            }
            columns |= {name: _floats(name, part) for name in TICK_COLUMNS}
            yield Series(first.symbol, from_vn(first.exchange), Interval.TICK, columns, part[-1].name)

    def _micros(self, moments: list[datetime]) -> Int64s:
        if None in {moment.tzinfo for moment in moments}:
            moments = [self._aware(moment) for moment in moments]
        # A double of seconds is exact to the microsecond until the year 2106.
        seconds = np.fromiter((moment.timestamp() for moment in moments), np.float64, len(moments))
        return np.rint(seconds * 1e6).astype(np.int64)

    def _moments(self, micros: NDArray[Any]) -> list[datetime]:
        return list(map(datetime.fromtimestamp, (micros / 1e6).tolist(), repeat(self._zone)))

    def _aware(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=self._zone) if moment.tzinfo is None else moment

    def _span(self, item: HistoryOverview) -> tuple[datetime, datetime]:
        start, end = (datetime.fromisoformat(text).astimezone(self._zone) for text in (item.start, item.end))
        return start, end


def install(store: HistoryStore) -> HistoryDatabase:
    """Make ``store`` what vn.py's ``get_database`` returns. Call it before an app is loaded: each keeps what it got.

    Raises:
        ConfigError: vn.py returns something else all the same.
    """
    installed = HistoryDatabase(store)
    database.database = installed
    if database.get_database() is not installed:
        raise ConfigError("vn.py does not take VnPy Core's history store for its database")
    return installed


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let the garbage collector rest: over 200,000 new rows it takes more time than making them (measured)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _grouped(rows: Sequence[_Row], identity: Callable[[_Row], object]) -> Iterable[Sequence[_Row]]:
    """Return the rows of each series, in the order they were given."""
    if len(set(map(identity, rows))) <= 1:
        return [rows] if rows else []
    groups: dict[object, list[_Row]] = {}
    for row in rows:
        groups.setdefault(identity(row), []).append(row)
    return groups.values()


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    for first in range(0, len(rows), _SAVE_ROWS):
        yield rows[first : first + _SAVE_ROWS]


def _floats(name: str, rows: Sequence[BarData] | Sequence[TickData]) -> NDArray[np.float64]:
    """Return one field of all rows; a level of the book that a gateway left ``None`` is not known."""
    try:
        return np.fromiter(map(attrgetter(name), rows), np.float64, len(rows))
    except TypeError:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)


def _known(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.isnan(values), 0.0, values)
