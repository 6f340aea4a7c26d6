"""When the simulated exchange trades, and to which trading day a moment belongs."""

from datetime import date, datetime, time, timedelta

import msgspec

from vnpy_core.errors import ConfigError

# Night trading, from 21:00 on, counts for the next day: the day changes between the afternoon and the night session.
DAY_CHANGES_AT = time(18)
_DAY_SHIFT = timedelta(hours=24 - DAY_CHANGES_AT.hour)
_SATURDAY = 5


class Session(msgspec.Struct, frozen=True):
    """Daily trading hours, None: always. The end is outside; a window that ends before it starts passes midnight."""

    windows: tuple[tuple[time, time], ...] | None

    def is_open(self, moment: datetime) -> bool:
        if self.windows is None:
            return True
        clock = moment.time()
        return any(
            start <= clock < end if start <= end else clock >= start or clock < end for start, end in self.windows
        )


def parse_session(text: str) -> Session:
    """Return the session that ``text`` describes: ``always``, ``closed`` or ``09:00-11:30,13:30-15:00``.

    Raises:
        ConfigError: ``text`` is none of these.
    """
    if text == "always":
        return Session(None)
    if text == "closed":
        return Session(())
    try:
        pairs = [[time.fromisoformat(end.strip()) for end in window.split("-")] for window in text.split(",")]
        return Session(tuple((start, end) for start, end in pairs))
    except ValueError as error:
        raise ConfigError(
            f"session: {text!r} is neither always, closed, nor hours such as 09:00-11:30,13:30-15:00"
        ) from error


def trading_day(moment: datetime) -> date:
    """Return the day ``moment`` counts for: the next one from 18:00 on, Monday for a week-end."""
    day = (moment + _DAY_SHIFT).date()
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= _SATURDAY else day


def trading_day_bounds(moment: datetime) -> tuple[datetime, datetime]:
    """Return the first moment of ``moment``'s trading day and the first one after it, in ``moment``'s zone."""
    day = trading_day(moment)
    previous = day - timedelta(days=3 if day.weekday() == 0 else 1)
    return (
        datetime.combine(previous, DAY_CHANGES_AT, moment.tzinfo),
        datetime.combine(day, DAY_CHANGES_AT, moment.tzinfo),
    )
