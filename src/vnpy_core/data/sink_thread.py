"""SinkThread: a sink on a thread and a loop of its own, so that its work holds up nobody's answer."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from vnpy_core.data.sink import JournalSink


class SinkThread:
    """Runs ``sink``; to be used from the loop that starts it, and read from any thread.

    What the sink uses must bear calls from another loop than this one. ``release`` is awaited there at the end.
    """

    def __init__(self, sink: JournalSink, release: Callable[[], Awaitable[None]]) -> None:
        self._sink = sink
        self._release = release
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: Future[float] = Future()
        self._ended: Future[None] = Future()
        self._is_waking = False

    @property
    def position(self) -> int:
        return self._sink.position

    @property
    def lag(self) -> int:
        return self._sink.lag

    @property
    def healthy(self) -> bool:
        return self._sink.healthy

    @property
    def detail(self) -> str | None:
        return self._sink.detail

    @property
    def since(self) -> str:
        return self._sink.since

    @property
    def dead_letters(self) -> int:
        return self._sink.dead_letters

    def follow(self, on_passed: Callable[[int], None]) -> None:
        """Call ``on_passed`` with each new position, on the sink's thread."""
        self._sink.on_passed = on_passed

    async def start(self) -> None:
        """Begin to follow, and raise what ``JournalSink.start`` raises. To be stopped also if this is cancelled."""
        started, self._leave, self._ended = _uncancellable(), Future(), _uncancellable()
        # A daemon: it may be given up when it does not come back from what it writes to.
        self._thread = threading.Thread(
            target=self._run, args=(started,), name=f"sink-{self._sink.name}", daemon=True
        )
        self._thread.start()
        await asyncio.wrap_future(started)

    def notify(self) -> None:
        """Say that there may be new facts in the journal. It wakes the thread only if that would not look anyway."""
        loop = self._loop
        if loop is not None and self._sink.lag and not (self._is_waking or self._sink.is_notified):
            self._is_waking = True
            with contextlib.suppress(RuntimeError):  # it has just been closed
                loop.call_soon_threadsafe(self._wake)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Stop it, see ``JournalSink.stop``, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._loop = None
        self._leave.set_result(timeout_s)
        await asyncio.wrap_future(self._ended)
        thread.join()

    # -- on the thread

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._live(started))
        except BaseException as error:  # noqa: BLE001  the edge of a thread: whoever waits for it is told
            waited_for = self._ended if started.done() else started
            waited_for.set_exception(error)
        if not self._ended.done():
            self._ended.set_result(None)

    async def _live(self, started: Future[None]) -> None:
        await self._sink.start()
        self._is_waking = False
        self._loop = asyncio.get_running_loop()
        started.set_result(None)
        try:
            timeout_s = await asyncio.wrap_future(self._leave)
            self._loop = None
            await self._sink.stop(timeout_s)
        finally:
            await self._release()

    def _wake(self) -> None:
        # Before the sink is told: what comes after this line asks for a wake-up of its own.
        self._is_waking = False
        self._sink.notify()


def _uncancellable() -> Future[None]:
    """Return a future that the thread can set, also when nobody waits for it any more."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future
