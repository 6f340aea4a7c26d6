"""BringUp: brings each strategy to its desired state when the service starts, side by side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from vnpy_core.enums import StrategyState
from vnpy_core.errors import CoreError, StrategyFailed
from vnpy_core.models import Strategy
from vnpy_core.strategies.table import StrategyTable

logger = logging.getLogger(__name__)


class BringUp:
    """Loop only. One that fails, or hangs, holds up no other: each engine initialises on threads of its own."""

    def __init__(self, table: StrategyTable) -> None:
        self._table = table
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, require_sound: Callable[[str], Awaitable[None]], *names: str) -> None:
        """Begin with ``names``, or with all; one that ``require_sound`` raises for stays as it is."""
        for name, record in self._table.records.items():
            if (
                (not names or name in names)
                and name not in self._table.unloaded
                and record.desired_state in (StrategyState.INITED, StrategyState.TRADING)
            ):
                self._spawn(self._bring_up(name, require_sound))

    async def settled(self) -> None:
        """Wait until every strategy is in its desired state or has failed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.settled()

    def init(self, name: str) -> "asyncio.Future[None]":
        """Begin ``on_init``; what is returned ends when it does."""
        return asyncio.wrap_future(self._table.host(name).init_strategy(name))

    async def initialised(self, name: str, outcome: Awaitable[None]) -> Strategy:
        return await self._told_after(name, outcome)

    async def start(self, name: str) -> Strategy:
        host = self._table.host(name)
        return await self._told_after(name, self._table.hosts.run(lambda: host.start_strategy(name)))

    async def _bring_up(self, name: str, require_sound: Callable[[str], Awaitable[None]]) -> None:
        table = self._table
        try:
            async with table.lock(name):
                await require_sound(name)
                outcome = self.init(name)
            await self.initialised(name, outcome)
            async with table.lock(name):
                record = table.records.get(name)
                if record is not None and record.desired_state is StrategyState.TRADING:  # still so
                    await self.start(name)
        except CoreError as error:
            logger.error("Strategy %s was not brought to its desired state: %s", name, error.detail)
        except Exception:  # nobody waits for this task
            logger.exception("Strategy %s was not brought to its desired state", name)

    async def _told_after(self, name: str, work: Awaitable[None]) -> Strategy:
        try:
            await work
        except StrategyFailed:
            await self._table.told(name)
            raise
        return await self._table.told(name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
