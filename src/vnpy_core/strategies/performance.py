"""StrategyPerformance: how strategies do, out of recorded fills and the prices of now; asked by the routers."""

import asyncio
from collections.abc import Sequence

import msgspec

from vnpy_core.config.performance_settings import PerformanceSettings
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.models import now_timestamp
from vnpy_core.strategies.books import Books
from vnpy_core.strategies.latency import LatencySketch
from vnpy_core.strategies.ledger import DayResult, add_days
from vnpy_core.strategies.performance_reports import (
    Contribution,
    DailyPage,
    DailyRow,
    EquityPage,
    HeldPosition,
    LatencyStatistics,
    Performance,
    TripStatistics,
)
from vnpy_core.strategies.statistics import Basis, equity_curve, summarise, vnpy_statistics

_SLICE = 5


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Trading days, both inside; ``None``: from the first, to the last. ``capital``: another one than is configured."""

    start: str | None = None
    end: str | None = None
    capital: float | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Rows behind the day ``after``."""

    after: str | None = None
    limit: int = 1000


class StrategyPerformance:
    """Loop only. ``books`` are filled by a ``PerformanceFeed``; until they are, and why, ``unready`` says.

    Raises:
        Unavailable: the books are not filled yet (``performance_restoring``).
    """

    def __init__(self, settings: PerformanceSettings, books: Books) -> None:
        self._settings = settings
        self.books = books
        self.unready: str | None = "The recorded fills are being read."

    def names(self) -> list[str]:
        """Return the strategies, of now and of the past, that have traded."""
        self._require_ready()
        return sorted(self.books.books)

    def has_traded(self, name: str) -> bool:
        return name in self.books.books

    async def report(self, names: Sequence[str], span: Span) -> Performance:
        """Return how ``names`` do as one portfolio."""
        self._require_ready()
        capital = self._capital(names, span)
        books = self.books
        tables, whole = await self._tables(books, names)
        rows = [row for row in whole if _is_within(row, span)]
        basis = Basis(
            capital=capital, annual_days=self._settings.annual_days, risk_free=self._settings.risk_free,
            half_life=self._settings.half_life,
        )  # fmt: skip
        end = rows[-1].date if rows else ""
        balance = capital + _sum(rows, "net_pnl")
        latency = await self._latency(books, names, span)
        contributions = []
        for name, table in tables.items():
            contributions.append(_contribution(name, table, span))
            await _give_way(len(contributions))
        last = rows[-1] if rows else DayResult(date="")
        return Performance(
            strategies=list(names),
            as_of=now_timestamp(),
            start=rows[0].date if rows else None,
            end=end or None,
            days=len(rows),
            capital=capital,
            balance=balance,
            net_pnl=_sum(rows, "net_pnl"),
            realised_pnl=_sum(rows, "realised_pnl"),
            unrealised_pnl=_unrealised(whole, end),
            commission=_sum(rows, "commission"),
            slippage=_sum(rows, "slippage"),
            turnover=_sum(rows, "turnover"),
            trade_count=int(_sum(rows, "trade_count")),
            exposure=last.exposure,
            net_exposure=last.net_exposure,
            leverage=last.exposure / balance if balance > 0 else None,
            days_exposed=sum(row.exposure > 0 for row in rows),
            summary=summarise(rows, basis),
            trips=_trips(rows),
            latency=latency,
            vnpy=vnpy_statistics(rows, basis),
            positions=self._positions(names),
            contributions=contributions,
            notes=self._notes(names),
        )

    async def daily(self, names: Sequence[str], span: Span, page: Page) -> DailyPage:
        self._require_ready()
        capital = self._capital(names, span)
        rows = await self._rows(names, span)
        points = equity_curve(rows, capital)
        begin, stop = _place(rows, page), len(rows)
        end = min(begin + page.limit, stop)
        daily = [
            DailyRow(
                date=row.date, trade_count=row.trade_count, turnover=row.turnover, commission=row.commission,
                slippage=row.slippage, trading_pnl=row.trading_pnl, holding_pnl=row.holding_pnl,
                total_pnl=row.total_pnl, net_pnl=row.net_pnl, realised_pnl=row.realised_pnl, exposure=row.exposure,
                net_exposure=row.net_exposure, closed_trips=row.winners + row.losers + row.even,
                balance=point.balance, drawdown=point.drawdown, drawdown_percent=point.drawdown_percent,
            )
            for row, point in zip(rows[begin:end], points[begin:end], strict=True)
        ]  # fmt: skip
        return DailyPage(capital=capital, daily=daily, next_cursor=rows[end - 1].date if end < stop else None)

    async def equity(self, names: Sequence[str], span: Span, page: Page) -> EquityPage:
        self._require_ready()
        capital = self._capital(names, span)
        rows = await self._rows(names, span)
        begin, stop = _place(rows, page), len(rows)
        end = min(begin + page.limit, stop)
        points = equity_curve(rows, capital)[begin:end]
        return EquityPage(capital=capital, equity=points, next_cursor=rows[end - 1].date if end < stop else None)

    def _require_ready(self) -> None:
        if self.unready is not None:
            raise Unavailable(self.unready, code="performance_restoring")

    def _capital(self, names: Sequence[str], span: Span) -> float:
        if span.start and span.end and span.start > span.end:
            errors = [{"field": "to", "message": "is before from"}]
            raise Invalid(f"{span.end} is before {span.start}.", errors=errors)
        return span.capital or sum(self._settings.capital_of(name) for name in names) or self._settings.capital

    async def _rows(self, names: Sequence[str], span: Span) -> list[DayResult]:
        _, whole = await self._tables(self.books, names)
        return [row for row in whole if _is_within(row, span)]

    async def _tables(
        self, books: Books, names: Sequence[str]
    ) -> tuple[dict[str, list[DayResult]], list[DayResult]]:
        """Return the days of each, and of all together."""
        tables: dict[str, list[DayResult]] = {}
        days: dict[str, DayResult] = {}
        for name in names:
            tables[name] = books.rows(name)
            add_days(days, tables[name])
            await _give_way(len(tables))
        return tables, [days[day] for day in sorted(days)]

    def _positions(self, names: Sequence[str]) -> list[HeldPosition]:
        held = []
        for name in names:
            for vt_symbol, book in sorted(self.books.books.get(name, {}).items()):
                ledger = book.ledger
                if not (ledger.long.volume or ledger.short.volume):
                    continue
                price = self.books.closes[vt_symbol].last_price
                valued = ledger.last_price if price is None else price
                held.append(
                    HeldPosition(
                        strategy_name=name, vt_symbol=vt_symbol,
                        long_volume=ledger.long.volume, long_price=ledger.long.average or None,
                        short_volume=ledger.short.volume, short_price=ledger.short.average or None,
                        last_price=price, unrealised_pnl=ledger.unrealised(valued),
                        exposure=ledger.position * valued * ledger.terms.size, size=ledger.terms.size,
                    )
                )  # fmt: skip
        return held

    async def _latency(self, books: Books, names: Sequence[str], span: Span) -> LatencyStatistics:
        total = LatencySketch()
        for number, name in enumerate(names):
            await _give_way(number)
            for book in books.books.get(name, {}).values():
                for day, sums in book.ledger.days.items():
                    if sums.latency is not None and (span.start or "") <= day <= (span.end or "9999"):
                        total.merge(sums.latency)
        if not total.count:
            return LatencyStatistics(fills=0, mean_ms=None, p50_ms=None, p90_ms=None, p99_ms=None, max_ms=None)
        quantiles = [round(total.quantile_s(share) * 1000, 3) for share in (0.5, 0.9, 0.99)]
        return LatencyStatistics(
            fills=total.count, mean_ms=round(total.total_s / total.count * 1000, 3), p50_ms=quantiles[0],
            p90_ms=quantiles[1], p99_ms=quantiles[2], max_ms=round(total.longest_s * 1000, 3),
        )  # fmt: skip

    def _notes(self, names: Sequence[str]) -> list[str]:
        notes = []
        symbols = {vt_symbol for name in names for vt_symbol in self.books.books.get(name, {})}
        if unsized := sorted(symbol for symbol in symbols if not self.books.sized(symbol)):
            notes.append(
                f"The size of the contract of {', '.join(unsized)} is not known, and taken to be 1: no gateway has it. "
                "Set performance.symbols.<vt_symbol>.size."
            )
        for name in names:
            for vt_symbol, book in self.books.books.get(name, {}).items():
                if book.ledger.unopened:
                    notes.append(
                        f"{name} has closed {book.ledger.unopened:g} of {vt_symbol} that no recorded fill had opened; "
                        "they are counted as opening the other side."
                    )
        return notes


async def _give_way(done: int) -> None:
    """Let others have their turn on the loop, in between the strategies of a large portfolio."""
    if done % _SLICE == _SLICE - 1:
        await asyncio.sleep(0)


def _is_within(row: DayResult, span: Span) -> bool:
    return (span.start or "") <= row.date <= (span.end or "9999")


def _sum(rows: Sequence[DayResult], name: str) -> float:
    return float(sum(getattr(row, name) for row in rows))


def _unrealised(whole: Sequence[DayResult], end: str) -> float:
    """Return what all days up to ``end`` have made and nothing has realised."""
    return float(sum(row.total_pnl - row.realised_pnl for row in whole if row.date <= end))


def _place(rows: Sequence[DayResult], page: Page) -> int:
    return sum(row.date <= page.after for row in rows) if page.after is not None else 0


def _contribution(name: str, table: Sequence[DayResult], span: Span) -> Contribution:
    rows = [row for row in table if _is_within(row, span)]
    return Contribution(
        strategy_name=name,
        net_pnl=_sum(rows, "net_pnl"),
        realised_pnl=_sum(rows, "realised_pnl"),
        unrealised_pnl=_unrealised(table, rows[-1].date if rows else ""),
        turnover=_sum(rows, "turnover"),
        trade_count=int(_sum(rows, "trade_count")),
        exposure=rows[-1].exposure if rows else 0.0,
    )


def _trips(rows: Sequence[DayResult]) -> TripStatistics:
    winners, losers = sum(row.winners for row in rows), sum(row.losers for row in rows)
    closed = winners + losers + sum(row.even for row in rows)
    won, lost = _sum(rows, "won"), _sum(rows, "lost")
    return TripStatistics(
        closed=closed,
        winners=winners,
        losers=losers,
        win_rate=winners / closed if closed else None,
        profit_factor=won / lost if lost else None,
        average_win=won / winners if winners else None,
        average_loss=-lost / losers if losers else None,
    )
