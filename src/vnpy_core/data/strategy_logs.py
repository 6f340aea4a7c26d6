"""StrategyLogs: what strategies have written to their logs, kept in SQL, and read from there, the newest first.

Log lines are no facts: they wait in memory for 0.2 s to be stored together, and while the database is down; beyond
``CAPACITY`` lines the oldest are dropped, and a line in their place says how many.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
from sqlalchemy import delete, insert, select

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import strategy_logs
from vnpy_core.errors import CoreError, DataRejected, Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Log, now_timestamp, to_timestamp
from vnpy_core.strategy_log import LogLine

CAPACITY = 20_000
_LINGER_S = 0.2
_BATCH = 1000
_RETRY_MAX_S = 15.0
_PRUNE_S = 3600.0
_LONGEST = 60_000

logger = logging.getLogger(__name__)


class StrategyLogs:
    """Loop only. ``run`` for as long as the service does; ``close`` stores what waits."""

    def __init__(self, database: DatabaseManager, keep_days: float) -> None:
        self._database = database
        self._keep_days = keep_days
        self._waiting: deque[LogLine] = deque()
        self._has_come = asyncio.Event()
        self._numbers = count()
        self._begun = time.time_ns() // 1000
        self._dropped: dict[str, int] = {}
        self._storing = asyncio.Lock()

    def on_events(self, events: Sequence[Event]) -> None:
        """Take the lines of strategies among ``events``."""
        for event in events:
            data = event.data
            if isinstance(data, Log) and data.strategy_name is not None:
                self._add(data, data.strategy_name)

    async def run(self) -> None:
        """Store what comes, and remove what is too old; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._store_all())
            group.create_task(self._prune_all())

    async def close(self) -> None:
        try:
            await self._store()
        except CoreError as error:
            logger.error("%d lines of strategies' logs are lost: %s", len(self._waiting), error.detail)

    async def page(
        self,
        strategy_name: str,
        *,
        levels: Collection[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[LogLine]:
        """Return up to ``limit`` lines, the newest first: those before the id ``before``.

        ``levels``: of these alone; ``start`` and ``end`` are wire timestamps, both inside.

        Raises:
            Unavailable: the database cannot be reached.
        """
        columns = strategy_logs.c
        wanted = [columns.strategy_name == strategy_name]
        if levels is not None:
            wanted.append(columns.level.in_(sorted(levels)))
        if start is not None:
            wanted.append(columns.datetime >= start)
        if end is not None:
            wanted.append(columns.datetime <= end)
        if before is not None:
            wanted.append(columns.log_id < before)
        async with self._storing:  # a line is either stored or waits, and not under way
            async with self._database.session(read_only=True) as session:
                query = select(strategy_logs).where(*wanted).order_by(columns.log_id.desc()).limit(limit)
                rows = (await session.execute(query)).mappings().all()
            found = {row["log_id"]: msgspec.convert({name: row[name] for name in _FIELDS}, LogLine) for row in rows}
            for line in self._waiting:
                if (
                    line.strategy_name == strategy_name
                    and (levels is None or line.level in levels)
                    and (start or "") <= line.datetime <= (end or "9999")
                    and (before is None or line.log_id < before)
                ):
                    found[line.log_id] = line
        return sorted(found.values(), key=lambda line: line.log_id, reverse=True)[:limit]

    def _add(self, log: Log, name: str) -> None:
        waiting = self._waiting
        if len(waiting) >= CAPACITY:
            oldest = waiting.popleft()
            self._dropped[oldest.strategy_name] = self._dropped.get(oldest.strategy_name, 0) + 1
        waiting.append(self._line(name, log.level, log.message, log.source, log.datetime))
        self._has_come.set()

    def _line(self, name: str, level: str, message: str, source: str, moment: str) -> LogLine:
        # Ids grow, also across restarts: by when this run began, and then by their number in it.
        log_id = f"{self._begun:014x}{next(self._numbers):010x}"
        return LogLine(
            log_id=log_id, strategy_name=name, level=level[:32], message=message[:_LONGEST], source=source[:64],
            datetime=moment,
        )  # fmt: skip

    async def _store_all(self) -> None:
        delay = _LINGER_S
        while True:
            await self._has_come.wait()
            await asyncio.sleep(delay)
            self._has_come.clear()
            try:
                await self._store()
            except CoreError as error:
                if delay == _LINGER_S:
                    logger.warning("The logs of strategies are not stored, and wait: %s", error.detail)
                self._has_come.set()
                delay = min(max(2 * delay, 0.5), _RETRY_MAX_S)
            else:
                delay = _LINGER_S

    async def _store(self) -> None:
        async with self._storing:
            while self._waiting or self._dropped:
                self._tell_dropped()
                batch = [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]
                try:
                    await self._insert(batch)
                except DataRejected:
                    await self._insert_one_by_one(batch)
                stored = {line.log_id for line in batch}
                # Some may have been dropped meanwhile.
                while self._waiting and self._waiting[0].log_id in stored:
                    self._waiting.popleft()

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, {}
        for name, number in dropped.items():
            message = f"{number} lines before this one were not kept: too many waited to be stored."
            self._waiting.append(self._line(name, "WARNING", message, "VnPyCore", now_timestamp()))

    async def _insert(self, lines: Sequence[LogLine]) -> None:
        rows = [msgspec.structs.asdict(line) for line in lines]
        async with self._database.session() as session:
            await session.execute(insert(strategy_logs), rows)

    async def _insert_one_by_one(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            try:
                await self._insert([line])
            except DataRejected as error:
                # PostgreSQL has no NUL in its texts.
                message = f"A line that the database refused ({error.detail}): {line.message!a}"
                await self._insert([msgspec.structs.replace(line, message=message[:_LONGEST])])

    async def _prune_all(self) -> None:
        while True:
            before = to_timestamp(datetime.now(UTC) - timedelta(days=self._keep_days))
            try:
                async with self._database.session() as session:
                    await session.execute(delete(strategy_logs).where(strategy_logs.c.datetime < before))
            except Unavailable as error:
                logger.warning("Old lines of strategies' logs were not removed: %s", error.detail)
            await asyncio.sleep(_PRUNE_S)


_FIELDS = LogLine.__struct_fields__
