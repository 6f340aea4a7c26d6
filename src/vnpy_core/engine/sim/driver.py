"""The feed thread: sends ticks when they are due, lets late events arrive, waits for a client that cannot follow."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from vnpy.event import Event, EventEngine

from vnpy_core.engine.sim.feed import Feed

log = logging.getLogger(__name__)

_PULSE_S = 1.0
# Ticks that fall due within this time go out in one turn: it bounds how often a fast feed wakes up.
_TURN_S = 0.001
_TICKS_PER_TURN = 256
_JOIN_S = 10.0


class Gate:
    """Counts the ticks that the event thread has not handled yet, by marks that travel through its queue."""

    _numbers = itertools.count(1)

    def __init__(self, event_engine: EventEngine) -> None:
        self._event_engine = event_engine
        self._event_type = f"eSimPace.{next(self._numbers)}"  # marks of a closed gate reach no other
        self._condition = threading.Condition()
        self._sent = self._handled = 0
        event_engine.register(self._event_type, self._handle)

    def _handle(self, event: Event) -> None:
        with self._condition:
            self._handled = event.data
            self._condition.notify()

    def mark(self) -> None:
        self._sent += 1
        self._event_engine.put(Event(self._event_type, self._sent))

    def wait(self, in_flight: int, is_stopped: Callable[[], bool]) -> None:
        """Block until fewer than ``in_flight`` marks are on their way, or ``is_stopped``."""
        with self._condition:
            self._condition.wait_for(lambda: self._sent - self._handled < in_flight or is_stopped())

    def wake(self) -> None:
        with self._condition:
            self._condition.notify()

    def close(self) -> None:
        self._event_engine.unregister(self._event_type, self._handle)
        self.wake()


class Driven(Protocol):
    """What the feed thread works for; called with the lock held unless it says otherwise."""

    def deliver_due(self, now: float) -> float:
        """Let late events arrive and return when the next one will."""
        ...

    def on_feed_tick(self, now: float) -> bool:
        """Take the tick that is due and tell whether the client was sent it."""
        ...

    def on_pulse(self, now: float) -> None: ...

    def on_feed_failed(self, error: Exception) -> None: ...


class Driver:
    """Owns the feed thread of one connection."""

    def __init__(self, driven: Driven, feed: Feed, lock: threading.RLock, gate: Gate, name: str) -> None:
        self._driven = driven
        self._feed = feed
        self._lock = lock
        self._gate = gate
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._next_pulse = 0.0
        self._thread = threading.Thread(target=self._run, name=f"{name}-feed", daemon=True)

    def start(self) -> None:
        self._feed.start(time.monotonic())
        self._thread.start()

    def wake_threadsafe(self) -> None:
        """Make the thread look again at what is due."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        self._wake.set()
        self._gate.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._turn()
        except Exception as error:  # the thread's edge: the gateway says that its market has stopped
            log.exception("the feed of the simulated exchange has stopped")
            with self._lock:
                self._driven.on_feed_failed(error)

    def _turn(self) -> None:
        self._feed.fetch()
        now = time.monotonic()
        with self._lock:
            following = self._driven.deliver_due(now)
            if now >= self._next_pulse:
                self._driven.on_pulse(now)
                self._next_pulse = now + _PULSE_S
            ticks, sent = self._send_due(now)
            following = min(following, self._next_pulse, self._feed.due(now))
        limit = self._feed.in_flight
        if sent and limit is not None:
            self._gate.mark()
            self._gate.wait(limit, self._stopped.is_set)
        if ticks and limit is not None:
            return  # the next one has yet to be fetched
        pause = following - time.monotonic()
        if pause > 0:
            self._wake.wait(max(pause, _TURN_S))
            self._wake.clear()

    def _send_due(self, now: float) -> tuple[int, int]:
        """Return how many ticks were due, and how many of them the client was sent."""
        ticks = sent = 0
        # One at a time where the client's pace counts: the next must not be there before it has answered this one.
        for _ in range(1 if self._feed.in_flight is not None else _TICKS_PER_TURN):
            if self._feed.due(now) > now:
                break
            ticks += 1
            sent += self._driven.on_feed_tick(now)
        return ticks, sent
