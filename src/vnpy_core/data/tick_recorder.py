"""HistoryRecorder: the sink that stores live ticks, and the one-minute bars built from them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vnpy_core.config.settings import HistorySettings
from vnpy_core.data.bar_builder import BarBuilder, MinuteBar, bar_series, minute_bar
from vnpy_core.data.history.series import NO_TIME, to_micros, to_moment
from vnpy_core.enums import Exchange, Interval
from vnpy_core.errors import CoreError
from vnpy_core.events import Event
from vnpy_core.models import Tick
from vnpy_core.ports import TICK_COLUMNS, HistoryStore, Series

_log = logging.getLogger(__name__)

_SAVE_TICKS = 20_000
_RETRY_MAX_S = 30.0


class HistoryRecorder:
    """Store what ``settings`` says is to be recorded, a batch each ``flush_interval_ms``, on a thread of its own.

    While the store fails, ticks and bars wait, ``capacity`` of each; then the oldest are dropped and counted, and
    each further attempt comes after a longer pause.

    ``is_live`` tells of a gateway whether its market is one. A replay's is not: its ticks are made of what the store
    has, and would be written over it.
    """

    def __init__(
        self,
        store: HistoryStore,
        settings: HistorySettings,
        *,
        capacity: int = 50_000,
        is_live: Callable[[str], bool] = lambda gateway_name: True,
    ) -> None:
        self._store = store
        self._settings = settings
        self._capacity = capacity
        self._is_live = is_live
        self._arrived: deque[Tick] = deque()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._detail: str | None = None
        self._overflowed = 0
        # From here on, touched by the flushing thread alone.
        self._ticks: deque[Tick] = deque()
        self._bars: deque[MinuteBar] = deque()
        self._builder = BarBuilder(self._stored_bar) if settings.record_bars else None
        self._failures = 0
        self._retry_at = 0.0
        self._lost = 0

    @property
    def recording(self) -> bool:
        return self._settings.record_ticks or self._settings.record_bars

    @property
    def healthy(self) -> bool:
        return self._detail is None

    @property
    def detail(self) -> str | None:
        """Why it is not healthy: what the last attempt failed of."""
        return self._detail

    @property
    def pending(self) -> int:
        """How many ticks and bars wait to be stored."""
        return len(self._arrived) + len(self._ticks) + len(self._bars)

    @property
    def dropped(self) -> int:
        """How many ticks and bars were never stored, because too many waited or the store refused them."""
        return self._overflowed + self._lost

    def on_events(self, events: Sequence[Event]) -> None:
        """Take note of the ticks among ``events``. On the loop."""
        if self._task is None:
            return
        ticks = [event.data for event in events if isinstance(event.data, Tick)]
        live = {name: self._is_live(name) for name in {tick.gateway_name for tick in ticks}}
        self._arrived.extend(tick for tick in ticks if live[tick.gateway_name])
        while len(self._arrived) > self._capacity:
            self._arrived.popleft()
            self._overflowed += 1

    async def start(self) -> None:
        """Begin to record, if anything is to be recorded."""
        if self._task is None and self.recording:
            self._stopping.clear()
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="history-recorder")
            self._task = asyncio.create_task(self._record(), name="history recorder")

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Store what waits, also the bars of the running minute, if that is done in time and at the first attempt."""
        task, self._task = self._task, None
        if task is None or self._executor is None:
            return
        self._stopping.set()
        _, late = await asyncio.wait({task}, timeout=timeout_s)
        if late:
            task.cancel()
            await asyncio.wait({task})
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self.pending:
            _log.warning("Stopped with %d ticks and bars that could not be stored: %s", self.pending, self._detail)

    async def _record(self) -> None:
        loop = asyncio.get_running_loop()
        last = False
        while not last:
            try:
                await asyncio.wait_for(self._stopping.wait(), self._settings.flush_interval_ms / 1000)
                last = True
            except TimeoutError:
                pass
            arrived, self._arrived = self._arrived, deque()
            await loop.run_in_executor(self._executor, self._flush, arrived, last)

    def _flush(self, arrived: Iterable[Tick], last: bool) -> None:
        """Build bars from what has arrived, and store what waits. On the flushing thread."""
        now = time.monotonic()
        try:
            self._take(arrived, now)
            if self._builder is not None:
                self._bars.extend(self._builder.finish(now, everything=last))
            self._bound()
            if last or now >= self._retry_at:
                while self._ticks or self._bars:
                    self._save()
        except CoreError as error:
            self._failures += 1
            pause = min(self._settings.flush_interval_ms / 1000 * 2**self._failures, _RETRY_MAX_S)
            self._retry_at = now + pause
            if self._detail is None:
                _log.warning("Ticks and bars are not stored, and wait: %s", error)
            self._detail = str(error)
        except Exception as error:  # noqa: BLE001  the edge of a background thread: it must outlive what it is given
            lost = len(self._ticks) + len(self._bars)
            self._lost += lost
            self._ticks.clear()
            self._bars.clear()
            self._detail = f"{type(error).__name__}: {error}"
            _log.exception("Dropped %d ticks and bars that could not be stored", lost)
        else:
            if now >= self._retry_at and self._detail is not None:
                _log.info("Ticks and bars are stored again")
                self._failures, self._detail = 0, None

    def _take(self, arrived: Iterable[Tick], now: float) -> None:
        for tick in arrived:
            if self._settings.record_ticks:
                self._ticks.append(tick)
            if self._builder is not None:
                completed = self._builder.update(tick, _micros(tick.datetime), now)
                if completed is not None:
                    self._bars.append(completed)

    def _bound(self) -> None:
        for waiting in (self._ticks, self._bars):
            while len(waiting) > self._capacity:
                waiting.popleft()
                self._lost += 1

    def _save(self) -> None:
        ticks, bars = list(islice(self._ticks, _SAVE_TICKS)), list(self._bars)
        self._store.save([*_tick_series(ticks), *bar_series(bars)])
        for _ in ticks:
            self._ticks.popleft()
        self._bars.clear()

    def _stored_bar(self, symbol: str, exchange: Exchange, minute: int) -> MinuteBar | None:
        moment = to_moment(minute)
        end = moment + timedelta(seconds=59)
        try:
            return minute_bar(self._store.load(symbol, exchange, Interval.MINUTE, moment, end, limit=1))
        except CoreError as error:
            _log.warning("The bar of %s at %s may be incomplete: %s", symbol, moment, error)
            return None


def _micros(timestamp: str) -> int:
    return to_micros(datetime.fromisoformat(timestamp))


def _tick_series(ticks: Sequence[Tick]) -> list[Series]:
    by_symbol: dict[str, list[Tick]] = {}
    for tick in ticks:
        by_symbol.setdefault(tick.vt_symbol, []).append(tick)
    found = []
    for rows in by_symbol.values():
        local = [NO_TIME if row.localtime is None else _micros(row.localtime) for row in rows]
        columns: dict[str, NDArray[Any]] = {
            "datetime": np.array([_micros(row.datetime) for row in rows], np.int64),
            "localtime": np.array(local, np.int64),
        }
        # ``None`` becomes NaN.
        columns |= {name: np.array([getattr(row, name) for row in rows], np.float64) for name in TICK_COLUMNS}
        last = rows[-1]
        found.append(Series(last.symbol, last.exchange, Interval.TICK, columns, last.name))
    return found
