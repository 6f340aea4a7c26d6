"""Bars out of stored ticks, by the rules of ``data.bar_builder``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.history.series import BAR_MICROS, Int64s
from vnpy_core.enums import Interval
from vnpy_core.errors import Invalid
from vnpy_core.ports import BAR_COLUMNS

Floats = NDArray[np.float64]
TOTALS = ("volume", "turnover")


def bar_width(interval: Interval) -> int:
    """Return the microseconds of a bar.

    Raises:
        Invalid: ``interval`` is neither a minute nor an hour; a day's bar follows the sessions, not the clock.
    """
    if interval not in BAR_MICROS:
        raise Invalid(f"Bars of the interval {interval} cannot be made from ticks: only MINUTE and HOUR can")
    return BAR_MICROS[interval]


def bars_of_ticks(ticks: Mapping[str, NDArray[Any]], first: int, last: int, width: int) -> dict[str, NDArray[Any]]:
    """Return the columns of the bars of the ticks (ascending, all of a series) from ``first`` to ``last``."""
    priced = ~np.isnan(ticks["last_price"]) & (ticks["last_price"] != 0)
    times: Int64s = ticks["datetime"][priced]
    wanted = slice(int(np.searchsorted(times, first)), int(np.searchsorted(times, last, side="right")))
    times = times[wanted]
    prices: Floats = ticks["last_price"][priced][wanted]
    interests: Floats = ticks["open_interest"][priced][wanted]
    starts, begins = np.unique(times - times % width, return_index=True)
    columns: dict[str, NDArray[Any]] = {"datetime": starts}
    if not len(starts):
        return columns | {name: np.empty(0) for name in BAR_COLUMNS}
    ends = np.r_[begins[1:], len(times)] - 1
    known = np.maximum.reduceat(np.where(np.isnan(interests), -1, np.arange(len(times))), begins)
    columns |= {
        "open_price": prices[begins],
        "high_price": np.maximum.reduceat(prices, begins),
        "low_price": np.minimum.reduceat(prices, begins),
        "close_price": prices[ends],
        "open_interest": np.where(known < 0, 0.0, interests[known]),
    }
    for name in TOTALS:
        totals = np.nan_to_num(ticks[name][priced])
        before = np.r_[totals[:1], totals[:-1]]
        growth = np.where(totals >= before, totals - before, totals)
        columns[name] = np.add.reduceat(growth[wanted], begins)
    return columns
