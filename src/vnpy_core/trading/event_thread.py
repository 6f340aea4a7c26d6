"""EventThread: runs functions on vn.py's event thread, and knows whether one that was not answered has begun."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from vnpy_core.errors import Unavailable

A = TypeVar("A")
T = TypeVar("T")


class Call(Protocol):
    """Hands a function to the event thread."""

    def __call__(self, fn: Callable[[], T], /) -> Future[T]: ...


class Unanswered(Exception):
    """The function has begun and not ended in time. ``future`` is done when it ends."""

    def __init__(self, future: "asyncio.Future[Any]") -> None:
        super().__init__("begun, and not ended in time")
        self.future = future


class _Command(Generic[T]):
    """A function that can be taken back until the event thread has begun it."""

    def __init__(self, fn: Callable[[], T]) -> None:
        self._fn = fn
        self._taken = threading.Lock()

    def __call__(self) -> T:
        if not self._taken.acquire(blocking=False):
            raise Unavailable("Withdrawn.")
        return self._fn()

    def withdraw(self) -> bool:
        """Return whether the function will certainly not be run."""
        return self._taken.acquire(blocking=False)


class Series(Generic[A, T]):
    """Does one thing for each of ``items`` in one call on the event thread; those it has not come to can be withdrawn.

    ``results`` has for each what came of it, what it raised, or ``None`` while it is not known.
    """

    def __init__(self, fn: Callable[[A], T], items: Sequence[A]) -> None:
        self.results: list[T | Exception | None] = [None] * len(items)
        self._fn = fn
        self._items = items
        self._begun = 0
        self._ended = 0
        self._withdrawn = False
        self._lock = threading.Lock()

    def __call__(self) -> None:
        for number, item in enumerate(self._items):
            with self._lock:
                if self._withdrawn:
                    return
                self._begun = number + 1
            try:
                self.results[number] = self._fn(item)
            except Exception as error:  # noqa: BLE001 - each has an answer of its own
                self.results[number] = error
            self._ended = number + 1

    @property
    def is_running(self) -> bool:
        """One was begun and has not ended."""
        return self._ended < self._begun

    def withdraw(self) -> int:
        """Begin no other; return how many were begun."""
        with self._lock:
            self._withdrawn = True
            return self._begun


class EventThread:
    """The event thread as the loop sees it."""

    def __init__(self, call: Call, timeout_s: float) -> None:
        self._call = call
        self.timeout_s = timeout_s

    async def run(self, fn: Callable[[], T]) -> T:
        """Run ``fn`` there and return its result, or raise what it raised.

        Raises:
            Unavailable: the thread had not begun it in time, and now never will.
            Unanswered: it had begun it and not ended.
        """
        command = _Command(fn)
        future = asyncio.wrap_future(self._call(command))
        future.add_done_callback(retrieve)
        done, _ = await asyncio.wait({future}, timeout=self.timeout_s)
        if done:
            return future.result()
        if command.withdraw():
            raise Unavailable(
                f"The event thread did not take the command within {self.timeout_s:g} s, so it was withdrawn and "
                "nothing was sent. A handler or a strategy blocks that thread.",
                code="event_thread_busy",
            )
        raise Unanswered(future)


def retrieve(future: "asyncio.Future[Any]") -> None:
    """Look at the exception, so that asyncio does not report one that is dealt with elsewhere."""
    if not future.cancelled():
        future.exception()
