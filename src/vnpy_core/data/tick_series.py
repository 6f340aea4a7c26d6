"""Ticks as series for the history store."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vnpy_core.data.history.series import NO_TIME, to_micros
from vnpy_core.enums import Interval
from vnpy_core.models import Tick
from vnpy_core.ports import TICK_COLUMNS, Series

# Converting more at once would keep the interpreter, and so every other thread, waiting for a millisecond.
_PIECE_ROWS = 250
_values_of = attrgetter(*TICK_COLUMNS)


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
    ordered = [timed for rows in by_symbol.values() for timed in rows]
    times = np.array([timed.time for timed in ordered], np.int64)
    localtimes = np.array([timed.localtime for timed in ordered], np.int64)
    values = np.empty((len(TICK_COLUMNS), len(ordered)))
    for first in range(0, len(ordered), _PIECE_ROWS):
        piece = [_values_of(timed.tick) for timed in ordered[first : first + _PIECE_ROWS]]
        values[:, first : first + _PIECE_ROWS] = np.array(piece, np.float64).T
    found = []
    first = 0
    for rows in by_symbol.values():
        last, place = rows[-1].tick, slice(first, first + len(rows))
        columns: dict[str, NDArray[Any]] = {"datetime": times[place], "localtime": localtimes[place]}
        columns |= {name: column[place] for name, column in zip(TICK_COLUMNS, values, strict=True)}
        found.append(Series(last.symbol, last.exchange, Interval.TICK, columns, last.name))
        first += len(rows)
    return found
