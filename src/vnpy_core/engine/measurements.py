"""What the event engine knows about itself: lags, handler times, errors. Written by the event thread, read by any."""

import time
from collections import deque

import msgspec

WINDOW_S = 60.0
_SAMPLES = 2048
_ERRORS_LOGGED = 10


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """A reading of the event engine. ``None``: nothing was measured in the last minute.

    The percentiles of lag (put to dispatched) and handler time (all handlers of one event) are those of a sample of
    the last minute: one event in sixteen, at least one a second. Totals, counts and ``handler_max_ms`` are exact.
    """

    running: bool
    queue_depth: int
    processed: int
    commands: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    handler_ms: float
    handler_p50_ms: float | None
    handler_p99_ms: float | None
    handler_max_ms: float
    errors: int
    errors_by_handler: dict[str, int]
    high_water_reached: bool
    stalled_s: float


class Window:
    """The newest durations, in seconds, each with when it was taken."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def add(self, now: float, duration: float) -> None:
        self._samples.append((now, duration))

    def percentiles_ms(self) -> tuple[float | None, float | None, float | None]:
        """Return median, 99th percentile and maximum of the last minute; safe in any thread."""
        since = time.perf_counter() - WINDOW_S
        # list() of a deque runs in C without letting another thread in.
        durations = sorted(duration for taken, duration in list(self._samples) if taken >= since)
        if not durations:
            return None, None, None
        last = len(durations) - 1
        return durations[last // 2] * 1000, durations[-(-last * 99 // 100)] * 1000, durations[last] * 1000


class ErrorLedger:
    """Counts errors by handler, and says which are worth a traceback in the log.

    The first ten of a handler are; then one a second, so that a bug in a tick handler does not fill the disk.
    """

    def __init__(self) -> None:
        self.total = 0
        self.by_handler: dict[str, int] = {}
        self._logged: dict[str, float] = {}

    def count(self, handler: str) -> bool:
        """Count one error and return whether to log it."""
        self.total += 1
        number = self.by_handler[handler] = self.by_handler.get(handler, 0) + 1
        now = time.monotonic()
        if number > _ERRORS_LOGGED and now - self._logged[handler] < 1.0:
            return False
        self._logged[handler] = now
        return True
