"""LiveBars: minute bars out of the ticks of now, kept for charts, and told as ``bar.MINUTE.<symbol>.<exchange>``."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from vnpy_core.data.bar_builder import BarBuilder, MinuteBar
from vnpy_core.data.history.series import to_micros, to_moment
from vnpy_core.enums import Interval
from vnpy_core.events import Event
from vnpy_core.models import Bar, Tick, to_timestamp

KEPT = 1500
_LOOK_S = 5.0


class LiveBars:
    """Loop only. ``tell`` is handed the bars that are complete: when a tick of a later minute has come, or none has for
    a minute; a bar that goes on after that is told again.

    Of each symbol the last ``KEPT`` minutes since the start are kept. The first began before it was watched.
    """

    def __init__(self, tell: Callable[[Sequence[Event]], None]) -> None:
        self._tell = tell
        self._builder = BarBuilder()
        self._bars: dict[str, deque[MinuteBar]] = {}
        self._gateways: dict[str, str] = {}

    def on_events(self, events: Sequence[Event]) -> None:
        """Take the ticks among ``events``."""
        done: list[Event] = []
        now = time.monotonic()
        for event in events:
            tick = event.data
            if not isinstance(tick, Tick) or not tick.last_price:
                continue
            vt_symbol = tick.vt_symbol
            complete = self._builder.update(tick, to_micros(datetime.fromisoformat(tick.datetime)), now)
            self._gateways[vt_symbol] = tick.gateway_name
            kept = self._bars.setdefault(vt_symbol, deque(maxlen=KEPT))
            current = self._builder.current(vt_symbol)
            if current is not None and (not kept or kept[-1] is not current):
                kept.append(current)
            if complete is not None:
                done.append(self._event(vt_symbol, complete))
        if done:
            # Not in between: those who are given the ticks after this one are to have them before the bar.
            asyncio.get_running_loop().call_soon(self._tell, done)

    def minutes(self, vt_symbol: str) -> list[MinuteBar]:
        """Return the bars, ascending, as they are now; the last one goes on."""
        bars = self._bars.get(vt_symbol, ())
        return [msgspec.structs.replace(bar) for bar in bars]

    async def run(self) -> None:
        """Tell the bars that nothing comes for any more; never returns."""
        while True:
            await asyncio.sleep(_LOOK_S)
            quiet = self._builder.finish(time.monotonic())
            if quiet:
                self._tell([self._event(f"{bar.symbol}.{bar.exchange}", bar) for bar in quiet])

    def _event(self, vt_symbol: str, bar: MinuteBar) -> Event:
        return Event(
            Bar(
                vt_symbol=vt_symbol, symbol=bar.symbol, exchange=bar.exchange,
                gateway_name=self._gateways.get(vt_symbol, ""), datetime=to_timestamp(to_moment(bar.time)),
                interval=Interval.MINUTE, volume=bar.volume, turnover=bar.turnover, open_interest=bar.open_interest,
                open_price=bar.open_price, high_price=bar.high_price, low_price=bar.low_price,
                close_price=bar.close_price,
            )
        )  # fmt: skip

