"""A history store in memory, for a service that keeps nothing, and for tests."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import RLock

import numpy as np

from vnpy_core.data.history.series import (
    checked_columns,
    empty_series,
    last_of_each,
    to_micros,
    to_moment,
    to_vt_symbol,
)
from vnpy_core.data.history.tick_bars import bar_width, bars_of_ticks
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import Unavailable
from vnpy_core.models import HistoryOverview, to_timestamp
from vnpy_core.ports import Series

_Key = tuple[str, Exchange, Interval]


class MemoryHistory:
    """``ports.HistoryStore`` in dictionaries; it grows with what is saved."""

    def __init__(self) -> None:
        self._series: dict[_Key, Series] = {}
        self._lock = RLock()
        self._closed = False

    def save(self, batch: Iterable[Series]) -> int:
        with self._opened() as stored:
            changed: dict[_Key, Series] = {}
            given = 0
            for series in batch:
                key = (series.symbol, series.exchange, series.interval)
                given += len(series)
                if len(series):
                    changed[key] = _merged(changed.get(key) or stored.get(key), series)
            stored.update(changed)
            return given

    def load(
        self,
        symbol: str,
        exchange: Exchange,
        interval: Interval,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> Series:
        with self._opened() as stored:
            found = stored.get((symbol, exchange, interval))
        if found is None:
            return empty_series(symbol, exchange, interval)
        times = found.columns["datetime"]
        first = 0 if start is None else int(np.searchsorted(times, to_micros(start)))
        last = len(times) if end is None else int(np.searchsorted(times, to_micros(end), side="right"))
        last = max(first, last)
        if limit is not None:
            first, last = (max(first, last - limit), last) if newest else (first, min(last, first + limit))
        columns = {name: column[first:last].copy() for name, column in found.columns.items()}
        return Series(symbol, exchange, interval, columns, found.name)

    def bars_from_ticks(
        self,
        symbol: str,
        exchange: Exchange,
        interval: Interval,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> Series:
        width = bar_width(interval)
        ticks = self.load(symbol, exchange, Interval.TICK)
        if not len(ticks):
            return empty_series(symbol, exchange, interval)
        times = ticks.columns["datetime"]
        first = int(times[0]) if start is None else to_micros(start)
        last = int(times[-1]) if end is None else to_micros(end)
        columns = bars_of_ticks(ticks.columns, first, last, width)
        if limit is not None:
            count = len(columns["datetime"])
            kept = slice(max(0, count - limit), count) if newest else slice(limit)
            columns = {name: values[kept] for name, values in columns.items()}
        return Series(symbol, exchange, interval, columns, ticks.name)

    def delete(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        with self._opened() as stored:
            gone = stored.pop((symbol, exchange, interval), None)
            return 0 if gone is None else len(gone)

    def overview(self) -> list[HistoryOverview]:
        with self._opened() as stored:
            found = [
                HistoryOverview(
                    vt_symbol=to_vt_symbol(symbol, exchange),
                    symbol=symbol,
                    exchange=exchange,
                    interval=interval,
                    count=len(series),
                    start=to_timestamp(to_moment(int(series.columns["datetime"][0]))),
                    end=to_timestamp(to_moment(int(series.columns["datetime"][-1]))),
                )
                for (symbol, exchange, interval), series in stored.items()
            ]
        return sorted(found, key=lambda item: (item.vt_symbol, item.interval))

    def close(self) -> None:
        with self._lock:
            self._closed = True

    @contextmanager
    def _opened(self) -> Iterator[dict[_Key, Series]]:
        with self._lock:
            if self._closed:
                raise Unavailable("The history store is closed")
            yield self._series


def _merged(stored: Series | None, given: Series) -> Series:
    columns = checked_columns(given)
    if stored is not None:
        columns = {name: np.concatenate([stored.columns[name], column]) for name, column in columns.items()}
    keep = last_of_each(columns["datetime"])
    name = given.name or (stored.name if stored is not None else "")
    ordered = {column: values[keep] for column, values in columns.items()}
    return Series(given.symbol, given.exchange, given.interval, ordered, name)
