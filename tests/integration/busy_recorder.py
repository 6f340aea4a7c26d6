"""A recorder at work: orders that are journaled and recorded for ever, while something is done to the server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests import facts
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import Journal
from vnpy_core.data.recorder import RecorderThread
from vnpy_core.enums import OrderStatus
from vnpy_core.events import Event

TIMEOUT_S = 1.0


class Trading:
    """``slowest_s`` is the longest that a batch of facts took to be journaled."""

    def __init__(self, journal: Journal, recorder: RecorderThread) -> None:
        self.journal = journal
        self.recorder = recorder
        self.slowest_s = 0.0

    async def go_on(self) -> None:
        number = 0
        while True:
            batch = []
            for _ in range(5):
                number += 1
                batch += [facts.intent(number), facts.order(number, OrderStatus.SUBMITTING)]
                batch += [facts.intent(number, "SENT"), facts.order(number, OrderStatus.ALLTRADED, traded=5.0)]
                batch += [facts.trade(number, vt_orderid=f"SIM.{number}"), facts.position(volume=float(number))]
            began = time.monotonic()
            await self.journal.append([Event(fact) for fact in batch])
            self.recorder.notify()
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            await asyncio.sleep(0.01)

    async def recorded_up_to_now(self, timeout_s: float = 30) -> None:
        target = self.journal.last_seq
        await eventually(lambda: self.recorder.healthy and self.recorder.position >= target, timeout_s)


@asynccontextmanager
async def trading(folder: Path, url: str) -> AsyncIterator[Trading]:
    journal = Journal(folder / "journal.db")
    await journal.open()
    database = DatabaseManager(url, timeout_s=TIMEOUT_S)
    await database.open()
    recorder = RecorderThread(journal, database, retry_min_s=0.05, retry_max_s=0.5)
    await recorder.start()
    busy = Trading(journal, recorder)
    task = asyncio.create_task(busy.go_on())
    try:
        await busy.recorded_up_to_now()
        yield busy
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await recorder.stop()
        await database.close()
        await journal.close()


async def eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  it may be any condition
            await asyncio.sleep(0.005)
