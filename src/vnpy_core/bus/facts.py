"""FactPublisher: the sink that brings the journal's facts onto the bus."""

import logging
import zlib
from collections.abc import Sequence

from vnpy_core.data.journal_file import JournalRecord
from vnpy_core.data.sink import FollowedJournal, JournalSink
from vnpy_core.events import INTERNAL_TOPICS, frame_of
from vnpy_core.ports import BusFact, BusTransport

logger = logging.getLogger(__name__)

SINK = "bus"


class FactPublisher(JournalSink):
    """Sends the bytes that ``/ws`` sends. A fact that the server rejects for its size stays in the journal alone."""

    def __init__(
        self,
        journal: FollowedJournal,
        transport: BusTransport,
        *,
        batch_size: int = 500,
        linger_s: float = 0.002,
        retry_min_s: float = 0.25,
        retry_max_s: float = 10.0,
        cursor_interval_s: float = 1.0,
    ) -> None:
        super().__init__(
            SINK,
            journal,
            batch_size=batch_size,
            linger_s=linger_s,
            retry_min_s=retry_min_s,
            retry_max_s=retry_max_s,
            cursor_interval_s=cursor_interval_s,
        )
        self._transport = transport

    @property
    def source(self) -> str:
        return f"{self._journal.identity:x}"

    async def align(self, position: int) -> int:
        """The server knows best what it has: it may have lost some of it, and we may have died before we knew."""
        last = await self._transport.stored(self.source)
        if last is None:
            return position
        if not last:
            return 0
        seq = int(last.split("-")[1])
        if seq < self._journal.first_seq:
            return seq
        for record in await self._journal.read(seq - 1, 1):
            if self._fact(record).id == last:
                return seq
        # After the numbers that a power cut has taken from the journal, other facts have them now, or will have.
        logger.warning("The bus has facts up to %d that the journal has lost; going on after %d", seq, position)
        return min(position, self._journal.last_seq)

    async def write(self, records: Sequence[JournalRecord]) -> None:
        facts = [self._fact(record) for record in records if record.topic not in INTERNAL_TOPICS]
        if facts:
            await self._transport.store(self.source, facts)

    async def bury(self, record: JournalRecord, reason: str) -> None:
        """There is nowhere to put it; the log and ``dead_letters`` tell of it."""

    def event_id(self, seq: int, body: bytes) -> str:
        return f"{self.source}-{seq}-{zlib.crc32(body):08x}"

    def _fact(self, record: JournalRecord) -> BusFact:
        body = frame_of(record.seq, record.topic, record.ts, record.payload)
        return BusFact(self.event_id(record.seq, body), record.seq, record.topic, body)
