"""VnPyCoreClient and AsyncVnPyCoreClient: the parts of the API over one connection."""

import ssl
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Self

import httpx

from vnpy_core.client.alerts import Alerts
from vnpy_core.client.auth import Auth
from vnpy_core.client.charts import Charts
from vnpy_core.client.connection import Connection
from vnpy_core.client.data import Data
from vnpy_core.client.mode import Async, Blocking, LoopThread, Mode
from vnpy_core.client.strategies import Strategies
from vnpy_core.client.strategy_files import StrategyFiles
from vnpy_core.client.stream import AsyncStream, OnGap, Stream
from vnpy_core.client.system import System
from vnpy_core.client.trading import Trading


class _Client(Generic[Mode]):
    """``token``: an API key, or an access token. With ``username`` and ``password`` the client logs in, and again when
    it has to; ``totp`` returns the code of the moment. ``tls``: for a service whose certificate is not a public one.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8006",
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        totp: Callable[[], str] | None = None,
        timeout_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._thread = self._own_thread()
        self._connection = Connection(
            url, token=token, username=username, password=password, totp=totp, timeout_s=timeout_s, tls=tls,
            transport=transport,
        )  # fmt: skip
        self.auth: Auth[Mode] = Auth(self._connection, self._thread)
        self.trading: Trading[Mode] = Trading(self._connection, self._thread)
        self.strategies: Strategies[Mode] = Strategies(self._connection, self._thread)
        self.strategy_files: StrategyFiles[Mode] = StrategyFiles(self._connection, self._thread)
        self.charts: Charts[Mode] = Charts(self._connection, self._thread)
        self.data: Data[Mode] = Data(self._connection, self._thread)
        self.alerts: Alerts[Mode] = Alerts(self._connection, self._thread)
        self.system: System[Mode] = System(self._connection, self._thread)

    @property
    def url(self) -> str:
        return self._connection.url

    def _own_thread(self) -> LoopThread | None:
        return None

    def _stream(
        self,
        topics: Iterable[str],
        since: int | None,
        snapshot: bool,
        throttle_ms: int | None,
        on_gap: OnGap | None,
        msgpack: bool,
        compression: bool,
    ) -> AsyncStream:
        return AsyncStream(
            self._connection, tuple(topics), since=since, snapshot=snapshot, throttle_ms=throttle_ms, on_gap=on_gap,
            msgpack=msgpack, compression=compression,
        )  # fmt: skip


class AsyncVnPyCoreClient(_Client[Async]):
    """A client for one event loop; its calls are awaited, its lists iterated with ``async for``."""

    def stream(
        self,
        topics: Iterable[str],
        *,
        since: int | None = None,
        snapshot: bool = False,
        throttle_ms: int | None = None,
        on_gap: OnGap | None = None,
        msgpack: bool = False,
        compression: bool = False,
    ) -> AsyncStream:
        """Return what happens, as an async iterator; see ``AsyncStream``."""
        return self._stream(topics, since, snapshot, throttle_ms, on_gap, msgpack, compression)

    async def close(self) -> None:
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class VnPyCoreClient(_Client[Blocking]):
    """A client for threads, any number of them; its calls return when they are done."""

    _thread: LoopThread

    def _own_thread(self) -> LoopThread:
        return LoopThread()

    def stream(
        self,
        topics: Iterable[str],
        *,
        since: int | None = None,
        snapshot: bool = False,
        throttle_ms: int | None = None,
        on_gap: OnGap | None = None,
        msgpack: bool = False,
        compression: bool = False,
    ) -> Stream:
        """Return what happens, as an iterator that waits; see ``AsyncStream``. ``on_gap`` runs on another thread."""
        stream = self._stream(topics, since, snapshot, throttle_ms, on_gap, msgpack, compression)
        return Stream(stream, self._thread)

    def close(self) -> None:
        self._thread.run(self._connection.close())
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
