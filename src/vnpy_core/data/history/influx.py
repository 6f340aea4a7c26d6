"""The history store on an InfluxDB: 1.x, 2.x by its mapping of databases to buckets, or 3.x.

Measurement ``tick_data`` has the tags symbol and exchange, ``bar_data`` also the interval; the fields are the columns
of ``ports``, all of them floats, and ``localtime`` (nanoseconds), ``name`` and ``missing``, see ``line_protocol``.

What is other than on DuckDB: InfluxDB has no transactions. A batch is checked whole before anything is sent; then a
chunk that fails leaves those before it stored, and saving the batch again completes it, since a row replaces the one
of the same identity. Who reads meanwhile sees a part of it. The name of a series is that of its latest row that has
one. What the server computes by itself (``bars_from_ticks``, and dashboards) does not look at ``missing``.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from tempfile import TemporaryFile
from threading import Lock
from time import time
from typing import Any, TypeVar

import numpy as np

from vnpy_core.data.history import influxql
from vnpy_core.data.history.influx_bars import bar_columns
from vnpy_core.data.history.influx_http import DatabaseMissing, InfluxHttp, Part
from vnpy_core.data.history.influx_setup import Found, prepare
from vnpy_core.data.history.line_chunks import CHUNK_ROWS, Chunk, Columns, chunks_of, made_ahead, spooled
from vnpy_core.data.history.line_protocol import check_rows, decode
from vnpy_core.data.history.series import checked_columns, empty_series, to_moment, to_vt_symbol
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import ConfigError, Conflict, CoreError, DataRejected
from vnpy_core.models import HistoryOverview, to_timestamp
from vnpy_core.ports import Series

T = TypeVar("T")
_Tags = tuple[str, str, str]


class InfluxHistory:
    """``ports.HistoryStore`` on a database of an InfluxDB. Raises as ``influx_http.InfluxHttp`` does.

    Nothing is asked of the server before ``prepare``, or the first other call, which prepares.
    """

    def __init__(
        self,
        url: str,
        database: str = "vnpy_core",
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        org: str | None = None,
        retention: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """``retention`` is a duration such as 90d, after which 1.x deletes rows; ``None``: as the database is."""
        self._server = InfluxHttp(
            url, database, token=token, username=username, password=password, org=org, timeout_s=timeout_s
        )
        self._retention = retention
        self._found: Found | None = None
        self._preparing = Lock()

    def prepare(self) -> Found:
        """See that the server answers and has the database, and create that on a 1.x; raises as ``influx_setup``."""
        with self._preparing:
            found = self._found = prepare(self._server, self._retention)
        return found

    def save(self, batch: Iterable[Series]) -> int:
        """See the port and the module; of a generator, the lines are kept in a temporary file until it has ended.

        Raises:
            DataRejected: a symbol, a time, or a row that is older than the database keeps them; nothing was written.
        """
        self._prepared()
        if isinstance(batch, list | tuple):
            checked = [(series, self._checked(series)) for series in batch]
            given = sum(len(series) for series in batch)
            chunks = chunks_of(checked)
            self._send(made_ahead(chunks) if given > CHUNK_ROWS else chunks, given)
            return given
        with TemporaryFile() as spool:
            given = 0
            rows = []

            def checked_parts() -> Iterator[tuple[Series, Columns]]:
                nonlocal given
                for series in batch:
                    given += len(series)
                    yield series, self._checked(series)

            for chunk in chunks_of(checked_parts()):
                rows.append((chunk.rows, spool.write(chunk.body)))
            spool.seek(0)
            self._send(spooled(spool, rows), given)
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
        first, last = influxql.clamped(start), influxql.clamped(end)
        self._prepared()
        if limit == 0 or (first is not None and last is not None and first > last):
            return empty_series(symbol, exchange, interval)
        parameters = influxql.bound(symbol, exchange, interval, first, last)
        query = influxql.select_rows(interval, parameters, limit, newest)
        parts = self._attempt(
            lambda: [decode(part.values, interval) for part in self._server.stream(query, parameters) if part.values]
        )
        if not parts:
            return empty_series(symbol, exchange, interval)
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if newest:
            columns = {name: values[::-1].copy() for name, values in columns.items()}
        whole = influxql.bound(symbol, exchange, interval)
        name = self._value(influxql.select_name(interval, whole), whole)
        return Series(symbol, exchange, interval, columns, str(name or ""))

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
        """See the port. The server makes them; a total that begins anew within one bar and is higher again at its end
        is taken for one that only grew."""
        whole = influxql.bound(symbol, exchange, Interval.TICK)
        influxql.select_bars(interval, whole)
        self._prepared()
        # Without an end the server would stop at its own clock.
        first = self._edge(whole, "first") if start is None else influxql.clamped(start)
        last = self._edge(whole, "last") if end is None else influxql.clamped(end)
        if first is None or last is None or first > last or limit == 0:
            return empty_series(symbol, exchange, interval)
        parameters = influxql.bound(symbol, exchange, Interval.TICK, first, last)
        query = influxql.select_bars(interval, parameters, limit, newest)
        rows = [row for part in self._query(query, parameters) for row in part.values]
        if newest:
            rows.reverse()
        if not rows:
            return empty_series(symbol, exchange, interval)
        before = influxql.bound(symbol, exchange, Interval.TICK, end=max(first, rows[0][0]) - 1)
        totals = [row[1:] for part in self._query(influxql.select_totals(before), before) for row in part.values]
        return Series(symbol, exchange, interval, bar_columns(rows, totals[0] if totals else None))

    def delete(self, symbol: str, exchange: Exchange, interval: Interval) -> int:
        found = self._prepared()
        if found.version.startswith("3."):
            raise Conflict(f"{self._server} is a {found.version}, which deletes no series by InfluxQL.")
        whole = influxql.bound(symbol, exchange, interval)
        count = int(self._value(influxql.select_count(interval, whole), whole) or 0)
        if count:
            self._query(influxql.delete_rows(interval, whole), whole, repeat=False)
        return count

    def overview(self) -> list[HistoryOverview]:
        self._prepared()
        found: dict[_Tags, dict[int, tuple[int, int]]] = {}
        for part in self._query(influxql.select_overview()):
            tags = (part.tags["symbol"], part.tags["exchange"], part.tags.get("interval", Interval.TICK.value))
            moment, value = part.values[0]
            found.setdefault(tags, {})[part.statement_id % 3] = (moment, value)
        items = [_overview(tags, said) for tags, said in found.items() if len(said) == 3 and _is_ours(tags)]
        return sorted(items, key=lambda item: (item.vt_symbol, item.interval))

    def close(self) -> None:
        self._server.close()

    def _prepared(self) -> Found:
        return self._found or self.prepare()

    def _attempt(self, work: Callable[[], T]) -> T:
        """Do ``work``, and again with a new database if somebody has dropped it."""
        try:
            return work()
        except DatabaseMissing:
            self.prepare()
        try:
            return work()
        except DatabaseMissing as error:
            raise ConfigError(f"{self._server} does not find the database that was made for it: {error}") from error

    def _query(self, text: str, parameters: influxql.Parameters | None = None, *, repeat: bool = True) -> list[Part]:
        return self._attempt(lambda: self._server.query(text, parameters, repeat=repeat))

    def _value(self, text: str, parameters: influxql.Parameters) -> Any:
        """Return the value of a query that has one row of time and value, or ``None`` if it has none."""
        return next((row[1] for part in self._query(text, parameters) for row in part.values), None)

    def _edge(self, parameters: influxql.Parameters, function: str) -> int | None:
        query = influxql.select_edge(Interval.TICK, parameters, function)
        return next((row[0] for part in self._query(query, parameters) for row in part.values), None)

    def _checked(self, series: Series) -> Columns:
        columns = checked_columns(series)
        check_rows(series, columns)
        times = columns["datetime"]
        kept_s = self._prepared().kept_s
        if kept_s is not None and len(times) and times.min() < (time() - kept_s) * 1e6:
            raise DataRejected(
                f"A row of {series.symbol} is of {to_timestamp(to_moment(int(times.min())))}: the database"
                f" {self._server.database} keeps rows for {kept_s // 3600} hours only. Nothing was written."
            )
        return columns

    def _send(self, chunks: Iterable[Chunk], given: int) -> None:
        sent = 0
        for chunk in chunks:
            body = chunk.body
            try:
                self._attempt(lambda body=body: self._server.write(body))  # type: ignore[misc]
            except CoreError as error:
                raise type(error)(
                    f"{error.detail} Of {given:,} rows {sent:,} are stored for certain; saving all of them again is"
                    " safe, a row replaces itself."
                ) from error
            sent += chunk.rows


def _is_ours(tags: _Tags) -> bool:
    return tags[1] in Exchange.__members__ and tags[2] in Interval.__members__


def _overview(tags: _Tags, said: dict[int, tuple[int, int]]) -> HistoryOverview:
    """``said``: time and value of count, first and last."""
    symbol, exchange, interval = tags
    return HistoryOverview(
        vt_symbol=to_vt_symbol(symbol, Exchange(exchange)),
        symbol=symbol,
        exchange=Exchange(exchange),
        interval=Interval(interval),
        count=said[0][1],
        start=to_timestamp(to_moment(said[1][0])),
        end=to_timestamp(to_moment(said[2][0])),
    )
