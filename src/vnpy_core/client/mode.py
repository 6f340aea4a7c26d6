"""One definition of each call, for both clients: a coroutine, which the blocking client runs on a thread of its own."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from vnpy_core.client.connection import Connection
from vnpy_core.client.errors import ClientError

GRACE_S = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class Async:
    """The mode in which calls are awaited."""


class Blocking:
    """The mode in which calls return when they are done."""


Mode = TypeVar("Mode", Async, Blocking)


class LoopThread:
    """An event loop on a thread of its own, begun with the first thing there is to run."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end and return what it returns; whatever interrupts this cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except CancelledError as error:
            raise ClientError("The client was closed.") from error
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="vnpy-core-client", daemon=True)
                self._thread.start()
            return self._loop


async def _cancel_all() -> None:
    """Wait a moment for what is coming to its end, and cancel the rest."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Resource(Generic[Mode]):
    """A part of the API. ``thread`` is the blocking client's."""

    def __init__(self, connection: Connection, thread: LoopThread | None) -> None:
        self._connection = connection
        self.thread = thread


class operation(Generic[P, T]):
    """A call: awaited by the async client, done when it returns by the blocking one."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._function: Callable[..., Any] = function

    @overload
    def __get__(self, resource: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: type) -> Callable[P, T]: ...
    def __get__(self, resource: Resource[Any] | None, owner: type) -> Any:
        if resource is None:
            return self._function
        call = functools.partial(self._function, resource)
        if (thread := resource.thread) is None:
            return call
        return lambda *args, **kwargs: thread.run(call(*args, **kwargs))


class listing(Generic[P, T]):
    """An iteration over all rows of a list, which the function fetches page by page, when they are asked for."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncIterator[list[T]]]) -> None:
        self._function: Callable[..., Any] = function

    @overload
    def __get__(self, resource: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, resource: Resource[Async], owner: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: type) -> Callable[P, Iterator[T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: type) -> Any:
        if resource is None:
            return self._function
        pages = functools.partial(self._function, resource)
        if (thread := resource.thread) is None:
            return lambda *args, **kwargs: _rows(pages(*args, **kwargs))
        return lambda *args, **kwargs: _blocking_rows(thread, pages(*args, **kwargs))


async def _rows(pages: AsyncIterator[list[T]]) -> AsyncIterator[T]:
    async for page in pages:
        for row in page:
            yield row


def _blocking_rows(thread: LoopThread, pages: AsyncIterator[list[T]]) -> Iterator[T]:
    async def next_page() -> list[T] | None:
        return await anext(pages, None)

    while (page := thread.run(next_page())) is not None:
        yield from page
