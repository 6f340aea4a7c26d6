"""LoopWatch: how late the loop runs what it was asked to run."""

import asyncio

INTERVAL_S = 0.5


class LoopWatch:
    """Loop only; ``run`` is a task of its owner. ``lag_ms`` is that of the last timer, ``worst_ms`` since the start."""

    def __init__(self) -> None:
        self.lag_ms: float | None = None
        self.worst_ms = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self.lag_ms = max(0.0, (loop.time() - due) * 1000)
            self.worst_ms = max(self.worst_ms, self.lag_ms)
