"""The history store on one DuckDB file, the embedded default."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from vnpy_core.data.history.duckdb_file import DuckDbFile
from vnpy_core.data.history.series import (
    NO_TIME,
    Int64s,
    checked_columns,
    empty_series,
    is_ascending,
    last_of_each,
    time_columns,
    to_micros,
    to_moment,
    to_vt_symbol,
    value_columns,
)
from vnpy_core.data.history.tick_bars import bar_width
from vnpy_core.enums import Exchange, Interval
from vnpy_core.models import HistoryOverview, to_timestamp
from vnpy_core.ports import Series

# Small series are written together: 500 of them take 23 ms so, and more than 2 s one by one.
_WRITE_ROWS = 100_000

_OVERLAP = """
    select given.series_id, count(*) from {table} as stored join {given} as given
    on stored.series_id = given.series_id and stored.datetime = given.datetime
    where stored.datetime between make_timestamp(?) and make_timestamp(?) and stored.series_id between ? and ?
    group by 1"""
_REPLACE = """
    delete from {table} as stored using {given} as given
    where stored.series_id = given.series_id and stored.datetime = given.datetime
    and stored.datetime between make_timestamp(?) and make_timestamp(?) and stored.series_id between ? and ?"""
_COUNT = """
    update series set row_count = row_count + changed.added, first_time = least(series.first_time, changed.first_time),
    last_time = greatest(series.last_time, changed.last_time)
    from {changed} as changed where series.id = changed.id"""

# Bars of ticks: a null or NaN total is none, a tick without a price counts for nothing, see data.bar_builder.
_PRICED = "last_price != 0 and not isnan(last_price)"
_BUCKET = "epoch_us(datetime) - (epoch_us(datetime) % {width:d} + {width:d}) % {width:d}"
_BUCKETS = """
    select min(bucket), max(bucket) from (
        select distinct {bucket} as bucket from ticks where {range} and {priced} order by bucket {order} {limit})"""
_TOTALS_BEFORE = """
    select arg_max(coalesce(nullif(volume, 'nan'), 0), datetime),
        arg_max(coalesce(nullif(turnover, 'nan'), 0), datetime)
    from ticks where series_id = ? and datetime < make_timestamp(?) and {priced}"""
_BARS = """
    with priced as (
        select datetime, {bucket} as bucket, last_price, nullif(open_interest, 'nan') as open_interest,
            coalesce(nullif(volume, 'nan'), 0) as volume, coalesce(nullif(turnover, 'nan'), 0) as turnover
        from ticks where {range} and {priced}),
    placed as (
        select *, coalesce(lag(volume) over (order by datetime), ?::double, volume) as volume_before,
            coalesce(lag(turnover) over (order by datetime), ?::double, turnover) as turnover_before
        from priced)
    select bucket as datetime, arg_min(last_price, datetime) as open_price, max(last_price) as high_price,
        min(last_price) as low_price, arg_max(last_price, datetime) as close_price,
        sum(if(volume < volume_before, volume, volume - volume_before)) as volume,
        sum(if(turnover < turnover_before, turnover, turnover - turnover_before)) as turnover,
        coalesce(arg_max(open_interest, datetime), 0) as open_interest
    from placed group by bucket order by bucket"""

_RANGE = "series_id = ? and datetime between make_timestamp(?) and make_timestamp(?)"


class DuckDbHistory:
    """``ports.HistoryStore`` on a file of its own. Memory stays near ``memory_limit_mb`` whatever is stored.

    A row is replaced by deleting what the new rows join and inserting them, in one transaction. How many rows a
    series has, and from when to when, is kept beside it, so that ``overview`` reads no rows.
    """

    def __init__(self, path: Path, memory_limit_mb: int = 256) -> None:
        """Open ``path``, or create it; raises as ``DuckDbFile`` does."""
        self.path = path
        self._file = DuckDbFile(path, memory_limit_mb)

    def save(self, batch: Iterable[Series]) -> int:
        given = 0
        with self._file.writing() as cursor:
            book = _SeriesBook(cursor)
            source = _Source(cursor)
            for is_tick, parts in _parts(batch):
                given += sum(len(part) for part in parts)
                _write(cursor, book, source, "ticks" if is_tick else "bars", parts)
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
        table = "ticks" if interval is Interval.TICK else "bars"
        names = ", ".join((*time_columns(interval), *value_columns(interval)))
        query = f"select {names} from {table} where {_RANGE}"  # noqa: S608 (our names)
        with self._file.reading() as cursor:
            found = cursor.execute(
                "select id, name, row_count, epoch_us(first_time), epoch_us(last_time) from series"
                " where symbol = ? and exchange = ? and interval = ?",
                [symbol, exchange.value, interval.value],
            ).fetchall()
            if not found:
                return empty_series(symbol, exchange, interval)
            series_id, name, row_count, first, last = found[0]
            low = first if start is None else max(first, to_micros(start))
            high = last if end is None else min(last, to_micros(end))
            values = [series_id, low, high]
            if limit is not None and limit < row_count:
                values = _narrowed(cursor, table, values, limit, newest, (last - first) // row_count + 1)
                query += f" order by datetime {'desc' if newest else 'asc'} limit {limit:d}"
            fetched = cursor.execute(query, values).fetchnumpy()
        columns = {column: _plain(values) for column, values in fetched.items()}
        if not is_ascending(columns["datetime"]):
            order = np.argsort(columns["datetime"], kind="stable")
            columns = {column: values[order] for column, values in columns.items()}
        return Series(symbol, exchange, interval, columns, name)

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
        parts = {"bucket": _BUCKET.format(width=width), "range": _RANGE, "priced": _PRICED}
        with self._file.reading() as cursor:
            found = cursor.execute(
                "select id, name, epoch_us(first_time), epoch_us(last_time) from series"
                " where symbol = ? and exchange = ? and interval = ?",
                [symbol, exchange.value, Interval.TICK.value],
            ).fetchall()
            if not found:
                return empty_series(symbol, exchange, interval)
            series_id, name, first, last = found[0]
            low = first if start is None else max(first, to_micros(start))
            high = last if end is None else min(last, to_micros(end))
            parts |= {"order": "desc" if newest else "asc", "limit": "" if limit is None else f"limit {limit:d}"}
            edges = cursor.execute(_BUCKETS.format(**parts), [series_id, low, high]).fetchall()[0]
            if edges[0] is None:
                return empty_series(symbol, exchange, interval)
            low, high = max(low, edges[0]), min(high, edges[1] + width - 1)
            totals = cursor.execute(_TOTALS_BEFORE.format(**parts), [series_id, low]).fetchall()[0]
            fetched = cursor.execute(_BARS.format(**parts), [series_id, low, high, *totals]).fetchnumpy()
        columns = {column: _plain(values) for column, values in fetched.items()}
        return Series(symbol, exchange, interval, columns, name)

    def delete(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        with self._file.writing() as cursor:
            found = cursor.execute(
                "delete from series where symbol = ? and exchange = ? and interval = ? returning id, row_count",
                [symbol, exchange.value, interval.value],
            ).fetchall()
            table = "ticks" if interval is Interval.TICK else "bars"
            for series_id, _ in found:
                cursor.execute(f"delete from {table} where series_id = ?", [series_id]).fetchall()  # noqa: S608
            return sum(row_count for _, row_count in found)

    def overview(self) -> list[HistoryOverview]:
        with self._file.reading() as cursor:
            found = cursor.execute(
                "select symbol, exchange, interval, row_count, epoch_us(first_time), epoch_us(last_time) from series"
                " where row_count > 0"
            ).fetchall()
        return sorted(
            (
                HistoryOverview(
                    vt_symbol=to_vt_symbol(symbol, Exchange(exchange)),
                    symbol=symbol,
                    exchange=Exchange(exchange),
                    interval=Interval(interval),
                    count=count,
                    start=to_timestamp(to_moment(first)),
                    end=to_timestamp(to_moment(last)),
                )
                for symbol, exchange, interval, count, first, last in found
            ),
            key=lambda item: (item.vt_symbol, item.interval),
        )

    def close(self) -> None:
        self._file.close()


class _Known(msgspec.Struct):
    id: int
    name: str
    last: int


class _SeriesBook:
    """The ids of the series, read once for each transaction."""

    def __init__(self, cursor: DuckDBPyConnection) -> None:
        self._cursor = cursor
        rows = cursor.execute(
            "select symbol, exchange, interval, id, name, coalesce(epoch_us(last_time), ?) from series", [NO_TIME]
        ).fetchall()
        self._known = {(symbol, exchange, interval): _Known(*rest) for symbol, exchange, interval, *rest in rows}
        self._next = max((known.id for known in self._known.values()), default=0) + 1

    def entry(self, series: Series) -> _Known:
        """Return the entry of this series, new if there is none, with its name brought up to date."""
        key = (series.symbol, series.exchange.value, series.interval.value)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(self._next, series.name, NO_TIME)
            self._next += 1
            row = [known.id, *key, series.name, 0, None, None]
            self._cursor.execute("insert into series values (?, ?, ?, ?, ?, ?, ?, ?)", row).fetchall()
        elif series.name and series.name != known.name:
            known.name = series.name
            self._cursor.execute("update series set name = ? where id = ?", [known.name, known.id]).fetchall()
        return known


class _Source:
    """Numpy columns as a table for the statements of one transaction.

    DuckDB keeps what was registered in a transaction until it ends, so one set of arrays is registered and filled
    again for each part; else the memory would grow with the size of the batch.
    """

    def __init__(self, cursor: DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._arrays: dict[str, dict[str, NDArray[Any]]] = {}

    def fill(self, name: str, columns: dict[str, NDArray[Any]]) -> str:
        """Return what to select from: these columns, valid until the next ``fill`` of this name."""
        rows = len(next(iter(columns.values())))
        arrays = self._arrays.get(name)
        if arrays is None or rows > len(next(iter(arrays.values()))):
            capacity = 1 << (rows - 1).bit_length()
            arrays = {column: np.empty(capacity, values.dtype) for column, values in columns.items()}
            self._arrays[name] = arrays
            self._cursor.register(name, arrays)
        for column, values in columns.items():
            arrays[column][:rows] = values
        return f"(select * from {name} limit {rows})"  # noqa: S608 (our names)


def _narrowed(
    cursor: DuckDBPyConnection, table: str, values: list[int], limit: int, newest: bool, spacing: int
) -> list[int]:
    """Return a smaller range with at least ``limit`` rows at the wanted end, if there is one: few rows are sorted."""
    series_id, low, high = values
    width = limit * spacing * 3 // 2
    while width < high - low:
        inner = [series_id, high - width, high] if newest else [series_id, low, low + width]
        count = cursor.execute(f"select count(*) from {table} where {_RANGE}", inner).fetchall()[0][0]  # noqa: S608
        if count >= limit:
            return inner
        width *= 4
    return values


def _parts(batch: Iterable[Series]) -> Iterator[tuple[bool, list[Series]]]:
    """Give the series in runs of one kind that are worth writing at once; a run holds no more than it must."""
    run: list[Series] = []
    rows = 0
    for series in batch:
        if run and (rows >= _WRITE_ROWS or (run[0].interval is Interval.TICK) != (series.interval is Interval.TICK)):
            yield run[0].interval is Interval.TICK, run
            run, rows = [], 0
        if len(series):
            run.append(series)
            rows += len(series)
    if run:
        yield run[0].interval is Interval.TICK, run


def _write(cursor: DuckDBPyConnection, book: _SeriesBook, source: _Source, table: str, parts: list[Series]) -> None:
    entries = {entry.id: entry for entry in map(book.entry, parts)}
    ids, columns = _ordered([book.entry(part).id for part in parts], [checked_columns(part) for part in parts])
    times = columns["datetime"]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    ends = np.r_[starts[1:], len(ids)]
    runs = [entries[int(ids[start])] for start in starts]
    added = ends - starts

    rows = {"series_id": ids.astype(np.int32)} | {
        name: values.view("M8[us]") if values.dtype == np.int64 else values for name, values in columns.items()
    }
    given = source.fill(f"given_{table}", rows)
    if any(entry.last >= int(times[start]) for entry, start in zip(runs, starts, strict=True)):
        bounds = [int(times.min()), int(times.max()), int(ids[0]), int(ids[-1])]
        replaced = dict(cursor.execute(_OVERLAP.format(table=table, given=given), bounds).fetchall())
        if replaced:
            cursor.execute(_REPLACE.format(table=table, given=given), bounds).fetchall()
            added = added - np.array([replaced.get(entry.id, 0) for entry in runs])
    names = ", ".join(rows)
    cursor.execute(f"insert into {table} ({names}) select {names} from {given}").fetchall()  # noqa: S608 (our names)
    for entry, end in zip(runs, ends, strict=True):
        entry.last = max(entry.last, int(times[end - 1]))

    changed = {
        "id": ids[starts].astype(np.int32),
        "added": added.astype(np.int64),
        "first_time": times[starts].view("M8[us]"),
        "last_time": times[ends - 1].view("M8[us]"),
    }
    cursor.execute(_COUNT.format(changed=source.fill("changed_series", changed))).fetchall()


def _ordered(ids: list[int], parts: list[dict[str, NDArray[Any]]]) -> tuple[Int64s, dict[str, NDArray[Any]]]:
    """Return all rows as one set of columns, ascending by series and time, each identity once (its last row)."""
    lengths = [len(part["datetime"]) for part in parts]
    groups = np.repeat(np.array(ids, np.int64), lengths)
    if len(parts) == 1:
        columns = parts[0]
        if is_ascending(columns["datetime"]):
            return groups, columns
    else:
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    keep = last_of_each(columns["datetime"], groups)
    return groups[keep], {name: values[keep] for name, values in columns.items()}


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return a fetched column without its mask, times as microseconds; a null time is ``NO_TIME``, as in numpy."""
    filled = np.ma.filled(values, np.datetime64("NaT") if values.dtype.kind == "M" else np.nan)
    return filled.view(np.int64) if filled.dtype.kind == "M" else filled
