"""When the day changes at the Chinese markets. Which days are traded: see calendar.py."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from vnpy_core.enums import Exchange

CHINA = ZoneInfo("Asia/Shanghai")
# Their venues report the orders of the present trading day alone.
DAILY = frozenset({
    Exchange.CFFEX, Exchange.SHFE, Exchange.CZCE, Exchange.DCE, Exchange.INE, Exchange.GFEX, Exchange.SSE,
    Exchange.SZSE, Exchange.BSE, Exchange.SGE,
})  # fmt: skip
# Night trading, from 21:00 on, counts for the next day: the day changes between the afternoon and the night session.
_CHANGES_AT = time(18)
_SHIFT = timedelta(hours=24 - _CHANGES_AT.hour)


def counts_for(moment: datetime) -> date:
    """Return the day that ``moment`` (aware) counts for in China, or, if that is none of trading, the next that is."""
    return (moment.astimezone(CHINA) + _SHIFT).date()
