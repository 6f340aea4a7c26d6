"""The commands that wait for the event thread, which runs them ahead of all queued events."""

import functools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, ParamSpec, TypeVar

from vnpy_core.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class CommandLane:
    """A queue of commands, each with the future of its result. ``wake`` is called when the event thread may sleep.

    It is bounded by those who wait for the answers. ``waiting`` is public for the event thread to look at.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self.done = 0
        self._wake = wake
        self._woken = False
        self._open = False
        self._lock = threading.Lock()

    def open(self) -> None:
        with self._lock:
            self._open = True

    def close(self) -> None:
        """Refuse commands from now on; those that wait are still run."""
        with self._lock:
            self._open = False

    def submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue ``fn``; the future holds ``Unavailable`` if the lane is closed."""
        future: Future[T] = Future()
        with self._lock:
            if not self._open:
                future.set_exception(Unavailable("the event engine does not run"))
                return future
            self.waiting.append((future, functools.partial(fn, *args, **kwargs)))
        if not self._woken:  # one wake-up for all that come before the event thread has woken
            self._woken = True
            self._wake()
        return future

    def awake(self) -> None:
        """Take note, on the event thread, that it has woken: what comes later needs another wake-up."""
        self._woken = False

    def run(self) -> None:
        """Run, on the event thread, those that wait now; those they bring about wait for the next round."""
        for _ in range(len(self.waiting)):
            try:
                future, job = self.waiting.popleft()
            except IndexError:  # ``refuse`` took the rest, while this thread was held up
                return
            self.done += 1
            fulfil(future, job)

    def refuse(self) -> None:
        """Answer all that wait with ``Unavailable``."""
        while self.waiting:
            future, _job = self.waiting.popleft()
            if future.set_running_or_notify_cancel():
                future.set_exception(Unavailable("the event engine has stopped"))


def fulfil(future: Future[Any], job: Callable[[], Any]) -> None:
    """Run ``job``, unless its future was cancelled, and give the future what comes of it.

    SystemExit, StopIteration and cancellation become a RuntimeError: through asyncio they would end the loop, or the
    task that waits, and not be its answer.
    """
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001 - the command's error is its caller's
        if not isinstance(error, Exception) or isinstance(error, StopIteration | CancelledError):
            wrapped = RuntimeError(f"the command raised {error!r}")
            wrapped.__cause__ = error
            error = wrapped
        future.set_exception(error)
    else:
        future.set_result(result)
