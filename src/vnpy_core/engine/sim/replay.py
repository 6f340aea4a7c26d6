"""Replays the history store as a market: at the recorded pace, faster, or as fast as the client takes it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from heapq import merge
from typing import Literal

import msgspec
from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.database import BarOverview, BaseDatabase, TickOverview
from vnpy.trader.object import TickData

from vnpy_core.engine.sim.contracts import Instrument
from vnpy_core.engine.sim.recorded import INTERVALS, RecordedMarket, recorded_ticks
from vnpy_core.errors import ConfigError

ReplayState = Literal["WAITING", "RUNNING", "PAUSED", "FINISHED"]
_NEVER = float("inf")


class ReplayProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay has come. ``fraction`` is of the recorded time, 0 to 1."""

    state: ReplayState
    start: datetime
    end: datetime
    clock: datetime
    ticks: int
    fraction: float


class ReplayFeed:
    """Recorded markets of several contracts merged by time. Reading is lazy: memory does not grow with the data.

    ``resume_after`` is the last moment that was replayed before; ``is_over``: nothing is to come after it.
    """

    def __init__(
        self,
        gateway_name: str,
        database: BaseDatabase,
        instruments: Sequence[Instrument],
        interval: Interval,
        zone: tzinfo,
        *,
        start: datetime | None,
        end: datetime | None,
        speed: float,
        in_flight: int,
        waits: bool,
        on_subscribe: bool = True,
        resume_after: datetime | None = None,
        is_over: bool = False,
    ) -> None:
        ranges = _ranges(database, instruments, interval, zone)
        first = min(begin for begin, _ in ranges.values())
        last = max(finish for _, finish in ranges.values()) + INTERVALS.get(interval, timedelta())
        self._start = max(start, first) if start is not None else first
        self._end = min(end, last) if end is not None else last
        if self._start > self._end:
            raise ConfigError(f"replay_start and replay_end: there is nothing recorded from {start} to {end}")
        self.in_flight: int | None = in_flight
        self._clock = resume_after or self._start
        begin = self._start if resume_after is None else resume_after + timedelta(microseconds=1)
        self._ticks: Iterator[TickData] = merge(
            *(
                recorded_ticks(database, RecordedMarket(gateway_name, instrument, zone), interval, begin, self._end)
                for instrument in instruments
            ),
            key=lambda tick: tick.datetime.timestamp(),
        )
        self._speed = speed
        self._next: TickData | None = None
        self._count = 0
        self._on_subscribe = on_subscribe
        self._state: ReplayState = "FINISHED" if is_over else "WAITING" if waits else "RUNNING"
        self._from: tuple[float, datetime] | None = None  # the pace: this monotonic second is that recorded moment

    def start(self, now: float) -> None:
        self._from = None

    def fetch(self) -> None:
        if self._next is None and self._state != "FINISHED":
            self._next = next(self._ticks, None)
            if self._next is None:
                self._state = "FINISHED"

    def due(self, now: float) -> float:
        if self._next is None or self._state != "RUNNING":
            return _NEVER
        if not self._speed:
            return now
        if self._from is None:
            self._from = (now, self._next.datetime)
        began, moment = self._from
        return began + (self._next.datetime - moment).total_seconds() / self._speed

    def pop(self, now: float) -> TickData | None:
        tick, self._next = self._next, None
        if tick is not None:
            self._clock = tick.datetime
            self._count += 1
        return tick

    def subscribe(self, vt_symbol: str, now: float) -> None:
        if self._state == "WAITING" and self._on_subscribe:
            self.resume()

    def unsubscribe(self, vt_symbol: str, now: float) -> None:
        return

    def clock(self) -> datetime:
        return self._clock

    def pause(self) -> None:
        if self._state in ("RUNNING", "WAITING"):
            self._state = "PAUSED"

    def resume(self, speed: float | None = None) -> None:
        """Go on, or begin, from where it stands; with ``speed`` at another one."""
        if speed is not None:
            self._speed = speed
        self._from = None
        if self._state in ("PAUSED", "WAITING"):
            self._state = "RUNNING"

    @property
    def is_finished(self) -> bool:
        return self._state == "FINISHED"

    @property
    def progress(self) -> ReplayProgress:
        span = (self._end - self._start).total_seconds()
        done = (self._clock - self._start).total_seconds() / span if span else 1.0
        return ReplayProgress(
            state=self._state,
            start=self._start,
            end=self._end,
            clock=self._clock,
            ticks=self._count,
            fraction=1.0 if self._state == "FINISHED" else min(1.0, max(0.0, done)),
        )


def _ranges(
    database: BaseDatabase, instruments: Iterable[Instrument], interval: Interval, zone: tzinfo
) -> Mapping[str, tuple[datetime, datetime]]:
    """Return vt_symbol → first and last recorded moment.

    Raises:
        ConfigError: nothing is recorded of one of them.
    """
    stored: dict[tuple[str, Exchange | None], TickOverview | BarOverview] = {}
    if interval is Interval.TICK:
        stored.update({(row.symbol, row.exchange): row for row in database.get_tick_overview()})
    else:
        bars = [row for row in database.get_bar_overview() if row.interval is interval]
        stored.update({(row.symbol, row.exchange): row for row in bars})
    found = {}
    for instrument in instruments:
        row = stored.get((instrument.spec.symbol, instrument.exchange))
        if row is None or row.start is None or row.end is None:
            raise ConfigError(
                f"replay_symbols: the history store has no {interval.name} data of {instrument.vt_symbol}; "
                "import some, or correct replay_interval"
            )
        found[instrument.vt_symbol] = (_aware(row.start, zone), _aware(row.end, zone))
    return found


def _aware(moment: datetime, zone: tzinfo) -> datetime:
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
