"""LoopWatch: how late the loop runs what it was asked to run, and whether it runs anything."""

import asyncio
import threading
import time

from vnpy_core.instruments import SLOW_S, Histogram

INTERVAL_S = 0.5


class LoopWatch:
    """``run`` is a task of its owner, on the loop. ``lag_ms`` is that of the last timer, ``worst_ms`` since the start;
    what is read here may be read from any thread."""

    def __init__(self) -> None:
        self.lag_ms: float | None = None
        self.worst_ms = 0.0
        self.lag_seconds = Histogram(SLOW_S)
        self.thread_id: int | None = None
        self._beat_at: float | None = None

    @property
    def silent_s(self) -> float:
        """For how long the loop has not come to what was due; 0 before it runs."""
        beat_at = self._beat_at
        return max(0.0, time.monotonic() - beat_at - INTERVAL_S) if beat_at is not None else 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.thread_id = threading.get_ident()
        while True:
            self._beat_at = time.monotonic()
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            lag_s = max(0.0, loop.time() - due)
            self.lag_seconds.observe(lag_s)
            self.lag_ms = lag_s * 1000
            self.worst_ms = max(self.worst_ms, self.lag_ms)
