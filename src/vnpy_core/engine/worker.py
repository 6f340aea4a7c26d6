"""Worker: one thread that does what may block, in turn."""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Worker:
    """Runs tasks on a daemon thread that lives while there are some; one that never returns holds up this worker."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._tasks.put(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._tasks.empty():
                    self._thread = None
                    return
                task = self._tasks.get()
            task()
