"""Ledger: what a strategy's fills in one symbol come to, day by day; pure arithmetic, in the order in which fills come.

Sums are kept in points (price times volume) and become money by the terms of the symbol when they are read. A day's
profit is vn.py's (``DailyResult``): what the position of the morning made from the last close to this one, and what
each fill made from its price to the close. Realised is against the average price of the leg that a fill reduces.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import msgspec

from vnpy_core.enums import Offset
from vnpy_core.strategies.latency import LatencySketch

# Finer than any market's volumes: what is left of 0.1 + 0.2 - 0.3 is no position.
_DIGITS = 12


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a symbol's points are worth and what trading it costs.

    ``commission_rate``: of turnover; ``commission_per_lot``: money for each lot; ``slippage``: price units for each
    lot, as vn.py's back-tester has it. ``net``: the venue holds one net position, and offsets mean nothing.
    """

    size: float = 1.0
    commission_rate: float = 0.0
    commission_per_lot: float = 0.0
    slippage: float = 0.0
    net: bool = False

    def commission(self, points: float, volume: float) -> float:
        return points * self.size * self.commission_rate + volume * self.commission_per_lot

    def slipped(self, volume: float) -> float:
        return volume * self.size * self.slippage


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """``day`` is the trading day, YYYY-MM-DD; ``latency_s`` from the order to this fill, by the venue's own times."""

    day: str
    is_buy: bool
    offset: Offset
    price: float
    volume: float
    latency_s: float | None = None


class Leg(msgspec.Struct):
    """The volume held on one side, what it cost in points, and the round trip that it is in."""

    volume: float = 0.0
    cost: float = 0.0
    gained: float = 0.0
    points: float = 0.0
    traded: float = 0.0

    @property
    def average(self) -> float:
        return self.cost / self.volume if self.volume else 0.0


class DaySums(msgspec.Struct):
    """What happened on a day. ``paid`` is the cash in points, bought less sold; ``won`` and ``lost`` are money."""

    fills: int = 0
    bought: float = 0.0
    sold: float = 0.0
    paid: float = 0.0
    turnover: float = 0.0
    realised: float = 0.0
    last_price: float = 0.0
    winners: int = 0
    losers: int = 0
    even: int = 0
    won: float = 0.0
    lost: float = 0.0
    latency: LatencySketch | None = None


class DayResult(msgspec.Struct):
    """A trading day, of one symbol, of a strategy or of several; money, but for the counts.

    ``exposure`` is the value of what was held at the end, ``net_exposure`` the same with shorts counted negative;
    ``close`` is of one symbol alone.
    """

    date: str
    trade_count: int = 0
    turnover: float = 0.0
    commission: float = 0.0
    slippage: float = 0.0
    trading_pnl: float = 0.0
    holding_pnl: float = 0.0
    total_pnl: float = 0.0
    net_pnl: float = 0.0
    realised_pnl: float = 0.0
    exposure: float = 0.0
    net_exposure: float = 0.0
    winners: int = 0
    losers: int = 0
    even: int = 0
    won: float = 0.0
    lost: float = 0.0
    close: float = 0.0

    SUMMED: ClassVar[tuple[str, ...]] = (
        "trade_count", "turnover", "commission", "slippage", "trading_pnl", "holding_pnl", "total_pnl", "net_pnl",
        "realised_pnl", "exposure", "net_exposure", "winners", "losers", "even", "won", "lost",
    )  # fmt: skip

    def add(self, other: "DayResult") -> None:
        # Spelt out: by name it took 2 µs more, and a portfolio has tens of thousands of rows.
        self.trade_count += other.trade_count
        self.turnover += other.turnover
        self.commission += other.commission
        self.slippage += other.slippage
        self.trading_pnl += other.trading_pnl
        self.holding_pnl += other.holding_pnl
        self.total_pnl += other.total_pnl
        self.net_pnl += other.net_pnl
        self.realised_pnl += other.realised_pnl
        self.exposure += other.exposure
        self.net_exposure += other.net_exposure
        self.winners += other.winners
        self.losers += other.losers
        self.even += other.even
        self.won += other.won
        self.lost += other.lost


class Ledger:
    """One strategy's fills in one symbol. ``terms`` are those that round trips are judged by when they end."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.days: dict[str, DaySums] = {}
        self.long = Leg()
        self.short = Leg()
        self.unopened = 0.0
        self.count = 0
        """Of all fills."""
        self.late = 0
        """Of fills of a day that was not the newest any more."""
        self._newest = ""

    @property
    def position(self) -> float:
        return round(self.long.volume - self.short.volume, _DIGITS)

    @property
    def first_day(self) -> str:
        return min(self.days)

    @property
    def newest_day(self) -> str:
        return self._newest

    @property
    def last_price(self) -> float:
        return self.days[self._newest].last_price

    def add(self, fill: Fill) -> None:
        """Count a fill.

        One that closes what was never opened here (the position is older than what was recorded) opens the other side;
        ``unopened`` says how much.
        """
        self.count += 1
        self.late += fill.day < self._newest
        self._newest = max(self._newest, fill.day)
        day = self.days.setdefault(fill.day, DaySums())
        points = fill.price * fill.volume
        day.fills += 1
        day.turnover += points
        day.last_price = fill.price
        if fill.is_buy:
            day.bought += fill.volume
            day.paid += points
        else:
            day.sold += fill.volume
            day.paid -= points
        if fill.latency_s is not None:
            day.latency = day.latency or LatencySketch()
            day.latency.add(fill.latency_s)
        own, other = (self.long, self.short) if fill.is_buy else (self.short, self.long)
        left = fill.volume
        if fill.offset is not Offset.OPEN or self.terms.net:
            left = self._reduce(other, day, fill, left)
            if left and fill.offset not in (Offset.OPEN, Offset.NONE) and not self.terms.net:
                self.unopened += left
        if left:
            self._put(own, left, fill.price)

    def _reduce(self, leg: Leg, day: DaySums, fill: Fill, volume: float) -> float:
        """Take up to ``volume`` off a leg, and return what is left of it."""
        closed = min(volume, leg.volume)
        if not closed:
            return volume
        average = leg.average
        gained = closed * (average - fill.price if fill.is_buy else fill.price - average)
        day.realised += gained
        leg.gained += gained
        leg.points += closed * fill.price
        leg.traded += closed
        leg.cost -= closed * average
        leg.volume = round(leg.volume - closed, _DIGITS)
        if not leg.volume:
            self._end_trip(leg, day)
        return round(volume - closed, _DIGITS)

    def _put(self, leg: Leg, volume: float, price: float) -> None:
        leg.volume = round(leg.volume + volume, _DIGITS)
        leg.cost += volume * price
        leg.points += volume * price
        leg.traded += volume

    def _end_trip(self, leg: Leg, day: DaySums) -> None:
        """The leg is flat: what its round trip came to, after costs, is won or lost."""
        terms = self.terms
        net = leg.gained * terms.size - terms.commission(leg.points, leg.traded) - terms.slipped(leg.traded)
        if net > 0:
            day.winners += 1
            day.won += net
        elif net < 0:
            day.losers += 1
            day.lost -= net
        else:
            day.even += 1
        leg.cost = leg.gained = leg.points = leg.traded = 0.0

    def unrealised(self, price: float) -> float:
        """Return what closing both legs at ``price`` would realise, before costs; money."""
        long, short = self.long, self.short
        return (price * long.volume - long.cost + short.cost - price * short.volume) * self.terms.size


def day_results(
    ledger: Ledger,
    closes: Mapping[str, float],
    trading_days: Callable[[str, str], Iterable[str]] = lambda first, last: (),
) -> list[DayResult]:
    """Return a row for each day from the first fill on, ascending: days with fills, with a close, and trading days.

    ``closes`` has the close of a day, as far as it is known; without one a day closes at its last fill, or as the day
    before. ``trading_days`` returns those in a range.
    """
    first = ledger.first_day
    known = {day for day in closes if day >= first} | ledger.days.keys()
    days = sorted(known.union(trading_days(first, max(known))))
    position, before = 0.0, 0.0
    results: list[DayResult] = []
    for day in days:
        sums = ledger.days.get(day)
        result, position, before = _result(ledger.terms, day, sums, position, before, closes.get(day))
        results.append(result)
    return results


def newest_result(ledger: Ledger, past: Sequence[DayResult], day: str, close: float | None) -> DayResult:
    """Return the row of ``day``, the newest, given those before it."""
    sums = ledger.days.get(day)
    moved = sums.bought - sums.sold if sums is not None else 0.0
    before = past[-1].close if past else 0.0
    return _result(ledger.terms, day, sums, round(ledger.position - moved, _DIGITS), before, close)[0]


def _result(
    terms: Terms, day: str, sums: DaySums | None, position: float, before: float, close: float | None
) -> tuple[DayResult, float, float]:
    """Return the row, the position at the end of the day, and its close."""
    if close is None:
        close = sums.last_price if sums is not None else before
    result = DayResult(date=day, close=close)
    result.holding_pnl = position * (close - before) * terms.size if position else 0.0
    if sums is not None:
        volume = sums.bought + sums.sold
        result.trade_count = sums.fills
        result.turnover = sums.turnover * terms.size
        result.commission = terms.commission(sums.turnover, volume)
        result.slippage = terms.slipped(volume)
        result.trading_pnl = ((sums.bought - sums.sold) * close - sums.paid) * terms.size
        result.realised_pnl = sums.realised * terms.size
        result.winners, result.losers, result.even = sums.winners, sums.losers, sums.even
        result.won, result.lost = sums.won, sums.lost
        position = round(position + sums.bought - sums.sold, _DIGITS)
    result.total_pnl = result.trading_pnl + result.holding_pnl
    result.net_pnl = result.total_pnl - result.commission - result.slippage
    result.net_exposure = position * close * terms.size
    result.exposure = abs(result.net_exposure)
    return result, position, close


def merged(tables: Sequence[Sequence[DayResult]]) -> list[DayResult]:
    """Return the days of all, ascending, each the sum of its rows; the rows themselves stay as they are."""
    if len(tables) == 1:
        return list(tables[0])
    days: dict[str, DayResult] = {}
    for table in tables:
        add_days(days, table)
    return [days[day] for day in sorted(days)]


def add_days(days: dict[str, DayResult], table: Sequence[DayResult]) -> None:
    """Add the rows of ``table`` to those of ``days``, which are its own."""
    for row in table:
        found = days.get(row.date)
        if found is None:
            found = days[row.date] = DayResult(date=row.date)
        found.add(row)
