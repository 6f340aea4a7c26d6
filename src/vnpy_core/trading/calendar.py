"""TradingCalendar: when a contract trades, and to which trading day a moment belongs, with nights and holidays."""

from collections.abc import Container, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Literal, Protocol

import msgspec

from vnpy_core.enums import Exchange
from vnpy_core.models import Order
from vnpy_core.trading.sessions import NIGHT_BEGINS, Windows, day_windows, night_end
from vnpy_core.trading.trading_day import CHINA, DAILY, counts_for

# Where crypto currencies trade, in vn.py: at any hour; their days are those of UTC.
ALWAYS_OPEN = frozenset({Exchange.GLOBAL})
FIRST_DAY, LAST_DAY = date(1992, 1, 1), date(2099, 12, 31)
# Orders are taken so long before the first session of a day, for the call auction.
AUCTION = timedelta(minutes=5)
_DAY = timedelta(days=1)
_SATURDAY = 5
_LONGEST_BREAK = 30


class Closed(Container[date], Protocol):
    """The days of the working week on which the exchanges are closed."""

    def is_estimated(self, year: int) -> bool: ...


class Weekdays:
    """No holidays."""

    def __contains__(self, day: object) -> bool:
        return False

    def is_estimated(self, year: int) -> bool:
        return False


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The end is outside."""

    kind: Literal["night", "day", "always"]
    begin: datetime
    end: datetime


class TradingCalendar:
    """``closed`` is asked for days of the Chinese exchanges alone; what is not known is answered by ``None``."""

    def __init__(self, closed: Closed) -> None:
        self._closed = closed

    @cached_property
    def weekdays(self) -> "TradingCalendar":
        """The same without holidays."""
        return TradingCalendar(Weekdays())

    # -- days

    def is_trading_day(self, day: date) -> bool:
        return day.weekday() < _SATURDAY and day not in self._closed

    def has_night(self, day: date) -> bool:
        """Tell whether there is a night session in the evening of ``day``: not before a holiday."""
        following = day + _DAY * (3 if day.weekday() == _SATURDAY - 1 else 1)
        return self.is_trading_day(day) and self.is_trading_day(following)

    def trading_day(self, moment: datetime) -> date:
        """Return the day that ``moment`` (aware) counts for in China: from 18:00 on the next on which it is traded."""
        return self._this_or_next(counts_for(moment))

    def is_estimated(self, day: date) -> bool:
        """Tell whether holidays around ``day`` are estimates: they may turn out to be trading days, or the reverse."""
        return self._closed.is_estimated(day.year) or self._closed.is_estimated((day + _DAY * 7).year)

    def rests_on_estimates(self, exchange: Exchange, day: date) -> bool:
        return exchange in DAILY and self.is_estimated(day)

    def is_of_today(self, order: Order, now: datetime | None = None) -> bool:
        """Tell whether the order's venue would report it still: always, but for one of an earlier day in China."""
        if order.exchange not in DAILY or order.datetime is None:
            return True
        placed, today = counts_for(datetime.fromisoformat(order.datetime)), counts_for(now or datetime.now(UTC))
        return placed >= today or self._this_or_next(placed) >= self._this_or_next(today)

    # -- sessions

    def day_of(self, exchange: Exchange, moment: datetime) -> date | None:
        """Return the trading day of ``moment`` at the exchange."""
        if exchange in ALWAYS_OPEN:
            return moment.astimezone(UTC).date()
        return self.trading_day(moment) if exchange in DAILY else None

    def sessions(self, symbol: str, exchange: Exchange, day: date) -> list[Session] | None:
        """Return the sessions that count for ``day``, the night before it first; none if that is no trading day."""
        if exchange in ALWAYS_OPEN:
            midnight = datetime.combine(day, time(), UTC)
            return [Session(kind="always", begin=midnight, end=midnight + _DAY)]
        windows, night = day_windows(symbol, exchange), night_end(symbol, exchange)
        if windows is None:
            return None
        if not self.is_trading_day(day):
            return []
        evening = day - _DAY * (3 if day.weekday() == 0 else 1)
        sessions = [_night(evening, night)] if night is not None and self.has_night(evening) else []
        return sessions + _by_day(day, windows)

    def is_open(self, symbol: str, exchange: Exchange, moment: datetime) -> bool | None:
        """Tell whether the contract trades at ``moment`` (aware)."""
        if exchange in ALWAYS_OPEN:
            return True
        sessions = self.sessions(symbol, exchange, self.trading_day(moment))
        return None if sessions is None else any(each.begin <= moment < each.end for each in sessions)

    def takes_orders(self, symbol: str, exchange: Exchange, moment: datetime) -> bool | None:
        """Tell whether it trades or is in its call auction; ``None`` also if it is closed by an estimated holiday."""
        if (is_open := self.is_open(symbol, exchange, moment)) is not False:
            return is_open
        sessions = self.sessions(symbol, exchange, self.trading_day(moment))
        if sessions and sessions[0].begin - AUCTION <= moment < sessions[0].end:
            return True
        if self.is_estimated(moment.astimezone(CHINA).date()) and self.weekdays.takes_orders(symbol, exchange, moment):
            return None
        return False

    def next_open(self, symbol: str, exchange: Exchange, moment: datetime) -> datetime | None:
        """Return when a session begins next after ``moment``; ``None`` also if it is always open."""
        return next((each.begin for each in self._from(symbol, exchange, moment) if each.begin > moment), None)

    def next_close(self, symbol: str, exchange: Exchange, moment: datetime) -> datetime | None:
        """Return when a session ends next after ``moment``; ``None`` also if it is always open."""
        return next((each.end for each in self._from(symbol, exchange, moment) if each.end > moment), None)

    def _from(self, symbol: str, exchange: Exchange, moment: datetime) -> Iterator[Session]:
        if exchange in ALWAYS_OPEN:
            return
        day = self.trading_day(moment)
        for number in range(_LONGEST_BREAK):
            yield from self.sessions(symbol, exchange, day + _DAY * number) or ()

    def _this_or_next(self, day: date) -> date:
        for _ in range(_LONGEST_BREAK):
            if self.is_trading_day(day):
                break
            day += _DAY
        return day


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, CHINA)


@lru_cache(1024)
def _night(evening: date, end: time) -> Session:
    last = evening if end > NIGHT_BEGINS else evening + _DAY
    return Session(kind="night", begin=_at(evening, NIGHT_BEGINS), end=_at(last, end))


@lru_cache(1024)
def _by_day(day: date, windows: Windows) -> list[Session]:
    return [Session(kind="day", begin=_at(day, begin), end=_at(day, end)) for begin, end in windows]
