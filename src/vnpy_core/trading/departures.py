"""Departures: lets orders that are asked for at about the same time set off together.

A group of eight costs the loop half for each order of what one alone does, and the journal a third. So those that come
while others are under way wait for these to be answered, and then for the next orders of whoever was answered, who
mostly comes again at once. Who is alone never waits, and nobody waits for long.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Nobody waits longer; the loop's timers count whole milliseconds.
LONGEST_S = 0.002
# So soon after the answers their clients may come again; later, nobody is waited for.
RETURN_S = 0.005


class Departures(Generic[T]):
    """Loop only. ``depart`` is called with the requests that go together. Each is of some orders, and under way until
    all of these have ``arrived``."""

    def __init__(self, depart: Callable[[list[T]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._depart = depart
        self._clock = clock
        self._waiting: list[T] = []
        self._orders = 0
        self._under_way = 0
        self._last_group = 0
        self._expected = 0
        self._arrived_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: T, orders: int) -> None:
        """Have ``request`` depart now, or soon."""
        self._waiting.append(request)
        self._orders += orders
        if self._is_time():
            self._go()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LONGEST_S, self._go)

    def arrived(self) -> None:
        """Take note that one order is answered."""
        self._under_way -= 1
        if not self._under_way:
            self._arrived_at = self._clock()
            self._expected = self._last_group + len(self._waiting)
            if self._waiting and self._is_time():
                self._go()

    def _is_time(self) -> bool:
        if self._under_way:
            return False
        return len(self._waiting) >= self._expected or self._clock() - self._arrived_at > RETURN_S

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group, self._waiting = self._waiting, []
        self._last_group = len(group)
        self._under_way += self._orders
        self._orders = 0
        self._depart(group)
