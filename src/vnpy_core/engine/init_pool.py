"""InitPool: the threads that strategies are initialised on, side by side."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Task = Callable[[], None]


class InitPool:
    """At most ``workers`` daemon threads, started when they are needed.

    Daemons, unlike those of ``ThreadPoolExecutor``: an ``on_init`` that never comes back must not keep the process
    from ending.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._tasks: SimpleQueue[tuple[_Task, _Task] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._waiting = 0
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` as soon as a worker is free. Callable from any thread; cancelled if the pool is shut down."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it goes to whoever has the future
                future.set_exception(error)

        with self._lock:
            if self._closed:
                _cancel(future)
                return future
            self._waiting += 1
            self._tasks.put((run, lambda: _cancel(future)))
            if len(self._threads) < min(self._workers, self._waiting):
                thread = threading.Thread(
                    target=self._work, name=f"strategy-init-{len(self._threads) + 1}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self) -> None:
        """Cancel what has not begun and let idle workers end; does not wait for those that run."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in self._threads:
                self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            run, cancel = task
            (cancel if self._closed else run)()
            del task, run, cancel  # an idle thread must not keep the strategy that it has initialised
            with self._lock:
                self._waiting -= 1


def _cancel(future: Future[T]) -> None:
    future.cancel()
    future.set_running_or_notify_cancel()
