"""PerformanceFeed: fills the books of strategies' performance: once from what is recorded, then as things happen."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

from vnpy_core.config.settings import VnPyCoreConfig
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.fact_queries import FactQueries
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.recorder import SINK
from vnpy_core.data.strategy_fills import JournalEnd, RecordedFill, StrategyFills, SymbolStore
from vnpy_core.errors import CoreError
from vnpy_core.events import Event
from vnpy_core.models import Contract, Order, Tick, Trade
from vnpy_core.strategies.books import REFERENCE_PREFIXES, Books, TradingDays
from vnpy_core.strategies.performance import StrategyPerformance
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.closed_days import ClosedDays

logger = logging.getLogger(__name__)

# What a kill -9 may cost of the prices that positions are valued at, until the next tick.
SAVE_S = 2.0
_RETRY_S = (0.5, 15.0)
_SETTLE_S = 1.0
# How many times as long as it takes to fill them the books are left alone after it.
_REST = 20
_MAX_WAITING = 10_000


class Latest(Protocol):
    def get(self, key: str) -> Event | None: ...


class Published(Protocol):
    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None: ...


class PerformanceFeed:
    """Loop only. Made before anything is published; ``run`` for as long as the service does.

    While the database is down, what is to be stored waits in memory: a price for each symbol and day. Books that were
    filled by terms that turn out to be others, when a gateway tells of its contracts, are filled again.
    """

    def __init__(
        self,
        performance: StrategyPerformance,
        make_books: Callable[[], Books],
        fills: StrategyFills,
        store: SymbolStore,
        closed_days: ClosedDays,
        ticks: Latest,
        pipeline: Published,
    ) -> None:
        self._performance = performance
        self._make_books = make_books
        self.fills = fills
        self._store = store
        self._closed_days = closed_days
        self._ticks = ticks
        self._is_filled = False
        self._refill = asyncio.Event()
        self._new_symbol = asyncio.Event()
        self._unknown: dict[str, list[Event]] = {}
        self._loaded = False
        pipeline.subscribe(self._on_events)

    @property
    def _books(self) -> Books:
        return self._performance.books

    async def run(self) -> None:
        """Fill the books, again when that is due, and store what is to be stored; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fill_when_due())
            group.create_task(self._save_all())

    async def close(self) -> None:
        """Store what waits, if the database takes it."""
        await self._save()

    # -- from what is recorded

    async def _fill_when_due(self) -> None:
        self._refill.set()
        took_s = 0.0
        while True:
            await self._refill.wait()
            if self._is_filled:
                # Contracts come in their hundreds, and late fills, too.
                await asyncio.sleep(max(_SETTLE_S, _REST * took_s))
            self._refill.clear()
            begun = time.monotonic()
            await self._fill()
            took_s = time.monotonic() - begun

    async def _fill(self) -> None:
        delay, longest = _RETRY_S
        begun = time.monotonic()
        while True:
            try:
                count = await self._try_to_fill()
            except Exception as error:
                detail = error.detail if isinstance(error, CoreError) else repr(error)
                logger.warning("The fills of strategies cannot be read: %s", detail, exc_info=error)
                if not self._is_filled:
                    self._performance.unready = f"The recorded fills cannot be read: {detail}"
                await asyncio.sleep(delay)
                delay = min(2 * delay, longest)
            else:
                self._performance.unready = None
                logger.info("%d fills of strategies were read in %.1f s", count, time.monotonic() - begun)
                return

    async def _try_to_fill(self) -> int:
        await asyncio.to_thread(self._closed_days.load)
        self._books.days.forget()
        if not self._loaded:
            self._books.load(*await self._store.read())
            self._loaded = True
        # Beside the books that are in use, which go on being filled meanwhile.
        books = self._make_books()
        old = self._books
        books.contracts, books.unsaved_terms, books.closes = old.contracts, old.unsaved_terms, old.closes
        count = 0

        def take(fill: RecordedFill) -> None:
            nonlocal count
            count += 1
            books.take_fill(fill)

        await self.fills.read(take)
        # From here on nothing waits, so that no fill is counted twice or missed.
        self._performance.books = books
        self._is_filled = True
        self._unknown.clear()
        if books.is_outdated():
            self._refill.set()
        for vt_symbol in books.closes:
            self._value(vt_symbol)
        return count

    # -- as things happen

    def _on_events(self, events: Sequence[Event]) -> None:
        books = self._books
        for event in events:
            data = event.data
            if isinstance(data, Tick):
                books.take_tick(data)
            elif isinstance(data, Trade):
                self._take_trade(event, data)
            elif isinstance(data, Order):
                if data.vt_orderid in self._unknown:
                    for waiting in self._unknown.pop(data.vt_orderid):
                        self._count(waiting)
            elif isinstance(data, Contract) and books.take_contract(data):
                self._refill.set()

    def _take_trade(self, event: Event, trade: Trade) -> None:
        if not self._is_filled:
            return  # it is among those that are being read
        if not self.fills.knows_order_of(trade):
            # Its order may be told a moment later; that of another terminal never is.
            self._unknown.setdefault(trade.vt_orderid, []).append(event)
            if len(self._unknown) > _MAX_WAITING:
                del self._unknown[next(iter(self._unknown))]
            return
        self._count(event)

    def _count(self, event: Event) -> None:
        fill = self.fills.of(event)
        if fill is None:
            return
        if not self._books.take_fill(fill):
            self._refill.set()
        self._value(fill.vt_symbol)

    def _value(self, vt_symbol: str) -> None:
        """Take the price of a symbol that nobody was interested in so far."""
        closes, tick = self._books.closes.get(vt_symbol), self._ticks.get(vt_symbol)
        if closes is None or closes.days:
            return
        if tick is not None and isinstance(tick.data, Tick):
            self._books.take_tick(tick.data)
        # Its size is to be known at the next start, before a gateway tells it again.
        self._new_symbol.set()

    # -- what is kept

    async def _save_all(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAVE_S):
                    await self._new_symbol.wait()
            self._new_symbol.clear()
            await self._save()

    async def _save(self) -> None:
        books = self._books
        if not self._loaded:
            return
        closes = list(books.unsaved_closes())
        terms = {symbol: books.contracts[symbol] for symbol in books.unsaved_terms if symbol in books.closes}
        if not closes and not terms:
            return
        try:
            await self._store.write(closes, terms, time.time_ns() // 1000)
        except CoreError as error:
            logger.warning("Prices of strategies' positions are not stored, and wait: %s", error.detail)
        else:
            books.mark_saved(closes, terms)


def open_performance(
    config: VnPyCoreConfig, database: DatabaseManager, read_model: ReadModel, journal: JournalEnd, pipeline: Published
) -> tuple[StrategyPerformance, PerformanceFeed]:
    """Return the performance of strategies, and what fills it, once it is run."""
    closed_days = ClosedDays()
    days = TradingDays(TradingCalendar(closed_days), ZoneInfo(config.timezone))

    def make_books() -> Books:
        return Books(config.performance, days)

    performance = StrategyPerformance(config.performance, make_books())
    fills = StrategyFills(FactQueries(database, SINK), read_model, journal, REFERENCE_PREFIXES)
    store, ticks = SymbolStore(database), read_model.ticks
    feed = PerformanceFeed(performance, make_books, fills, store, closed_days, ticks, pipeline)
    return performance, feed
