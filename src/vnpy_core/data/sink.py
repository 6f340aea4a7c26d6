"""JournalSink: what follows the journal with a cursor of its own, at its own pace, and catches up by itself."""

import asyncio
import contextlib
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from vnpy_core.data.journal_file import JournalRecord
from vnpy_core.errors import CoreError, DataRejected, Unavailable
from vnpy_core.models import now_timestamp

_log = logging.getLogger(__name__)


class FollowedJournal(Protocol):
    """The journal, as far as a sink needs it."""

    @property
    def identity(self) -> int: ...
    @property
    def first_seq(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    async def read(self, after: int, limit: int) -> Sequence[JournalRecord]: ...
    async def cursor(self, name: str) -> int: ...
    async def set_cursor(self, name: str, seq: int) -> None: ...


class JournalSink(ABC):
    """Hand the facts of ``journal`` to ``write``, in order and in batches, each at least once. Loop only.

    While ``write`` fails, the facts wait in the journal, and each further attempt comes after a longer pause. What
    waits or fails here slows neither the journal nor another sink.

    Args:
        name: of the cursor, and in the log.
        linger_s: how long a new fact waits for company, so that a burst of facts takes few batches.
        cursor_interval_s: the cursor is saved no more often than that; after a crash, what was written since then comes
            again, unless ``align`` knows better.
    """

    def __init__(
        self,
        name: str,
        journal: FollowedJournal,
        *,
        batch_size: int = 1000,
        linger_s: float = 0.02,
        retry_min_s: float = 0.25,
        retry_max_s: float = 30.0,
        cursor_interval_s: float = 0.0,
    ) -> None:
        self.name = name
        self._journal = journal
        self._batch_size = batch_size
        self._linger_s = linger_s
        self._retry_min_s = retry_min_s
        self._retry_max_s = retry_max_s
        self._cursor_interval_s = cursor_interval_s
        self._cursor = 0
        self._cursor_due = 0.0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._aligned = False
        self._position = 0
        self._dead_letters = 0
        self.on_passed: Callable[[int], None] | None = None
        """Called on this loop with each new ``position``."""
        self._detail: str | None = None
        self._since = now_timestamp()

    @abstractmethod
    async def write(self, records: Sequence[JournalRecord]) -> None:
        """Store ``records``, ascending by ``seq``; some may have been stored before.

        Raises:
            DataRejected: one of them can never be stored. They come again in halves, until it is alone.
            Exception: they were not all stored, and come again.
        """

    @abstractmethod
    async def bury(self, record: JournalRecord, reason: str) -> None:
        """Put aside a record that was rejected, so that those after it can be stored."""

    async def align(self, position: int) -> int:
        """Return the ``seq`` to go on after, given the cursor's; asked at the start, and again after each failure.

        For a store that knows itself how far it is.
        """
        return position

    @property
    def position(self) -> int:
        """The journal's number of the last fact that was dealt with."""
        return self._position

    @property
    def lag(self) -> int:
        """How many facts are still to be dealt with."""
        return max(0, self._journal.last_seq - self._position)

    @property
    def healthy(self) -> bool:
        return self._detail is None

    @property
    def detail(self) -> str | None:
        """Why it is not healthy: what the last attempt failed of."""
        return self._detail

    @property
    def since(self) -> str:
        """When it became healthy, or stopped being so."""
        return self._since

    @property
    def dead_letters(self) -> int:
        """How many records it has put aside since it was made."""
        return self._dead_letters

    @property
    def is_notified(self) -> bool:
        """It will look into the journal again without being told. From any thread."""
        return self._wake.is_set()

    async def start(self) -> None:
        """Begin to follow. What it writes to may be down."""
        self._position = self._cursor = await self._journal.cursor(self.name)
        self._aligned = False
        self._stopping.clear()
        self._task = asyncio.create_task(self._follow(), name=f"sink {self.name}")

    def notify(self) -> None:
        """Say that there are new facts in the journal."""
        self._wake.set()

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Write what is left, if that is done in time and at the first attempt, and stop following.

        What could not be written waits in the journal for the next start.
        """
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping.set()
        self._wake.set()
        _, late = await asyncio.wait({task}, timeout=timeout_s)
        if late:
            task.cancel()
            await asyncio.wait({task})
        if self._position != self._cursor:
            with contextlib.suppress(Unavailable):
                await self._journal.set_cursor(self.name, self._position)
        if self.lag:
            _log.warning("Sink %s stopped with %d facts to come; they wait in the journal", self.name, self.lag)

    async def _follow(self) -> None:
        failures = 0
        while True:
            # Before the journal is read: a fact that comes after that wakes us again.
            self._wake.clear()
            try:
                more = await self._write_next()
            except Exception as error:  # noqa: BLE001  the edge of a background task: it must outlive its errors
                failures += 1
                self._aligned = False
                self._fail(error)
                if self._stopping.is_set():
                    return
                await self._pause(failures)
                continue
            failures = 0
            self._recover()
            if more:
                continue
            if self._stopping.is_set():
                return
            await self._wake.wait()
            if not self._stopping.is_set():
                await asyncio.sleep(self._linger_s)

    async def _write_next(self) -> bool:
        """Write the next batch, and tell whether there may be more."""
        if not self._aligned:
            position = await self.align(self._position)
            if position + 1 < self._journal.first_seq:
                _log.warning(
                    "Of the facts %d to %d only the latest that are not final are left in the journal for sink %s",
                    position + 1, self._journal.first_seq - 1, self.name,
                )  # fmt: skip
            await self._pass(position)
            self._aligned = True
        records = await self._journal.read(self._position, self._batch_size)
        if records:
            await self._write(records)
        return len(records) == self._batch_size

    async def _write(self, records: Sequence[JournalRecord]) -> None:
        """Write ``records``; if one of them is rejected, halve them until it is alone."""
        try:
            await self.write(records)
        except DataRejected as error:
            if len(records) > 1:
                middle = len(records) // 2
                await self._write(records[:middle])
                await self._write(records[middle:])
                return
            await self.bury(records[0], error.detail)
            self._dead_letters += 1
            _log.error("Fact %d (%s) was rejected: %s", records[0].seq, records[0].topic, error.detail)
        await self._pass(records[-1].seq)

    async def _pass(self, seq: int) -> None:
        now = time.monotonic()
        if now >= self._cursor_due:
            await self._journal.set_cursor(self.name, seq)
            self._cursor = seq
            self._cursor_due = now + self._cursor_interval_s
        self._position = seq
        if self.on_passed is not None:
            self.on_passed(seq)

    async def _pause(self, failures: int) -> None:
        """Wait, twice as long each time, and not in step with others that the same failure hit."""
        longest = min(self._retry_max_s, self._retry_min_s * 2 ** min(failures - 1, 16))
        pause_s = longest * random.uniform(0.5, 1)  # noqa: S311  no secret
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _fail(self, error: Exception) -> None:
        detail = error.detail if isinstance(error, CoreError) else f"{type(error).__name__}: {error}"
        if self._detail is None:
            self._since = now_timestamp()
        if detail != self._detail:
            expected = isinstance(error, Unavailable)
            _log.warning("Sink %s failed: %s", self.name, detail, exc_info=None if expected else error)
        self._detail = detail

    def _recover(self) -> None:
        if self._detail is not None:
            _log.info("Sink %s goes on, %d behind", self.name, self.lag)
            self._detail = None
            self._since = now_timestamp()
