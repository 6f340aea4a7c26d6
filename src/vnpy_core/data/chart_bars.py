"""Bars of charts: put together of what is stored and what is live, and of minutes where longer ones are asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.bar_builder import MINUTE_MICROS, MinuteBar
from vnpy_core.ports import BAR_COLUMNS

Int64s = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]
_LOWEST = -(2**62)


class ChartInterval(StrEnum):
    MINUTE = "1m"
    MINUTES_5 = "5m"
    MINUTES_15 = "15m"
    MINUTES_30 = "30m"
    HOUR = "1h"
    DAY = "1d"


WIDTHS: Mapping[ChartInterval, int] = {
    ChartInterval.MINUTE: MINUTE_MICROS,
    ChartInterval.MINUTES_5: 5 * MINUTE_MICROS,
    ChartInterval.MINUTES_15: 15 * MINUTE_MICROS,
    ChartInterval.MINUTES_30: 30 * MINUTE_MICROS,
    ChartInterval.HOUR: 60 * MINUTE_MICROS,
    ChartInterval.DAY: 24 * 60 * MINUTE_MICROS,
}


def empty() -> Columns:
    return {"datetime": np.empty(0, np.int64), **{name: np.empty(0) for name in BAR_COLUMNS}}


def of_live(bars: Sequence[MinuteBar]) -> Columns:
    """Return live minutes as columns."""
    columns: Columns = {"datetime": np.array([bar.time for bar in bars], np.int64)}
    return columns | {name: np.array([getattr(bar, name) for bar in bars], np.float64) for name in BAR_COLUMNS}


def joined(parts: Iterable[Mapping[str, NDArray[Any]]]) -> Columns:
    """Return the bars of all parts, ascending, one for each time: that of the last part which has one."""
    given = [part for part in parts if len(part["datetime"])]
    if not given:
        return empty()
    columns = {name: np.concatenate([part[name] for part in given]) for name in ("datetime", *BAR_COLUMNS)}
    times = columns["datetime"]
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    keep = order[np.r_[ordered[1:] != ordered[:-1], True]]
    return {name: column[keep] for name, column in columns.items()}


def continued(earlier: Columns, later: Columns) -> Columns:
    """Return ``earlier`` gone on with by ``later``, which may begin amid a minute of it.

    That bar opens as the earlier source has it and closes as the later one; which of its volume both have seen is not
    known, and the larger is taken.
    """
    if not len(later["datetime"]):
        return earlier
    place = int(np.searchsorted(earlier["datetime"], later["datetime"][0]))
    whole = joined([earlier, later])
    if place == len(earlier["datetime"]) or earlier["datetime"][place] != later["datetime"][0]:
        return whole
    whole["open_price"][place] = earlier["open_price"][place]
    for name, choose in (("high_price", np.fmax), ("low_price", np.fmin), ("volume", np.fmax), ("turnover", np.fmax)):
        whole[name][place] = choose(earlier[name][place], later[name][0])
    return whole


def between(columns: Mapping[str, NDArray[Any]], first: int | None, last: int | None) -> Columns:
    """Return the bars with ``first <= time <= last``."""
    times = columns["datetime"]
    wanted = slice(
        int(np.searchsorted(times, _LOWEST if first is None else first)),
        len(times) if last is None else int(np.searchsorted(times, last, side="right")),
    )
    return {name: column[wanted] for name, column in columns.items()}


def longer(minutes: Mapping[str, NDArray[Any]], starts: Int64s) -> Columns:
    """Return the bars that minutes make up, given for each minute, ascending, the start of its bar."""
    if not len(starts):
        return empty()
    times, begins = np.unique(starts, return_index=True)
    ends = np.r_[begins[1:], len(starts)] - 1
    return {
        "datetime": times,
        "open_price": minutes["open_price"][begins],
        "high_price": np.maximum.reduceat(minutes["high_price"], begins),
        "low_price": np.minimum.reduceat(minutes["low_price"], begins),
        "close_price": minutes["close_price"][ends],
        "volume": np.add.reduceat(np.nan_to_num(minutes["volume"]), begins),
        "turnover": np.add.reduceat(np.nan_to_num(minutes["turnover"]), begins),
        "open_interest": minutes["open_interest"][ends],
    }


def starts_of(times: Int64s, interval: ChartInterval, day_start: Callable[[int], int]) -> Int64s:
    """Return for each minute the start of its bar: by the clock, UTC, or of a day by ``day_start``."""
    if interval is not ChartInterval.DAY:
        width = WIDTHS[interval]
        return times - times % width
    # A trading day changes at a full ten minutes at most.
    tens, places = np.unique(times // (10 * MINUTE_MICROS), return_inverse=True)
    of_tens = np.array([day_start(int(ten) * 10 * MINUTE_MICROS) for ten in tens], np.int64)
    starts: Int64s = of_tens[places]
    return starts
