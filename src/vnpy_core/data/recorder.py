"""Recorder: the sink that copies facts from the journal to the SQL tables, and the thread it has for that."""

from collections.abc import Callable, Sequence
from typing import Any

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal_file import JournalRecord
from vnpy_core.data.repositories import FactRepository
from vnpy_core.data.sink import FollowedJournal, JournalSink
from vnpy_core.data.sink_thread import SinkThread

SINK = "sql"


class Recorder(JournalSink):
    """Writing a fact again changes nothing. A record that the database refuses for its content goes to dead_letters.

    ``guard`` raises while nothing may be written, see ``DatabaseLease.require``; called from where the recorder runs.
    """

    def __init__(
        self,
        journal: FollowedJournal,
        database: DatabaseManager,
        *,
        guard: Callable[[], None] = lambda: None,
        batch_size: int = 1000,
        linger_s: float = 0.1,  # an order's states mostly come within it, and are one row: 10 % of the CPU of a POST
        retry_min_s: float = 0.25,
        retry_max_s: float = 30.0,
    ) -> None:
        super().__init__(
            SINK, journal, batch_size=batch_size, linger_s=linger_s, retry_min_s=retry_min_s, retry_max_s=retry_max_s
        )
        self._database = database
        self._guard = guard
        self._facts = FactRepository(database, SINK)

    async def align(self, position: int) -> int:
        """The database may not yet be open; it knows best how far it is, see ``tables.sink_cursors``."""
        await self._database.open()
        self._guard()
        return await self._facts.follow(self._journal.identity, self._journal.last_seq)

    async def write(self, records: Sequence[JournalRecord]) -> None:
        self._guard()
        await self._facts.upsert(records)

    async def bury(self, record: JournalRecord, reason: str) -> None:
        self._guard()
        await self._facts.bury(record, reason)


class RecorderThread(SinkThread):
    """A recorder on a thread of its own, with connections of its own to ``database``; ``options`` as it has them.

    On the main loop it made the slowest answer in a hundred to ``POST /orders`` twice as slow.
    """

    def __init__(self, journal: FollowedJournal, database: DatabaseManager, **options: Any) -> None:
        twin = database.twin()
        super().__init__(Recorder(journal, twin, **options), twin.close)
