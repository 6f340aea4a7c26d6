"""Where the simulated market's prices come from: what a feed is, and the one that draws them at random."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from heapq import heapify, heapreplace
from typing import Protocol

from vnpy.trader.object import TickData

from vnpy_core.engine.sim.session import Session
from vnpy_core.engine.sim.walk import RandomWalk

# A feed that has fallen further behind does not make up for it with a burst.
_MAX_BEHIND_S = 1.0
_CLOSED_PAUSE_S = 1.0


class Feed(Protocol):
    """Ticks in the order of their time. Moments of delivery are seconds of ``time.monotonic``.

    ``in_flight``: how many ticks the client may not have handled before the next is sent; None: no limit.
    """

    in_flight: int | None

    def start(self, now: float) -> None:
        """Begin, or go on after a time in which nothing was taken: that time is not made up for."""
        ...

    def fetch(self) -> None:
        """Make the next tick ready. May block; called by the feed thread alone, without the exchange's lock."""
        ...

    def due(self, now: float) -> float:
        """Return when the next tick is to be sent; infinity: nothing to send as things stand."""
        ...

    def pop(self, now: float) -> TickData | None:
        """Return the tick that is due, or None if the market is closed."""
        ...

    def subscribe(self, vt_symbol: str, now: float) -> None:
        """Note that the client wants this contract."""
        ...

    def unsubscribe(self, vt_symbol: str, now: float) -> None: ...

    def clock(self) -> datetime:
        """Return the time at the exchange."""
        ...


class RandomFeed:
    """Random walks by the wall clock, one tick per contract and interval, evenly staggered.

    With ``ticks_per_second`` the subscribed contracts share that rate; the others keep the interval.
    """

    in_flight: int | None = None

    def __init__(
        self,
        walks: Mapping[str, RandomWalk],
        session: Session,
        zone: tzinfo,
        *,
        interval_s: float,
        ticks_per_second: float = 0.0,
    ) -> None:
        self.walks = dict(walks)
        self._session = session
        self._zone = zone
        self._interval_s = interval_s
        self._rate = ticks_per_second
        self._subscribed: set[str] = set()
        self._schedule: list[tuple[float, str]] = []

    def fetch(self) -> None:
        return

    def start(self, now: float) -> None:
        fast = sorted(self._subscribed & self.walks.keys()) if self._rate else []
        slow = [vt_symbol for vt_symbol in self.walks if vt_symbol not in fast]
        self._schedule = [
            (now + index * self._interval_of(name) / len(group), name)
            for group in (fast, slow)
            for index, name in enumerate(group)
        ]
        heapify(self._schedule)

    def _interval_of(self, vt_symbol: str) -> float:
        if self._rate and vt_symbol in self._subscribed:
            return len(self._subscribed) / self._rate
        return self._interval_s

    def due(self, now: float) -> float:
        return self._schedule[0][0] if self._schedule else float("inf")

    def pop(self, now: float) -> TickData | None:
        due, vt_symbol = self._schedule[0]
        moment = datetime.now(self._zone)
        if not self._session.is_open(moment):
            heapreplace(self._schedule, (now + _CLOSED_PAUSE_S, vt_symbol))
            return None
        following = due + self._interval_of(vt_symbol)
        if following < now - _MAX_BEHIND_S:
            following = now
        heapreplace(self._schedule, (following, vt_symbol))
        return self.walks[vt_symbol].next(moment)

    def add(self, walk: RandomWalk, now: float) -> None:
        """Give a contract a market that has had none."""
        self.walks[walk.instrument.vt_symbol] = walk
        self.start(now)

    def subscribe(self, vt_symbol: str, now: float) -> None:
        self._subscribed.add(vt_symbol)
        if self._rate:
            self.start(now)

    def unsubscribe(self, vt_symbol: str, now: float) -> None:
        self._subscribed.discard(vt_symbol)
        if self._rate:
            self.start(now)

    def clock(self) -> datetime:
        return datetime.now(self._zone)
