"""ClosedDays: the weekdays on which the Chinese exchanges are closed, as the library ``holidays`` knows them.

The library is brought up to date each year, when the State Council has published the days of the next; beyond the last
of these its days are estimates. At weekends the exchanges are always closed, also where others make up for a holiday.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import date

# Since 2007 its days are those on which the exchanges were closed, but for these.
_FIRST_YEAR = 2007
_FURTHER = frozenset({date(2024, 2, 9)})  # New Year's Eve, which was a holiday of the exchanges alone


class ClosedDays:
    """To be read from any thread. Nothing is closed until ``load``, which takes half a second and 10 MB."""

    def __init__(self) -> None:
        self._holidays: Mapping[date, str] | None = None
        self._last_year = 0
        self._loading = threading.Lock()

    @property
    def is_loaded(self) -> bool:
        return self._holidays is not None

    def load(self) -> None:
        """Load the library, once; not on the loop."""
        with self._loading:
            if self._holidays is None:
                from holidays.countries.china import China, ChinaStaticHolidays

                self._last_year = max(ChinaStaticHolidays.special_public_holidays)
                make: Callable[..., Mapping[date, str]] = China
                self._holidays = make(years=range(self._last_year - 1, self._last_year + 2))

    def __contains__(self, day: object) -> bool:
        holidays = self._holidays
        return holidays is not None and (day in holidays or day in _FURTHER)

    def is_estimated(self, year: int) -> bool:
        """Tell whether the days of ``year`` are not, or were not, published as the library has them."""
        return not _FIRST_YEAR <= year <= self._last_year
