"""The application over a service in memory, on a real server."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvicorn

from tests.unit.routers.memory_service import MemoryService, contract
from vnpy_core.app import create_app
from vnpy_core.routers import examples
from vnpy_core.routers.compression import ChosenCompression

T = TypeVar("T")


class LiveServer:
    """A uvicorn on a thread and a loop of its own, set up as the command line program does it."""

    def __init__(self) -> None:
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = ""
        self.service: MemoryService | None = None

    async def _serve(self) -> None:
        service = self.service = MemoryService()
        await service.tell(
            examples.GATEWAY, contract("rb2501.SHFE"), contract("IF2501.CFFEX"), examples.ORDER, examples.TRADE,
            examples.POSITION, examples.ACCOUNT, examples.TICK,
        )  # fmt: skip
        await service.strategies.add("DoubleMaStrategy", "demo", "rb2501.SHFE", {}, auto_start=True)
        self._loop = asyncio.get_running_loop()
        config = uvicorn.Config(
            create_app(service), port=0, log_config=None, access_log=False, lifespan="off",
            ws=ChosenCompression, ws_per_message_deflate=True,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self._began.set()
        await serving
        await service.hub.close()
        await service.orders.close()
        await service.pipeline.close()

    def run(self, work: Callable[[MemoryService], Awaitable[T]]) -> T:
        """Do ``work`` on the server's loop and return its result."""

        async def doing() -> T:
            assert self.service is not None
            return await work(self.service)

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(30)

    def __enter__(self) -> "LiveServer":
        self._thread.start()
        assert self._began.wait(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()
