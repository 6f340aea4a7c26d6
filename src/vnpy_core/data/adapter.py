"""VnPyDataAdapter: what is stored and what is cached, for the API, off the loop, in the models' own words."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.history.series import NO_TIME, Int64s, parse_vt_symbol, to_micros, to_moment, to_vt_symbol
from vnpy_core.data.history.tick_bars import bar_width
from vnpy_core.enums import Interval
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.models import Account, Bar, HistoryOverview, Model, Order, Position, Tick
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, HistoryStore, Series

GATEWAY_NAME = "DB"
_WORKERS = 2
_LAST_MICROS = to_micros(datetime.max.replace(tzinfo=UTC))

T = TypeVar("T")
_M = TypeVar("_M", bound=Model)


class VnPyDataAdapter:
    """Reads of stored bars and ticks on two threads of its own, so that the loop never waits for the disk, and of the
    latest state through the cache.

    Rows are ascending. With ``start`` the first ``limit`` rows from there are returned, without it the newest ones
    up to ``end``. What is not known is ``None``.
    """

    def __init__(self, history: HistoryStore, latest: LatestState) -> None:
        self._history = history
        self._latest = latest
        self._executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="history-reader")

    async def bars(
        self,
        vt_symbol: str,
        interval: Interval,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 1000,
    ) -> list[Bar]:
        """Return the bars with ``start <= datetime <= end`` (aware, any zone).

        Raises:
            Invalid: no such vt_symbol can be, a time has no zone, or the interval is TICK.
        """
        if interval is Interval.TICK:
            raise Invalid("Ticks are no bars: ask for ticks")
        return await self._run(self._load, _bars, vt_symbol, interval, start, end, limit)

    async def ticks(
        self, vt_symbol: str, start: datetime | None = None, end: datetime | None = None, limit: int = 1000
    ) -> list[Tick]:
        """Return the ticks with ``start <= datetime <= end`` (aware, any zone).

        Raises:
            Invalid: no such vt_symbol can be, or a time has no zone.
        """
        return await self._run(self._load, _ticks, vt_symbol, Interval.TICK, start, end, limit)

    async def bars_from_ticks(
        self,
        vt_symbol: str,
        interval: Interval,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 1000,
    ) -> list[Bar]:
        """Return bars with ``start <= datetime <= end``, each made of all its stored ticks.

        Raises:
            Invalid: no such vt_symbol can be, a time has no zone, or the interval is neither MINUTE nor HOUR.
        """
        width = bar_width(interval)
        _require_zones(start, end)
        newest = start is None
        # Ticks from the first whole bar to the end of the last one.
        start = None if start is None else _clamped(-(-to_micros(start) // width) * width)
        end = None if end is None else _clamped(to_micros(end) // width * width + width - 1)

        def load() -> list[Bar]:
            symbol, exchange = parse_vt_symbol(vt_symbol)
            made = self._history.bars_from_ticks(symbol, exchange, interval, start, end, limit=limit, newest=newest)
            return _bars(made)

        return await self._run(load)

    async def overview(self) -> list[HistoryOverview]:
        """Return what is stored, sorted by vt_symbol and interval."""
        return await self._run(self._history.overview)

    async def delete(self, vt_symbol: str, interval: Interval) -> int:
        """Delete the series, ticks with ``interval`` TICK, and return how many rows it had."""
        return await self._run(self._history.delete, *parse_vt_symbol(vt_symbol), interval)

    async def latest_order(self, vt_orderid: str) -> Order | None:
        """Return the order as it is, from the cache if that is up to date; ``None``: nobody knows it."""
        return await self._latest.get(Order, vt_orderid)

    async def latest_position(self, vt_positionid: str) -> Position | None:
        """Return the position as it is: ``gateway_name.vt_symbol.DIRECTION``."""
        return await self._latest.get(Position, vt_positionid)

    async def latest_account(self, vt_accountid: str) -> Account | None:
        """Return the account as it is: ``gateway_name.accountid``."""
        return await self._latest.get(Account, vt_accountid)

    async def latest_tick(self, vt_symbol: str) -> Tick | None:
        """Return the last tick of a symbol."""
        return await self._latest.get(Tick, vt_symbol)

    async def close(self) -> None:
        """Let the reads that have begun end; the store itself stays open."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _load(
        self,
        convert: Callable[[Series], list[_M]],
        vt_symbol: str,
        interval: Interval,
        start: datetime | None,
        end: datetime | None,
        limit: int,
    ) -> list[_M]:
        _require_zones(start, end)
        symbol, exchange = parse_vt_symbol(vt_symbol)
        found = self._history.load(symbol, exchange, interval, start, end, limit=limit, newest=start is None)
        return convert(found)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Do ``work``, which blocks, on one of the threads."""
        return await self._run(work, *args)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            waiting = loop.run_in_executor(self._executor, partial(work, *args))
        except RuntimeError as error:
            raise Unavailable("The service is stopping") from error
        return await waiting


def _require_zones(*moments: datetime | None) -> None:
    for moment in moments:
        if moment is not None and moment.utcoffset() is None:
            raise Invalid(f"{moment.isoformat()} has no UTC offset; write it as 2026-01-05T09:30:00+08:00")


def _clamped(micros: int) -> datetime:
    return to_moment(min(micros, _LAST_MICROS))


def _bars(found: Series) -> list[Bar]:
    return _models(found, Bar, BAR_COLUMNS, {"interval": found.interval})


def _ticks(found: Series) -> list[Tick]:
    local = found.columns["localtime"]
    arrivals: list[str | None] = list(timestamps(np.where(local == NO_TIME, 0, local)))
    for place in np.flatnonzero(local == NO_TIME).tolist():
        arrivals[place] = None
    return _models(found, Tick, TICK_COLUMNS, {"name": found.name}, {"localtime": arrivals})


def _models(
    found: Series,
    kind: type[_M],
    values: tuple[str, ...],
    constants: dict[str, Any],
    columns: dict[str, list[Any]] | None = None,
) -> list[_M]:
    constants |= {
        "vt_symbol": to_vt_symbol(found.symbol, found.exchange),
        "symbol": found.symbol,
        "exchange": found.exchange,
        "gateway_name": GATEWAY_NAME,
    }
    columns = {"datetime": timestamps(found.columns["datetime"])} | (columns or {})
    columns |= {name: _known(found.columns[name]) for name in values}
    names = tuple(columns)
    rows = zip(*columns.values(), strict=True)
    return [kind(**constants, **dict(zip(names, row, strict=True))) for row in rows]


def timestamps(micros: Int64s | NDArray[Any]) -> list[str]:
    """Return wire timestamps of microseconds since the epoch."""
    return [f"{text}+00:00" for text in np.datetime_as_string(micros.view("M8[us]"), unit="us").tolist()]


def _known(values: NDArray[Any]) -> list[float | None]:
    known = values.tolist()
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        known[place] = None
    return known  # type: ignore[no-any-return]
