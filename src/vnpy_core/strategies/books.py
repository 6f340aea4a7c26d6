"""Books: the ledgers of all strategies, the closes they are valued at, and the trading days of their markets."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache

import msgspec

from vnpy_core.config.performance_settings import PerformanceSettings
from vnpy_core.data.strategy_fills import RecordedFill, StoredTerms
from vnpy_core.enums import Direction, Exchange
from vnpy_core.models import Contract, Tick
from vnpy_core.strategies.ledger import DayResult, Fill, Ledger, Terms, day_results, merged, newest_result
from vnpy_core.trading.calendar import ALWAYS_OPEN, TradingCalendar
from vnpy_core.trading.trading_day import DAILY

# vn.py's engines write "<engine>_<strategy>" into the reference of an order.
REFERENCE_PREFIXES = ("CtaStrategy_", "PortfolioStrategy_", "SpreadTrading_")
# Days change at 18:00 in China and at midnight elsewhere: the same for all moments of ten minutes.
_TEN_MINUTES = len("2026-01-05T01:3")
_SATURDAY = 5


def strategy_of_reference(reference: str) -> str | None:
    """Return the strategy that has sent an order, if one of vn.py's strategy engines has."""
    for prefix in REFERENCE_PREFIXES:
        if reference.startswith(prefix):
            return reference[len(prefix) :] or None
    return None


class TradingDays:
    """Which trading day a moment counts for: by the exchange's calendar, or where that is not known by the date in
    ``zone``."""

    def __init__(self, calendar: TradingCalendar, zone: tzinfo) -> None:
        self._calendar = calendar
        self._zone = zone
        self._day = lru_cache(4096)(self._day_of)
        self.between = lru_cache(1024)(self._between)

    def of(self, exchange: Exchange, moment: str) -> str:
        """Return the day, YYYY-MM-DD, of a wire timestamp."""
        return self._day(exchange, moment[:_TEN_MINUTES])

    def forget(self) -> None:
        """Holidays have been loaded since."""
        self._day.cache_clear()
        self.between.cache_clear()

    def _day_of(self, exchange: Exchange, moment: str) -> str:
        at = datetime.fromisoformat(f"{moment}0+00:00")
        return (self._calendar.day_of(exchange, at) or at.astimezone(self._zone).date()).isoformat()

    def _between(self, exchange: Exchange, first: str, last: str) -> tuple[str, ...]:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
        days = (begin + timedelta(days=number) for number in range((end - begin).days + 1))
        return tuple(day.isoformat() for day in days if self._is_trading_day(exchange, day))

    def _is_trading_day(self, exchange: Exchange, day: date) -> bool:
        if exchange in ALWAYS_OPEN:
            return True
        return self._calendar.is_trading_day(day) if exchange in DAILY else day.weekday() < _SATURDAY


class SymbolCloses(msgspec.Struct):
    """The last price of each day of a symbol. ``count``: how often one came; ``loads``: how often older ones did."""

    days: dict[str, float] = msgspec.field(default_factory=dict)
    newest: str = ""
    count: int = 0
    loads: int = 0
    unsaved: set[str] = msgspec.field(default_factory=set)

    @property
    def last_price(self) -> float | None:
        return self.days.get(self.newest)

    def put(self, day: str, price: float) -> None:
        if day < self.newest:
            return  # of a feed that is behind
        if day > self.newest:
            self.newest = day
        self.count += 1
        self.days[day] = price
        self.unsaved.add(day)


class SymbolBook:
    """A strategy's ledger of one symbol, with the rows of the days that are over kept ready."""

    def __init__(self, vt_symbol: str, exchange: Exchange, terms: Terms) -> None:
        self.vt_symbol = vt_symbol
        self.exchange = exchange
        self.ledger = Ledger(terms)
        self.last_moment = ""
        self._key = (0, 0, "")
        self._past: list[DayResult] = []

    def rows(self, closes: SymbolCloses, days: TradingDays) -> list[DayResult]:
        """Return all days; what it costs to ask again does not grow with them."""
        ledger = self.ledger
        newest = max(ledger.newest_day, closes.newest)
        # A fill or a price of the newest day changes its row alone.
        fills = ledger.late if ledger.newest_day == newest else -ledger.count
        prices = closes.loads if closes.newest == newest else -closes.count
        key = (fills, prices, newest)
        if key != self._key:
            exchange = self.exchange
            rows = day_results(ledger, closes.days, lambda first, last: days.between(exchange, first, last))
            self._key, self._past = key, rows[:-1]
        return [*self._past, newest_result(ledger, self._past, newest, closes.days.get(newest))]


class Books:
    """Loop only. A symbol's closes are kept from its first fill on; ``dirty_terms`` wait to be stored."""

    def __init__(self, settings: PerformanceSettings, days: TradingDays) -> None:
        self._settings = settings
        self.days = days
        self.books: dict[str, dict[str, SymbolBook]] = {}
        self.closes: dict[str, SymbolCloses] = {}
        self.contracts: dict[str, StoredTerms] = {}
        self.unsaved_terms: set[str] = set()

    def load(self, closes: Mapping[str, Mapping[str, float]], contracts: Mapping[str, StoredTerms]) -> None:
        """Begin with what was stored; what has been seen meanwhile is newer."""
        self.contracts = {**contracts, **self.contracts}
        for vt_symbol, days in closes.items():
            known = self.closes.setdefault(vt_symbol, SymbolCloses())
            known.days = {**days, **known.days}
            known.newest = max(known.days)
            known.count += 1
            known.loads += 1

    def take_contract(self, contract: Contract) -> bool:
        """Keep what a contract is like, and tell whether fills have been counted by other terms."""
        given = StoredTerms(contract.size, contract.net_position)
        before = self.contracts.get(contract.vt_symbol)
        if before == given:
            return False
        self.contracts[contract.vt_symbol] = given
        self.unsaved_terms.add(contract.vt_symbol)
        return any(contract.vt_symbol in books for books in self.books.values())

    def take_tick(self, tick: Tick) -> None:
        closes = self.closes.get(tick.vt_symbol)
        if closes is not None and tick.last_price:
            closes.put(self.days.of(tick.exchange, tick.datetime), tick.last_price)

    def take_fill(self, fill: RecordedFill) -> bool:
        """Count a fill; one without direction or price is passed over.

        Returns whether it came in its turn. After one that did not, what is realised depends on an order that a
        restart would not find again.
        """
        name = strategy_of_reference(fill.reference)
        if name is None or fill.price is None or fill.direction not in (Direction.LONG, Direction.SHORT):
            return True
        books = self.books.setdefault(name, {})
        book = books.get(fill.vt_symbol)
        if book is None:
            terms = self.terms_of(fill.symbol, fill.vt_symbol)
            book = books[fill.vt_symbol] = SymbolBook(fill.vt_symbol, fill.exchange, terms)
            self.closes.setdefault(fill.vt_symbol, SymbolCloses())
        book.ledger.add(
            Fill(
                day=self.days.of(fill.exchange, fill.moment),
                is_buy=fill.direction is Direction.LONG,
                offset=fill.offset,
                price=fill.price,
                volume=fill.volume,
                latency_s=_latency_s(fill),
            )
        )
        in_turn = fill.moment >= book.last_moment
        book.last_moment = max(book.last_moment, fill.moment)
        return in_turn

    def is_outdated(self) -> bool:
        """Tell whether fills were counted by other terms than are known now."""
        return any(
            book.ledger.terms != self.terms_of(vt_symbol.rpartition(".")[0], vt_symbol)
            for books in self.books.values()
            for vt_symbol, book in books.items()
        )

    def terms_of(self, symbol: str, vt_symbol: str) -> Terms:
        costs = self._settings.costs_of(symbol, vt_symbol)
        contract = self.contracts.get(vt_symbol)
        return Terms(
            size=costs.size or (contract.size if contract is not None else 1.0),
            commission_rate=costs.commission_rate or 0.0,
            commission_per_lot=costs.commission_per_lot or 0.0,
            slippage=costs.slippage or 0.0,
            net=contract is not None and contract.net_position,
        )

    def sized(self, vt_symbol: str) -> bool:
        """Tell whether the size of the contract is known, or set."""
        symbol = vt_symbol.rpartition(".")[0]
        return vt_symbol in self.contracts or self._settings.costs_of(symbol, vt_symbol).size is not None

    def rows(self, name: str) -> list[DayResult]:
        """Return the days of a strategy, over all its symbols."""
        books = self.books.get(name, {}).values()
        return merged([book.rows(self.closes[book.vt_symbol], self.days) for book in books])

    def unsaved_closes(self) -> Iterator[tuple[str, str, float]]:
        for vt_symbol, closes in self.closes.items():
            for day in closes.unsaved:
                yield vt_symbol, day, closes.days[day]

    def mark_saved(self, closes: Iterable[tuple[str, str, float]], terms: Iterable[str]) -> None:
        """Forget that these waited, if they have not changed since."""
        for vt_symbol, day, price in closes:
            known = self.closes[vt_symbol]
            if known.days.get(day) == price:
                known.unsaved.discard(day)
        self.unsaved_terms.difference_update(terms)


def _latency_s(fill: RecordedFill) -> float | None:
    if fill.ordered is None:
        return None
    return (datetime.fromisoformat(fill.moment) - datetime.fromisoformat(fill.ordered)).total_seconds()

