"""The journal: every fact, on disk and numbered, before anyone is shown it.

One SQLite file in WAL mode, which this process alone writes. Appends, reads and checkpoints run beside each other, on
two threads.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from vnpy_core.data.journal_file import JournalReader, JournalRecord, JournalWriter, Latest, Synchronous, explain
from vnpy_core.data.journal_thread import JournalThread
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event

__all__ = ["Journal", "JournalRecord", "Latest"]

_CHECKPOINT_BYTES = 8 << 20
_LOG_LIMIT_PAGES = 16_384  # 64 MB

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Journal:
    """Opened and closed once, on the loop; in between every method may be called by several tasks at a time.

    ``synchronous``: with NORMAL a crash of the process loses nothing, and one of the machine at most the last commits;
    with FULL neither loses anything, at the price of a disk flush for each commit.
    """

    def __init__(self, path: Path, synchronous: Synchronous = "NORMAL") -> None:
        self.path = path
        self._writing = JournalWriter(path, synchronous)
        self._reading = JournalReader(path)
        self._writer = JournalThread("journal-writer")
        self._reader = JournalThread("journal-reader")
        self._state = "not open"
        self._log_bytes = 0

    @property
    def last_seq(self) -> int:
        """The number of the newest fact on disk; 0: there is none."""
        return self._writing.last_seq

    @property
    def first_seq(self) -> int:
        """From this number on no fact is missing: what a client may resume from."""
        return self._writing.first_seq

    @property
    def identity(self) -> int:
        """A number drawn when the file was made: whether a sink goes on with the journal that it began with."""
        return self._writing.identity

    async def open(self) -> None:
        """Open the file, or create it.

        Raises:
            Unavailable: it cannot be opened, is damaged, or was written by a newer version.
        """
        self._state = "open"
        try:
            await self._on(self._writer, self._writing.open)
            await self._on(self._reader, self._reading.open)
        except Unavailable:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was asked for and close the file. Closing twice does nothing."""
        if self._state == "open":
            self._state = "closed"
            await self._reader.run(self._reading.close)
            await self._writer.run(self._writing.close)
        self._writer.stop()
        self._reader.stop()

    async def append(self, events: Sequence[Event]) -> None:
        """Write all of ``events`` in one commit, and number them on from ``last_seq`` in their order.

        Raises:
            Unavailable: nothing was written, no number is used up, and the events are as before.
        """
        await self._on(self._writer, self._writing.append, events)
        # What it added to the log, estimated: three pages, or for many facts twice their payloads.
        self._log_bytes += 12_288 + sum(2 * len(event.payload) for event in events)
        if self._log_bytes > _CHECKPOINT_BYTES:
            self._log_bytes = 0
            self._reader.post(self._checkpoint)

    async def check(self) -> None:
        """Write something that means nothing, to learn whether writing is possible again.

        Raises:
            Unavailable: it is not.
        """
        await self._on(self._writer, self._writing.check)

    async def read(self, after: int, limit: int) -> list[JournalRecord]:
        """Return the first ``limit`` facts whose ``seq`` is greater than ``after``, in order.

        Between ``first_seq`` and ``last_seq`` none is missing; of older ones only those that still matter are left.
        """
        return await self._on(self._reader, self._reading.read, after, limit)

    async def latest(self, kind: str, newest: int) -> list[Latest]:
        """Return the latest fact of each key of ``kind`` (a model's topic), in the order of their first ones.

        Of those that are final, only the ``newest`` that changed last.
        """
        return await self._on(self._reader, self._reading.latest, kind, newest)

    async def find(self, kind: str, key: str) -> Latest | None:
        """Return the latest fact of one key of ``kind``, if it is still here."""
        return await self._on(self._reader, self._reading.find, kind, key)

    async def cursor(self, name: str) -> int:
        """Return how far the reader ``name`` has come; a new one begins at 0, and is waited for from now on."""
        return await self._on(self._writer, self._writing.cursor, name)

    async def set_cursor(self, name: str, seq: int) -> None:
        await self._on(self._writer, self._writing.set_cursor, name, seq)

    async def forget_cursor(self, name: str) -> None:
        """Wait for the reader ``name`` no longer."""
        await self._on(self._writer, self._writing.forget_cursor, name)

    async def prune(self, before_ts: str, keep_after_seq: int) -> int:
        """Remove facts older than ``before_ts`` that all cursors have passed, and return how many.

        The newest fact, those after ``keep_after_seq``, and the latest of each key that is not final stay. Runs in
        small transactions, so that appends go on meanwhile.
        """
        removed = after = 0
        upto = await self._on(self._writer, self._writing.prune_limit, before_ts, keep_after_seq)
        while after < upto:
            count, after = await self._on(self._writer, self._writing.prune_some, after, upto)
            removed += count
        return removed

    async def _on(self, thread: JournalThread, fn: Callable[..., T], *args: object) -> T:
        if self._state != "open":
            raise Unavailable(f"The journal {self.path} is {self._state}.")
        try:
            return await thread.run(fn, *args)
        except sqlite3.Error as error:
            raise Unavailable(f"The journal {self.path} {explain(error)}") from error

    def _checkpoint(self) -> None:
        try:
            if self._reading.checkpoint() > _LOG_LIMIT_PAGES:
                # Under steady load the log's end is never reached beside the writing; the little that is left is
                # moved between two appends, and the log begins anew.
                self._writer.post(self._restart_log)
        except (sqlite3.Error, Unavailable) as error:  # the log grows until the next attempt, and nothing is lost
            logger.warning("The checkpoint of %s is put off: %s", self.path, error)

    def _restart_log(self) -> None:
        try:
            self._writing.restart_log()
        except (sqlite3.Error, Unavailable) as error:
            logger.warning("The log of %s could not be begun anew: %s", self.path, error)
