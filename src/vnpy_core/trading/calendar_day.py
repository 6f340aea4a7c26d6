"""CalendarDay: what is told of one trading day of one contract."""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec

from vnpy_core.enums import Exchange
from vnpy_core.models import Timestamp, VtSymbol, to_timestamp
from vnpy_core.trading.calendar import TradingCalendar

Day = Annotated[str, msgspec.Meta(description="YYYY-MM-DD", extra_json_schema={"format": "date"})]


class SessionHours(msgspec.Struct, frozen=True, kw_only=True):
    """The end is outside."""

    kind: Literal["night", "day", "always"]
    begin: Timestamp
    end: Timestamp


class CalendarDay(msgspec.Struct, frozen=True, kw_only=True):
    """``date`` is what was asked for; the fields from ``is_open`` on are as of now."""

    vt_symbol: VtSymbol
    date: Annotated[Day | None, msgspec.Meta(description="null: none was named, and the exchange is not known")]
    is_trading_day: Annotated[bool | None, msgspec.Meta(description="null: the exchange's calendar is not known")]
    estimated: Annotated[bool, msgspec.Meta(description="The year's holidays are not published, as far as is known")]
    sessions: Annotated[
        list[SessionHours] | None,
        msgspec.Meta(description="What counts for this day, the night before it first; null: it is not known"),
    ]
    is_open: bool | None
    trading_day: Annotated[Day | None, msgspec.Meta(description="That now counts for")]
    next_open: Timestamp | None
    next_close: Timestamp | None


def describe(
    calendar: TradingCalendar, symbol: str, exchange: Exchange, day: date | None, now: datetime
) -> CalendarDay:
    """Return what is known of ``day``, by default the trading day of ``now``."""
    current = calendar.day_of(exchange, now)
    day = day or current
    sessions = None if day is None else calendar.sessions(symbol, exchange, day)
    next_open, next_close = calendar.next_open(symbol, exchange, now), calendar.next_close(symbol, exchange, now)
    return CalendarDay(
        vt_symbol=f"{symbol}.{exchange}",
        date=None if day is None else day.isoformat(),
        is_trading_day=None if sessions is None else bool(sessions),
        estimated=bool(day is not None and sessions is not None and calendar.rests_on_estimates(exchange, day)),
        sessions=None if sessions is None else [
            SessionHours(kind=each.kind, begin=to_timestamp(each.begin), end=to_timestamp(each.end))
            for each in sessions
        ],
        is_open=calendar.is_open(symbol, exchange, now),
        trading_day=None if current is None else current.isoformat(),
        next_open=None if next_open is None else to_timestamp(next_open),
        next_close=None if next_close is None else to_timestamp(next_close),
    )  # fmt: skip
