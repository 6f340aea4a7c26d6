"""Ticks as series for the history store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.history.series import NO_TIME, to_micros
from vnpy_core.enums import Interval
from vnpy_core.models import Tick
from vnpy_core.ports import TICK_COLUMNS, Series


class TimedTick(msgspec.Struct, frozen=True, gc=False):
    """A tick with its times as microseconds since the epoch."""

    tick: Tick
    time: int
    localtime: int

    @classmethod
    def of(cls, tick: Tick) -> "TimedTick":
        """Raises ValueError: a time is none, or has no zone."""
        local = NO_TIME if tick.localtime is None else to_micros(datetime.fromisoformat(tick.localtime))
        return cls(tick, to_micros(datetime.fromisoformat(tick.datetime)), local)


def tick_series(ticks: Sequence[TimedTick]) -> list[Series]:
    """Return a series for each symbol among ``ticks``; a ``None`` becomes NaN."""
    by_symbol: dict[str, list[TimedTick]] = {}
    for timed in ticks:
        by_symbol.setdefault(timed.tick.vt_symbol, []).append(timed)
    found = []
    for rows in by_symbol.values():
        columns: dict[str, NDArray[Any]] = {
            "datetime": np.array([row.time for row in rows], np.int64),
            "localtime": np.array([row.localtime for row in rows], np.int64),
        }
        ticks_of = [row.tick for row in rows]
        columns |= {name: np.array([getattr(tick, name) for tick in ticks_of], np.float64) for name in TICK_COLUMNS}
        last = ticks_of[-1]
        found.append(Series(last.symbol, last.exchange, Interval.TICK, columns, last.name))
    return found
