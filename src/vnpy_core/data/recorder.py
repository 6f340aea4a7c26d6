"""Recorder: the sink that copies facts from the journal to the SQL tables, and catches up by itself."""

import asyncio
import logging
import random
from collections.abc import Sequence

from vnpy_core.data.database import DatabaseManager, DataRejected
from vnpy_core.data.journal import Journal, JournalRecord
from vnpy_core.data.repositories import FactRepository
from vnpy_core.errors import CoreError, Unavailable
from vnpy_core.models import now_timestamp

_log = logging.getLogger(__name__)

SINK = "sql"


class Recorder:
    """Follow ``journal`` with a cursor of its own, and write its facts to ``database`` in batches.

    A fact is written at least once; writing it again changes nothing. While the database is down the facts wait in
    the journal, and each further attempt comes after a longer pause. A record that the database refuses for its
    content goes to the table dead_letters, and the rest goes on.

    Args:
        linger_s: how long a new fact waits for company, so that a burst of facts takes few transactions.
    """

    def __init__(
        self,
        journal: Journal,
        database: DatabaseManager,
        *,
        batch_size: int = 1000,
        linger_s: float = 0.02,
        retry_min_s: float = 0.25,
        retry_max_s: float = 30.0,
    ) -> None:
        self._journal = journal
        self._database = database
        self._facts = FactRepository(database, SINK)
        self._batch_size = batch_size
        self._linger_s = linger_s
        self._retry_min_s = retry_min_s
        self._retry_max_s = retry_max_s
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._aligned = False
        self._position = 0
        self._dead_letters = 0
        self._detail: str | None = None
        self._since = now_timestamp()

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

    async def start(self) -> None:
        """Begin to follow. The database may be down, or not yet open."""
        self._position = await self._journal.cursor(SINK)
        self._aligned = False
        self._stopping.clear()
        self._task = asyncio.create_task(self._follow(), name="sql recorder")

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
        if self.lag:
            _log.warning("Stopped with %d facts not yet in %s; they wait in the journal", self.lag, SINK)

    async def _follow(self) -> None:
        failures = 0
        while True:
            # Before the journal is read: a fact that comes after that wakes us again.
            self._wake.clear()
            try:
                more = await self._record_next()
            except Exception as error:  # noqa: BLE001  the edge of a background task: it must outlive its errors
                failures += 1
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

    async def _record_next(self) -> bool:
        """Write the next batch, and tell whether there may be more."""
        if not self._aligned:
            await self._align()
        records = await self._journal.read(self._position, self._batch_size)
        if records:
            await self._record(records)
        return len(records) == self._batch_size

    async def _align(self) -> None:
        """Find out how far the database is; it knows best, see ``tables.sink_cursors``."""
        await self._database.open()
        position = await self._facts.follow(self._journal.identity, self._journal.last_seq)
        if position + 1 < self._journal.first_seq:
            _log.warning(
                "Of the facts %d to %d only the latest that are not final are still in the journal to be recorded",
                position + 1, self._journal.first_seq - 1,
            )  # fmt: skip
        await self._journal.set_cursor(SINK, position)
        self._position = position
        self._aligned = True

    async def _record(self, records: Sequence[JournalRecord]) -> None:
        """Write ``records``; if the database rejects them, halve them until the culprit is alone."""
        try:
            await self._facts.upsert(records)
        except DataRejected as error:
            if len(records) > 1:
                middle = len(records) // 2
                await self._record(records[:middle])
                await self._record(records[middle:])
                return
            await self._facts.bury(records[0], error.detail)
            self._dead_letters += 1
            _log.error("Fact %d (%s) was rejected: %s", records[0].seq, records[0].topic, error.detail)
        self._position = records[-1].seq
        await self._journal.set_cursor(SINK, self._position)

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
            _log.warning("Recording facts failed: %s", detail, exc_info=None if expected else error)
        self._detail = detail

    def _recover(self) -> None:
        if self._detail is not None:
            _log.info("Recording facts goes on, %d behind", self.lag)
            self._detail = None
            self._since = now_timestamp()
