"""Bars out of what InfluxDB says of each minute's or hour's ticks, by the rules of ``data.bar_builder``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.history.influxql import BAR_FIELDS

Floats = NDArray[np.float64]


def bar_columns(rows: Sequence[Sequence[Any]], totals: Sequence[float | None] | None) -> dict[str, NDArray[Any]]:
    """Return the columns of bars.

    Args:
        rows: the start in microseconds and ``influxql.BAR_FIELDS``, for each bar, ascending.
        totals: volume and turnover of the last tick before, if there was one.
    """
    times, *values = zip(*rows, strict=True)
    of = dict(zip(BAR_FIELDS, (np.array(column, np.float64) for column in values), strict=True))
    before = totals or (None, None)
    columns: dict[str, NDArray[Any]] = {
        "datetime": np.array(times, np.int64),
        "open_price": of["first(last_price)"],
        "high_price": of["max(last_price)"],
        "low_price": of["min(last_price)"],
        "close_price": of["last(last_price)"],
        "open_interest": of["last(open_interest)"],
    }
    for name, total in zip(("volume", "turnover"), before, strict=True):
        columns[name] = growth(of[f"first({name})"], of[f"max({name})"], of[f"last({name})"], total)
    return columns


def growth(first: Floats, highest: Floats, last: Floats, before: float | None) -> Floats:
    """Return what a day's total grew by in each bar, of its first, highest and last value there.

    A total that falls has begun anew, and counts whole: these three tell if it did before a bar's first tick, and, as
    long as it is not higher again at the end, within the bar. ``before`` is the total to start from; without it that
    is the first value.
    """
    previous = np.concatenate([[first[0] if before is None else before], last[:-1]])
    base = np.where(first < previous, 0.0, previous)
    return np.where(highest > last, highest - base + last, last - base)
