"""Ending background tasks."""

import asyncio
from typing import Any

_AGAIN_S = 0.2


async def end(task: "asyncio.Task[Any]") -> None:
    """Cancel ``task`` and return when it is over.

    Once is not enough: on Python 3.11 ``asyncio.wait_for``, which client libraries use, loses a cancellation that comes
    together with what was waited for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_S)
