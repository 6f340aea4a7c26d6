"""A data file in a scratch database: parsed, checked row by row, and given in order of time. Memory stays flat."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import msgspec
import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from vnpy_core.data.files.columns import TICK_PRICES
from vnpy_core.data.files.source import Source, literal, row_numbers, unreadable_rows
from vnpy_core.data.files.times import TimeFormat
from vnpy_core.data.files.zones import WallClock
from vnpy_core.data.history.series import Int64s, value_columns
from vnpy_core.enums import Interval
from vnpy_core.errors import DataError, Unavailable

# What is being done, how much of it is done, and of how much: bytes while reading, rows while writing.
Progress = Callable[[str, int, int], None]

READING, WRITING = "reading", "writing"
_MEMORY_LIMIT_MB = 192
_CHUNK_ROWS = 100_000
_POLL_S = 0.1
_EARLIEST, _LATEST = -2_208_988_800_000_000, 7_258_118_400_000_000  # 1900 and 2200
_AGAIN = "the same time as row {}, with other values"
_NOT_NEGATIVE = ("volume", "open_interest", "last_volume")


class RowError(msgspec.Struct, frozen=True):
    row: int
    reason: str


class Summary(msgspec.Struct, frozen=True):
    """``rows``: all but blank ones; the rest is about the ``good`` ones, in microseconds as the file writes them.

    ``close``: how many are nearer to the row before than half of what two bars should be apart.
    """

    rows: int
    good: int
    first: int
    last: int
    ascending: bool
    close: int


def open_scratch(folder: Path) -> DuckDBPyConnection:
    """Return a database inside ``folder`` for tables larger than memory, to be thrown away."""
    connection = duckdb.connect(
        str(folder / "scratch.duckdb"),
        config={
            "threads": 2,
            "memory_limit": f"{_MEMORY_LIMIT_MB}MB",
            "temp_directory": str(folder / "temp"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    # Writing it out at the end would take a sixth of the time of an import.
    connection.execute("pragma disable_checkpoint_on_shutdown")
    connection.execute("set TimeZone = 'UTC'")
    return connection


class Staging:
    """The file ``name`` in a scratch database inside ``folder``; closed at the end of a ``with``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.connection = open_scratch(folder)
        self._name = name
        self.connection.execute("set enable_progress_bar = true")
        self.connection.execute("set enable_progress_bar_print = false")
        self._table = "staged"
        self._first_row = 1
        self._missing: Int64s = np.empty(0, np.int64)
        self._unreadable: list[str] = []
        self.repeated = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def sample(self, source: Source, places: Sequence[int], rows: int = 1000) -> list[str]:
        """Return what is written in these columns at the beginning of the file."""
        query = f"select {source.text(places)} from (select * from {source.relation} limit {rows})"  # noqa: S608
        return [text for (text,) in self._run(query) if text]

    def read(
        self,
        source: Source,
        columns: dict[str, tuple[int, ...]],
        times: TimeFormat,
        interval: Interval,
        watched: Callable[[float], None],
    ) -> None:
        """Parse the file; ``watched`` is told how much of it is done, from 0 to 1."""
        self._first_row = source.first_row
        statement = f"create table staged as {_parsed(source, columns, times, interval)}"
        with ThreadPoolExecutor(1, thread_name_prefix="import") as pool:
            running = pool.submit(self._run, statement)
            try:
                while not wait([running], _POLL_S).done:
                    watched(max(0.0, self.connection.query_progress() / 100))
                running.result()
            except BaseException:
                self.connection.interrupt()
                raise
        self._missing, self._unreadable = unreadable_rows(self.connection)

    def summary(self, spacing: int) -> Summary:
        """Return what was read; ``spacing``: what two bars should be apart, in microseconds."""
        rows = self._run("select count(*) from staged where reason is null or reason <> ''")[0][0]
        # Without an order the window follows that of the file, which DuckDB keeps, and takes no memory.
        good = self._run(
            "select count(*), coalesce(min(micros), 0), coalesce(max(micros), 0), count(*) filter (where gap <= 0) = 0,"
            " count(*) filter (where gap > 0 and gap < ?) from"
            " (select micros, micros - lag(micros) over () as gap from staged where reason is null)",
            [spacing // 2],
        )[0]
        return Summary(rows + len(self._missing), *good)

    def refuse_doubtful(self, clock: WallClock, zone: str) -> None:
        """Mark the rows of wall times that were never in the zone, or twice."""
        for shift in clock.shifts:
            first, after = shift.doubtful
            what = "skipped: no such time was" if shift.skipped else "repeated: it is not known which one is meant"
            self._run(
                "update staged set reason = ? where reason is null and micros >= ? and micros < ?",
                [f"the time is in an hour that the clocks of {zone} {what}", first, after],
            )

    def sort(self, interval: Interval) -> None:
        """Bring the good rows in order of time. Bars of one time are one if they are equal, else the later is bad."""
        self._run(
            "create table sorted as select rowid as place, * from staged where reason is null order by micros, place"
        )
        self._table = "sorted"
        if interval is Interval.TICK:
            return
        equal = " and ".join(f"{name} is not distinct from lag({name}) over ()" for name in value_columns(interval))
        self._run(
            "create table distinguished as select * exclude (reason), case when micros = lag(micros) over () then"  # noqa: S608
            f" case when {equal} then '' else '{_AGAIN}' end end as reason, lag(place) over () as before from sorted"
        )
        self._table = "distinguished"
        self.repeated = self._run("select count(*) from distinguished where reason = ''")[0][0]

    def bad_rows(self, limit: int) -> tuple[int, list[RowError]]:
        """Return how many rows are bad, and the first of them with the reasons."""
        numbers = self._missing[:limit].tolist()
        found = [RowError(number, why) for number, why in zip(numbers, self._unreadable[:limit], strict=True)]
        count = len(self._missing) + self._run("select count(*) from staged where reason <> ''")[0][0]
        rows = self._run("select rowid, reason from staged where reason <> '' order by 1 limit ?", [limit])
        found += [RowError(self._number(place), reason) for place, reason in rows]
        if self._table == "distinguished":
            count += self._run("select count(*) from distinguished where reason <> ''")[0][0]
            query = "select place, reason, before from distinguished where reason <> '' order by 1 limit ?"
            found += [
                RowError(self._number(place), reason.format(self._number(before)))
                for place, reason, before in self._run(query, [limit])
            ]
        return count, sorted(found, key=lambda error: error.row)[:limit]

    def chunks(self, names: tuple[str, ...]) -> Iterator[dict[str, NDArray[Any]]]:
        """Give the good rows, ascending, in parts: ``micros`` and the named columns, NaN where nothing is known."""
        total = self._run(f"select count(*) from {self._table}")[0][0]  # noqa: S608 (our names)
        query = f"select micros, {', '.join(names)} from {self._table} where rowid between ? and ? and reason is null"  # noqa: S608
        for first in range(0, total, _CHUNK_ROWS):
            with self._told():
                fetched = self.connection.execute(query, [first, first + _CHUNK_ROWS - 1]).fetchnumpy()
            if len(fetched["micros"]):
                yield {name: _filled(values) for name, values in fetched.items()}

    def _number(self, place: int) -> int:
        """Return the file's number of the row that was read as the ``place``-th, from 0."""
        return int(row_numbers(np.array([place], np.int64), self._first_row, self._missing)[0])

    def _run(self, statement: str, values: list[Any] | None = None) -> list[Any]:
        with self._told():
            return self.connection.execute(statement, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn DuckDB's errors into ours."""
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise Unavailable(f"The import of {self._name} needs more memory: {_words(error)}") from error
        except duckdb.Error as error:
            if isinstance(error, duckdb.ProgrammingError) and not isinstance(error, duckdb.InvalidInputException):
                raise
            text = _words(error)
            if any(sign in text for sign in ("No space left", "File too large", "Disk quota")):
                raise Unavailable(f"The disk of the import's scratch folder is full: {text}") from error
            raise DataError(f"{self._name} cannot be read: {text}") from error


def _words(error: duckdb.Error) -> str:
    """Return DuckDB's words, without the link that the file is read by."""
    return re.sub(r": \S*/source\.\S+", "", str(error).splitlines()[0])


def _filled(values: NDArray[Any]) -> NDArray[Any]:
    missing = np.nan if values.dtype.kind == "f" else np.iinfo(np.int64).min
    return np.ma.filled(values, missing)


def _parsed(source: Source, columns: dict[str, tuple[int, ...]], times: TimeFormat, interval: Interval) -> str:
    """Return the query that reads the file: times, numbers, and the reason why a row is bad."""
    names = value_columns(interval)
    numbers = {name: columns[name][0] for name in names if name in columns}
    when = source.value(columns["datetime"][0]) if times.typed else source.text(columns["datetime"])
    raw = [f"{when} as raw_datetime", *(f"{source.value(place)} as raw_{name}" for name, place in numbers.items())]
    values = [f"try_cast({f'raw_{name}' if name in numbers else 'null'} as double) as {name}" for name in names]
    kept = ["coalesce(micros, 0) as micros", *names]
    if interval is Interval.TICK:
        raw.append(f"{source.text(columns['localtime']) if 'localtime' in columns else 'null'} as raw_localtime")
        kept.append("epoch_us(try_cast(raw_localtime as timestamptz)) as localtime")
    reasons = _reasons(source, numbers, times, interval)
    return (
        f"select {', '.join(kept)}, case {reasons} end as reason from"  # noqa: S608
        f" (select *, {times.sql.format(t='raw_datetime')} as micros, {', '.join(values)} from"
        f" (select {source.broken} as broken, {', '.join(raw)} from {source.relation}))"
    )


def _reasons(source: Source, numbers: dict[str, int], times: TimeFormat, interval: Interval) -> str:
    written = "left(cast(raw_datetime as varchar), 40)"
    no_time = "raw_datetime is null" + ("" if times.typed else " or raw_datetime = ''")
    reasons = [
        ("broken is not null", "broken"),
        (no_time, "'datetime is missing'"),
        ("micros is null", f"'datetime ' || {written} || {literal(f' is not {times.name}')}"),
        (f"micros not between {_EARLIEST} and {_LATEST}", "'datetime is not between the years 1900 and 2200'"),
    ]
    prices = () if interval is Interval.TICK else value_columns(interval)[:4]
    for name, place in numbers.items():
        absent = source.absent(place, f"raw_{name}")
        if name in prices:
            reasons.append((absent, f"'{name} is missing'"))
        written = f"left(cast(raw_{name} as varchar), 40)"
        reasons.append((f"{name} is null and not {absent}", f"'{name} ' || {written} || ' is not a number'"))
        odd = f"not isfinite({name})" if name in prices else f"isinf({name})"
        reasons.append((odd, f"'{name} ' || {name} || ' is not finite'"))
        if name in _NOT_NEGATIVE or name.startswith(("bid_volume", "ask_volume")):
            reasons.append((f"{name} < 0", f"'{name} ' || {name} || ' is negative'"))
    if interval is Interval.TICK:
        known = [f"not isnan(coalesce({name}, 'nan'::double))" for name in TICK_PRICES if name in numbers]
        reasons.append((f"not ({' or '.join(known)})", "'there is no price'"))
    else:
        below = "'high_price ' || high_price || ' is below low_price ' || low_price"
        reasons.append(("high_price < low_price", below))
    return " ".join(f"when {condition} then {reason}" for condition, reason in reasons)
