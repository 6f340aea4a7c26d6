"""BarBuilder: one-minute bars out of ticks.

A bar is dated by the start of its minute, in the ticks' own time. Its prices are the last prices of its ticks; a tick
without one counts for nothing. Its volume and turnover are what the day's totals grew by since the tick before (also
one of an earlier minute); a total that falls has begun anew and counts whole; the first tick that is seen of a symbol
gives only the total to start from, and so does the first one after a pause of the recording, if that is not of the same
minute or the next. A tick of an earlier minute than the newest is ignored and counted.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from vnpy_core.data.history.series import Int64s, to_vt_symbol
from vnpy_core.enums import Exchange, Interval
from vnpy_core.models import Tick
from vnpy_core.ports import Series

MINUTE_MICROS = 60_000_000


class MinuteBar(msgspec.Struct):
    """A bar in the making. ``time`` is the start of its minute, in microseconds since the epoch."""

    symbol: str
    exchange: Exchange
    time: int
    open_price: float
    high_price: float
    low_price: float
    close_price: float
    volume: float = 0.0
    turnover: float = 0.0
    open_interest: float = 0.0


class SymbolState(msgspec.Struct):
    """What the builder knows of a symbol. ``touched`` is a monotonic time; ``saved``: its bar was given as it is.

    ``paused``: its next tick is the first one after a pause of the recording.
    """

    bar: MinuteBar
    volume_total: float
    turnover_total: float
    touched: float
    saved: bool = False
    paused: bool = False


class BarBuilder:
    """Not for several threads at once.

    Args:
        resume: returns the stored bar of a symbol and minute, asked once a symbol: a restart amid a minute goes on
            with the bar that was begun before.
        quiet_s: a bar is also given when nothing has come for it so long; if more comes, it is given again.
    """

    def __init__(
        self, resume: Callable[[str, Exchange, int], MinuteBar | None] | None = None, *, quiet_s: float = 60.0
    ) -> None:
        self._resume = resume or (lambda symbol, exchange, time: None)
        self._quiet_s = quiet_s
        self._symbols: dict[str, SymbolState] = {}
        self.late = 0

    def update(self, tick: Tick, micros: int, now: float) -> MinuteBar | None:
        """Take a tick of the time ``micros``, at the monotonic time ``now``; return the bar that it completes."""
        price = tick.last_price
        if not price:
            return None
        time = micros - micros % MINUTE_MICROS
        volume, turnover = tick.volume or 0.0, tick.turnover or 0.0
        known = self._symbols.get(tick.vt_symbol)
        if known is None:
            bar = self._resume(tick.symbol, tick.exchange, time) or _begin(tick, time, price)
            known = self._symbols[tick.vt_symbol] = SymbolState(bar, volume, turnover, now)
        if time < known.bar.time:
            self.late += 1
            return None
        if known.paused:
            known.paused = False
            if time > known.bar.time + MINUTE_MICROS:
                known.volume_total, known.turnover_total = volume, turnover
        completed = None
        if time > known.bar.time:
            completed = None if known.saved else known.bar
            known.bar = _begin(tick, time, price)
        bar = known.bar
        bar.high_price = max(bar.high_price, price)
        bar.low_price = min(bar.low_price, price)
        bar.close_price = price
        bar.volume += _growth(known.volume_total, volume)
        bar.turnover += _growth(known.turnover_total, turnover)
        if tick.open_interest is not None:
            bar.open_interest = tick.open_interest
        known.volume_total, known.turnover_total = volume, turnover
        known.touched, known.saved = now, False
        return completed

    def current(self, vt_symbol: str) -> MinuteBar | None:
        """Return the bar that is being made; it changes with each tick."""
        known = self._symbols.get(vt_symbol)
        return None if known is None else known.bar

    def pause(self) -> None:
        """Take note that between the ticks so far and the next ones nothing was recorded."""
        for known in self._symbols.values():
            known.paused = True

    def state(self) -> list[SymbolState]:
        """Return what it knows, to be encoded before the next tick is given to it."""
        return list(self._symbols.values())

    def restore(self, state: Iterable[SymbolState], now: float) -> None:
        """Go on with what another one knew."""
        for known in state:
            known.touched = now
            self._symbols[to_vt_symbol(known.bar.symbol, known.bar.exchange)] = known

    def finish(self, now: float, *, everything: bool = False) -> list[MinuteBar]:
        """Return the bars that nothing has come for lately, or all that were not yet given."""
        due = []
        for known in self._symbols.values():
            if not known.saved and (everything or now - known.touched >= self._quiet_s):
                known.saved = True
                due.append(msgspec.structs.replace(known.bar))
        return due


def bar_series(bars: Iterable[MinuteBar]) -> list[Series]:
    """Return the bars as series for the history store."""
    by_symbol: dict[tuple[str, Exchange], list[MinuteBar]] = {}
    for bar in bars:
        by_symbol.setdefault((bar.symbol, bar.exchange), []).append(bar)
    return [
        Series(
            symbol,
            exchange,
            Interval.MINUTE,
            {
                "datetime": np.array([bar.time for bar in rows], np.int64),
                "open_price": np.array([bar.open_price for bar in rows]),
                "high_price": np.array([bar.high_price for bar in rows]),
                "low_price": np.array([bar.low_price for bar in rows]),
                "close_price": np.array([bar.close_price for bar in rows]),
                "volume": np.array([bar.volume for bar in rows]),
                "turnover": np.array([bar.turnover for bar in rows]),
                "open_interest": np.array([bar.open_interest for bar in rows]),
            },
        )
        for (symbol, exchange), rows in by_symbol.items()
    ]


def minute_bar(found: Series) -> MinuteBar | None:
    """Return the only row of ``found`` to go on with, or ``None`` if there is none."""
    if not len(found):
        return None
    times: Int64s = found.columns["datetime"].astype(np.int64)
    values = {
        name: float(np.nan_to_num(np.asarray(column[-1], np.float64)))
        for name, column in found.columns.items()
        if name != "datetime"
    }
    return MinuteBar(found.symbol, found.exchange, int(times[-1]), **values)


def _begin(tick: Tick, time: int, price: float) -> MinuteBar:
    return MinuteBar(tick.symbol, tick.exchange, time, price, price, price, price)


def _growth(before: float, total: float) -> float:
    return total - before if total >= before else total
