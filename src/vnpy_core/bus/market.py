"""MarketSender: ticks, bars and log lines on their way to the bus, as many as there is room for."""

import asyncio
import logging
from collections import deque

from vnpy_core.bus.background import end
from vnpy_core.errors import CoreError
from vnpy_core.ports import BusMessage, BusTransport

logger = logging.getLogger(__name__)

_BATCH = 200
_RETRY_S = 1.0


class MarketSender:
    """While the transport fails or is slow, up to ``capacity`` messages wait; then the oldest are dropped and counted.

    What was handed over and failed counts as dropped: it is not sent again. Loop only.
    """

    def __init__(self, transport: BusTransport, capacity: int, *, retry_s: float = _RETRY_S) -> None:
        self._transport = transport
        self._waiting: deque[BusMessage] = deque()
        self._capacity = capacity
        self._retry_s = retry_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.dropped = 0
        self.detail: str | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def put(self, messages: list[BusMessage]) -> None:
        self._waiting.extend(messages)
        while len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self.dropped += 1
        self._wake.set()

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="bus market data")

    async def stop(self) -> None:
        """Stop, and drop what waits: it is old at the next start."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)
        self.dropped += len(self._waiting)
        self._waiting.clear()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            # After a failure also with nothing to send: whether the server is back is not to be known from silence.
            while self._waiting or self.detail is not None:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                if not await self._send(batch):
                    await asyncio.sleep(self._retry_s)
            await self._wake.wait()

    async def _send(self, batch: list[BusMessage]) -> bool:
        try:
            await self._transport.send(batch)
        except Exception as error:  # the edge of a background task: it must outlive its errors
            self.dropped += len(batch)
            detail = error.detail if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
            if detail != self.detail:
                known = isinstance(error, CoreError)
                logger.warning("Market data for the bus is dropped: %s", detail, exc_info=None if known else error)
            self.detail = detail
            return False
        self.sent += len(batch)
        self.detail = None
        # Between two batches everybody else gets a turn, however fast the transport takes them.
        await asyncio.sleep(0)
        return True
