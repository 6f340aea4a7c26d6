"""Stages: what is done at the stop of the service, in reverse order, each step within a time of its own."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

logger = logging.getLogger(__name__)

STAGE_TIMEOUT_S = 10.0


class Stages:
    """What has been started so far. ``close`` ends it, the last first; one that fails or hangs holds up no other."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def close(self) -> None:
        await self._stack.aclose()

    def at_stop(self, name: str, step: Callable[[], Awaitable[object]], timeout_s: float = STAGE_TIMEOUT_S) -> None:
        """Run ``step`` at the stop, for at most ``timeout_s``."""

        async def run() -> None:
            began = time.monotonic()
            try:
                async with asyncio.timeout(timeout_s):
                    await step()
            except TimeoutError:
                logger.error("Stop: %s did not end within %g s and is left", name, timeout_s)
            except Exception:
                logger.exception("Stop: %s failed", name)
            else:
                took_s = time.monotonic() - began
                logger.log(logging.INFO if took_s > 1 else logging.DEBUG, "Stop: %s took %.3f s", name, took_s)

        self._stack.push_async_callback(run)

    def own_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` until the stop. One that ends by an error is logged, and ends nothing else."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_log_error)

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(cancel)
        return task


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Task %s ended by an error", task.get_name(), exc_info=error)
