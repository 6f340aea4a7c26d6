"""Series of the history store: how one is named and dated, made, put in order, and read in chunks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vnpy_core.enums import Exchange, Interval, parse_enum
from vnpy_core.errors import Invalid
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, HistoryStore, Series

Int64s = NDArray[np.int64]

# The ``localtime`` of a tick that has none; also numpy's NaT.
NO_TIME = int(np.iinfo(np.int64).min)
BAR_MICROS = {Interval.MINUTE: 60_000_000, Interval.HOUR: 3_600_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Only here does vn.py write an exchange otherwise than it names it; a vt_symbol has what it writes.
_WRITTEN = {Exchange.EUREX: "EUX"}


def parse_vt_symbol(vt_symbol: str) -> tuple[str, Exchange]:
    """Return the symbol, which may have dots itself, and the exchange.

    Raises:
        Invalid: it is not ``symbol.EXCHANGE``.
    """
    symbol, dot, exchange = vt_symbol.rpartition(".")
    if not (dot and symbol):
        raise Invalid(f"{vt_symbol!r} is not a vt_symbol such as rb2501.SHFE")
    try:
        return symbol, parse_enum(Exchange, exchange)
    except ValueError as error:
        raise Invalid(f"{vt_symbol!r} names no exchange of vn.py: {error}") from error


def to_vt_symbol(symbol: str, exchange: Exchange) -> str:
    return f"{symbol}.{_WRITTEN.get(exchange, exchange)}"


def to_micros(moment: datetime) -> int:
    """Return the microseconds since the epoch.

    Raises:
        ValueError: ``moment`` carries no time zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone")
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def value_columns(interval: Interval) -> tuple[str, ...]:
    """Return the float columns of a series: ``TICK_COLUMNS`` or ``BAR_COLUMNS``."""
    return TICK_COLUMNS if interval is Interval.TICK else BAR_COLUMNS


def time_columns(interval: Interval) -> tuple[str, ...]:
    return ("datetime", "localtime") if interval is Interval.TICK else ("datetime",)


def checked_columns(series: Series) -> dict[str, NDArray[Any]]:
    """Return the columns in the types the port names, copied only if they were not.

    Raises:
        ValueError: a column is missing, or not of the length of the others.
    """
    wanted: dict[str, type[np.generic]] = dict.fromkeys(time_columns(series.interval), np.int64)
    wanted |= dict.fromkeys(value_columns(series.interval), np.float64)
    try:
        columns = {name: np.ascontiguousarray(series.columns[name], dtype=kind) for name, kind in wanted.items()}
    except KeyError as error:
        raise ValueError(f"A series of {series.symbol} has no column {error.args[0]}") from error
    if len({len(column) for column in columns.values()}) != 1:
        raise ValueError(f"The columns of a series of {series.symbol} differ in length")
    return columns


def empty_series(symbol: str, exchange: Exchange, interval: Interval) -> Series:
    columns: dict[str, NDArray[Any]] = {name: np.empty(0, np.int64) for name in time_columns(interval)}
    columns |= {name: np.empty(0) for name in value_columns(interval)}
    return Series(symbol, exchange, interval, columns)


def is_ascending(times: Int64s) -> bool:
    """Tell whether each time is later than the one before it."""
    return bool(np.all(times[1:] > times[:-1]))


def last_of_each(times: Int64s, groups: Int64s | None = None) -> Int64s:
    """Return the places of the rows to keep, ascending by group and time: of equal ones the last."""
    order = np.argsort(times, kind="stable") if groups is None else np.lexsort((times, groups))
    ordered = times[order]
    keep = np.ones(len(order), dtype=bool)
    keep[:-1] = ordered[1:] != ordered[:-1]
    if groups is not None:
        keep[:-1] |= groups[order][1:] != groups[order][:-1]
    return order[keep]


def chunks(
    store: HistoryStore,
    symbol: str,
    exchange: Exchange,
    interval: Interval,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    rows: int = 100_000,
) -> Iterator[Series]:
    """Give the rows of the range in parts of at most ``rows``, ascending; memory does not grow with the range."""
    while True:
        part = store.load(symbol, exchange, interval, start, end, limit=rows)
        if len(part):
            yield part
        if len(part) < rows:
            return
        start = to_moment(int(part.columns["datetime"][-1]) + 1)
