"""To which trading day a moment of the Chinese markets belongs; holidays are not known here."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from vnpy_core.enums import Exchange
from vnpy_core.models import Order

CHINA = ZoneInfo("Asia/Shanghai")
# Their venues report the orders of the present trading day alone.
DAILY = frozenset({
    Exchange.CFFEX, Exchange.SHFE, Exchange.CZCE, Exchange.DCE, Exchange.INE, Exchange.GFEX, Exchange.SSE,
    Exchange.SZSE, Exchange.BSE, Exchange.SGE,
})  # fmt: skip
# Night trading, from 21:00 on, counts for the next day: the day changes between the afternoon and the night session.
_CHANGES_AT = time(18)
_SHIFT = timedelta(hours=24 - _CHANGES_AT.hour)
_SATURDAY = 5


def trading_day(moment: datetime) -> date:
    """Return the day that ``moment`` (aware) counts for: the next one from 18:00 on, Monday from Friday's night on."""
    day = (moment.astimezone(CHINA) + _SHIFT).date()
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= _SATURDAY else day


def is_of_today(order: Order, now: datetime | None = None) -> bool:
    """Tell whether the order's venue would report it still: always, but for one of an earlier day in China."""
    if order.exchange not in DAILY or order.datetime is None:
        return True
    return trading_day(datetime.fromisoformat(order.datetime)) >= trading_day(now or datetime.now(UTC))
