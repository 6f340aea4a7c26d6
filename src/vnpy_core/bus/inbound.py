"""CommandListener: takes commands from the bus, has them done, and sends the answers."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from vnpy_core.bus.background import end
from vnpy_core.errors import CoreError
from vnpy_core.ports import BusCommand, BusTransport

logger = logging.getLogger(__name__)

CommandHandler = Callable[[BusCommand], Awaitable[bytes]]

AT_A_TIME = 64
_RETRY_S = (0.25, 10.0)


class CommandListener:
    """At most ``AT_A_TIME`` commands are under way; those after them wait with the transport. Loop only."""

    def __init__(
        self, transport: BusTransport, handler: CommandHandler, *, retry_s: tuple[float, float] = _RETRY_S
    ) -> None:
        self._transport = transport
        self._handler = handler
        self._retry_s = retry_s
        self._free = asyncio.Semaphore(AT_A_TIME)
        self._running: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.taken = 0
        self.listening = False
        self.detail: str | None = None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="bus commands")

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Take no more, and wait for those that are under way and their answers."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)
            self.listening = False
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=timeout_s)
            await asyncio.gather(*map(end, late))

    async def _listen(self) -> None:
        delay, longest = self._retry_s
        while True:
            try:
                async with contextlib.aclosing(await self._transport.listen()) as commands:
                    delay, self.detail, self.listening = self._retry_s[0], None, True
                    async for command in commands:
                        await self._free.acquire()
                        self._begin(command)
            except Exception as error:  # noqa: BLE001  the edge of a background task: it must outlive its errors
                self.listening = False
                self._fail("Commands of the bus cannot be taken", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, longest)

    def _begin(self, command: BusCommand) -> None:
        self.taken += 1
        task = asyncio.create_task(self._obey(command), name=f"bus {command.topic}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: self._free.release())

    async def _obey(self, command: BusCommand) -> None:
        try:
            await self._transport.answer(command, await self._handler(command))
        except Exception as error:  # noqa: BLE001  whoever asked asks again, and gets the answer that is on record
            self._fail(f"The answer to a {command.topic} was not sent", error)

    def _fail(self, what: str, error: Exception) -> None:
        detail = error.detail if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
        if detail != self.detail:
            logger.warning("%s: %s", what, detail, exc_info=None if isinstance(error, CoreError) else error)
        self.detail = detail
