"""StrategyFills: every recorded fill of strategies' orders, from SQL and, what is not there yet, the read model; and
SymbolStore: the closes and terms of the symbols that they traded."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from sqlalchemy import and_, or_, select

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.fact_queries import FactQueries, Place, behind
from vnpy_core.data.past import not_in_sql, require_complete
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.tables import orders, symbol_closes, symbol_terms, trades
from vnpy_core.data.upserts import upsert
from vnpy_core.enums import Direction, Exchange, Offset
from vnpy_core.events import Event
from vnpy_core.models import Order, Trade

_COLUMNS = (
    trades.c.vt_tradeid, trades.c.vt_orderid, trades.c.vt_symbol, trades.c.symbol, trades.c.exchange,
    trades.c.direction, trades.c.offset, trades.c.price, trades.c.volume, trades.c.moment, trades.c.seq,
    orders.c.reference, orders.c.datetime.label("ordered"),
)  # fmt: skip


class RecordedFill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade with what its order says: ``reference`` names who sent it, ``ordered`` is the order's own time."""

    vt_tradeid: str
    vt_orderid: str
    vt_symbol: str
    symbol: str
    exchange: Exchange
    direction: Direction | None
    offset: Offset
    price: float | None
    volume: float
    moment: str
    seq: int
    reference: str
    ordered: str | None

    @property
    def key(self) -> str:
        return f"{self.vt_tradeid}@{self.vt_orderid}"


class JournalEnd(Protocol):
    @property
    def identity(self) -> int: ...


class StrategyFills:
    """Loop only. ``prefixes`` are what the references of strategies' orders begin with."""

    def __init__(self, facts: FactQueries, read_model: ReadModel, journal: JournalEnd, prefixes: Sequence[str]) -> None:
        self._facts = facts
        self._read_model = read_model
        self._journal = journal
        self._prefixes = tuple(prefixes)
        self.page = 2000

    async def read(
        self, take: Callable[[RecordedFill], None], *, vt_symbol: str | None = None, start: str | None = None
    ) -> None:
        """Give ``take`` every fill, by its moment, of equal ones in the order in which they came.

        Between the last call and the return nothing waits: whatever is published after it has not been given.

        Raises:
            Unavailable: the database is down, or behind what the read model still has. Some may have been given.
        """
        position: int | None = None
        refused: set[int] = set()
        recent: set[str] = set()
        async for page, found in self._pages(vt_symbol, start):
            if position is None:
                position, refused = found
            for fill in page:
                if fill.seq > position:
                    recent.add(fill.key)
                take(fill)
        position = position or 0
        require_complete(self._read_model.trades, position)
        rest: list[RecordedFill] = []
        for event in not_in_sql(self._read_model.trades, position, refused):
            known = self.of(event)
            if known is None or known.key in recent:
                continue
            if vt_symbol in (None, known.vt_symbol) and known.moment >= (start or ""):
                rest.append(known)
        for fill in sorted(rest, key=_by_arrival):
            take(fill)

    def knows_order_of(self, trade: Trade) -> bool:
        return self._read_model.orders.get(trade.vt_orderid) is not None

    def of(self, event: Event) -> RecordedFill | None:
        """Return the fill that an event tells of, if a strategy has sent its order, as far as is known by now."""
        trade = event.data
        known = self._read_model.orders.get(trade.vt_orderid) if isinstance(trade, Trade) else None
        order = known.data if known is not None else None
        if not isinstance(trade, Trade) or not isinstance(order, Order):
            return None
        if not order.reference.startswith(self._prefixes):
            return None
        return RecordedFill(
            vt_tradeid=trade.vt_tradeid, vt_orderid=trade.vt_orderid, vt_symbol=trade.vt_symbol, symbol=trade.symbol,
            exchange=trade.exchange, direction=trade.direction, offset=trade.offset, price=trade.price,
            volume=trade.volume, moment=trade.datetime or event.ts, seq=event.seq or 0, reference=order.reference,
            ordered=order.datetime,
        )  # fmt: skip

    async def _pages(
        self, vt_symbol: str | None, start: str | None
    ) -> AsyncIterator[tuple[list[RecordedFill], tuple[int, set[int]]]]:
        """Yield the fills of SQL in pages, and how far it was before the first. A moment is never cut in two."""
        order = [trades.c.moment, trades.c.vt_tradeid, trades.c.vt_orderid]
        wanted = [or_(*(orders.c.reference.startswith(prefix, autoescape=True) for prefix in self._prefixes))]
        if vt_symbol is not None:
            wanted.append(trades.c.vt_symbol == vt_symbol)
        after: Place | None = None
        kept: list[RecordedFill] = []
        at: tuple[int, set[int]] | None = None
        while True:
            async with self._facts.reading() as snapshot:
                if at is None:
                    position = await snapshot.position(self._journal.identity)
                    at = position, await snapshot.refused(self._journal.identity, Trade)
                first = [trades.c.moment >= start] if start is not None else []
                if after is not None:
                    first = [trades.c.moment >= after.moment, behind(order, after)]
                query = (
                    select(*_COLUMNS)
                    .join(orders, orders.c.vt_orderid == trades.c.vt_orderid)
                    .where(and_(*wanted, *first))
                    .order_by(*order)
                    .limit(self.page)
                )
                rows = (await snapshot.session.execute(query)).mappings().all()
            names = RecordedFill.__struct_fields__
            found = [msgspec.convert({name: row[name] for name in names}, RecordedFill) for row in rows]
            kept += found
            if len(found) < self.page:
                yield sorted(kept, key=_by_arrival), at
                return
            last = found[-1]
            after = Place(last.moment, (last.vt_tradeid, last.vt_orderid))
            whole = [fill for fill in kept if fill.moment < last.moment]
            kept = [fill for fill in kept if fill.moment >= last.moment]
            yield sorted(whole, key=_by_arrival), at


def _by_arrival(fill: RecordedFill) -> tuple[str, int]:
    return fill.moment, fill.seq


class StoredTerms(msgspec.Struct, frozen=True):
    size: float
    net_position: bool


class SymbolStore:
    """The tables of closes and terms. A row is replaced by one that was seen later.

    Raises:
        Unavailable: the database cannot be reached.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    async def read(self) -> tuple[dict[str, dict[str, float]], dict[str, StoredTerms]]:
        """Return the closes by symbol and day, and the terms by symbol."""
        closes: dict[str, dict[str, float]] = {}
        async with self._database.session(read_only=True) as session:
            for row in await session.execute(select(symbol_closes)):
                closes.setdefault(row.vt_symbol, {})[row.day] = row.price
            terms = {
                row.vt_symbol: StoredTerms(row.size, row.net_position)
                for row in await session.execute(select(symbol_terms))
            }
        return closes, terms

    async def write(
        self, closes: Iterable[tuple[str, str, float]], terms: Mapping[str, StoredTerms], seen: int
    ) -> None:
        """Write closes (symbol, day, price) and terms that were seen at the microsecond ``seen``."""
        days = [{"vt_symbol": symbol, "day": day, "price": price, "seq": seen} for symbol, day, price in closes]
        rows = [
            {"vt_symbol": symbol, "size": each.size, "net_position": each.net_position, "seq": seen}
            for symbol, each in terms.items()
        ]
        async with self._database.session() as session:
            for table, given in ((symbol_closes, days), (symbol_terms, rows)):
                if given:
                    await session.execute(upsert(table, self._database.dialect), given)
