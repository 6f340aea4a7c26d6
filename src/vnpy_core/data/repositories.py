"""The SQL: how facts and strategies get into the tables and out of them."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal import JournalRecord
from vnpy_core.data.tables import FACT_TABLES, HISTORIES, dead_letters, sink_cursors, strategies
from vnpy_core.data.upserts import DriverUpsert, upsert
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, DataRejected, NotFound
from vnpy_core.models import Model, now_timestamp

_log = logging.getLogger(__name__)

# Facts decoded, and rows handed to the driver, at once: about 0.5 ms of the loop, and then others get their turn.
_CHUNK = 100
_REASON_LENGTH = 2000
# MySQL ends the connection of who sends it more than max_allowed_packet at once (16 MB in MariaDB), and says no more.
_LARGEST_BYTES = 4 << 20

_KINDS = {model.topic: (table, msgspec.json.Decoder(model)) for model, table in FACT_TABLES.items()}

# By table and key.
_Latest = dict[Table, dict[str, tuple[JournalRecord, Model]]]


class FactRepository:
    """The facts tables, as one sink of a journal keeps them; ``sink`` names its cursor and its dead letters."""

    def __init__(self, database: DatabaseManager, sink: str) -> None:
        self._database = database
        self._sink = sink
        self._journal = 0
        self._upserts: dict[Table, DriverUpsert] = {}

    async def upsert(self, records: Sequence[JournalRecord]) -> int:
        """Write ``records``, ascending by ``seq``, in one transaction, and return how many rows that took.

        Facts of no table are passed over. Of several facts of one key only the last is written.

        Raises:
            DataRejected: one of them cannot be decoded or stored; nothing was written.
            Unavailable: nothing was written.
        """
        latest: _Latest = {}
        for start in range(0, len(records), _CHUNK):
            _collect(records[start : start + _CHUNK], latest)
            await asyncio.sleep(0)
        async with self._database.session() as session:
            for table, by_key in latest.items():
                statement = self._upserts.get(table)
                if statement is None:
                    statement = self._upserts[table] = DriverUpsert(table, session.dialect)
                facts = list(by_key.values())
                for start in range(0, len(facts), _CHUNK):
                    await statement.execute(session, list(starmap(_row, facts[start : start + _CHUNK])))
            await session.execute(upsert(sink_cursors, self._database.dialect), self._cursor(records[-1].seq))
        return sum(len(by_key) for by_key in latest.values())

    async def bury(self, record: JournalRecord, reason: str) -> None:
        """Put a record that was rejected aside, with the reason, so that the ones after it can be written."""
        letter = {
            "sink": self._sink,
            "journal": self._journal,
            "seq": record.seq,
            "topic": record.topic,
            "ts": record.ts[:40],
            "payload": record.payload[:_LARGEST_BYTES],
            # PostgreSQL has no NUL in its texts, and the reason may quote the very value.
            "reason": reason[:_REASON_LENGTH].replace("\0", "\\0"),
            "buried": now_timestamp(),
        }
        async with self._database.session() as session:
            await session.execute(upsert(dead_letters, self._database.dialect), letter)
            await session.execute(upsert(sink_cursors, self._database.dialect), self._cursor(record.seq))

    async def follow(self, journal: int, last_seq: int) -> int:
        """Make ready for the journal of identity ``journal``, which ends at ``last_seq``; return where to go on after.

        To be called before anything is written. That is where the rows are, unless the journal is another one than
        they are from, or has lost its end: then it gives numbers that they carry a second time. Such rows keep what
        they show, and give way to the first fact of their key that comes with a new number.
        """
        async with self._database.session() as session:
            found = await session.execute(select(sink_cursors).where(sink_cursors.c.sink == self._sink))
            cursor = found.one_or_none()
            position = cursor.seq if cursor is not None and cursor.journal == journal else 0
            position = min(position, last_seq)
            if cursor is not None and (cursor.journal, cursor.seq) != (journal, position):
                _log.warning(
                    "The facts up to %d are of a journal that was replaced or lost its end; going on after %d",
                    cursor.seq, position,
                )  # fmt: skip
                for table in (*FACT_TABLES.values(), sink_cursors):
                    await session.execute(update(table).where(table.c.seq > position).values(seq=position))
                await session.execute(
                    update(sink_cursors).where(sink_cursors.c.sink == self._sink).values(journal=journal)
                )
        self._journal = journal
        return position

    def _cursor(self, seq: int) -> dict[str, Any]:
        return {"sink": self._sink, "journal": self._journal, "seq": seq}


def _collect(records: Iterable[JournalRecord], latest: _Latest) -> None:
    """Add the facts of ``records`` that have a table to ``latest``."""
    for record in records:
        kind = _KINDS.get(record.topic)
        if kind is None:
            continue
        if len(record.payload) > _LARGEST_BYTES:
            raise DataRejected(f"It has {len(record.payload):,} bytes, and {_LARGEST_BYTES:,} are the most.")
        table, decoder = kind
        try:
            fact = decoder.decode(record.payload)
        except msgspec.MsgspecError as error:
            raise DataRejected(str(error)) from error
        key = f"{fact.key}@{record.seq}" if table in HISTORIES else fact.key
        latest.setdefault(table, {})[key] = record, fact


def _row(record: JournalRecord, fact: Model) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(fact)
    row["seq"] = record.seq
    row["ts"] = record.ts
    return row


class StrategyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy as the user wants it. ``version`` is 0 until it was saved, and then counts the times it was."""

    strategy_name: str
    class_name: str
    engine: str
    vt_symbol: str
    vt_symbols: list[str] = []
    setting: dict[str, Any]
    is_active: bool = True
    auto_start: bool = False
    desired_state: StrategyState = StrategyState.ADDED
    version: int = 0
    updated_by: str = ""
    updated: str = ""
    paused: bool = False

    @property
    def symbols(self) -> Sequence[str]:
        """What it trades, in its own order; a service of an earlier version wrote ``vt_symbol`` alone."""
        return self.vt_symbols or ([self.vt_symbol] if self.vt_symbol else [])


class StrategyRepository:
    """The strategies table. Each change is made by ``save`` or ``delete``, and each ``save`` makes a new version."""

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    async def list(self) -> Sequence[StrategyRecord]:
        """Return all strategies, sorted by name."""
        async with self._database.session(read_only=True) as session:
            found = await session.execute(select(strategies).order_by(strategies.c.strategy_name))
            return [_strategy(row) for row in found.mappings()]

    async def get(self, strategy_name: str) -> StrategyRecord:
        """Return one strategy.

        Raises:
            NotFound: there is none of that name.
        """
        async with self._database.session(read_only=True) as session:
            found = await session.execute(select(strategies).where(strategies.c.strategy_name == strategy_name))
            row = found.mappings().one_or_none()
        if row is None:
            raise NotFound(f"There is no strategy {strategy_name!r}.")
        return _strategy(row)

    async def save(self, record: StrategyRecord) -> StrategyRecord:
        """Write ``record`` as the version after the one it was made from, and return it as it was stored.

        Raises:
            Conflict: somebody else saved or deleted it since, or ``version`` is 0 and the name is taken.
        """
        stored = msgspec.structs.replace(record, version=record.version + 1, updated=now_timestamp())
        row = msgspec.to_builtins(stored)
        name = record.strategy_name
        async with self._database.session() as session:
            if record.version == 0:
                try:
                    await session.execute(insert(strategies), row)
                except IntegrityError as error:
                    raise Conflict(f"There is already a strategy {name!r}.") from error
                return stored
            same = (strategies.c.strategy_name == name) & (strategies.c.version == record.version)
            changed = await session.execute(update(strategies).where(same).values(row))
            if changed.rowcount == 0:
                raise Conflict(
                    f"Strategy {name!r} was changed or deleted after version {record.version} had been read. "
                    "Read it again, and repeat the change."
                )
        return stored

    async def delete(self, strategy_name: str) -> None:
        """Delete one strategy.

        Raises:
            NotFound: there is none of that name.
        """
        async with self._database.session() as session:
            gone = await session.execute(delete(strategies).where(strategies.c.strategy_name == strategy_name))
        if gone.rowcount == 0:
            raise NotFound(f"There is no strategy {strategy_name!r}.")


def _strategy(row: RowMapping) -> StrategyRecord:
    fields = {field: row[field] for field in StrategyRecord.__struct_fields__ if row[field] is not None}
    return msgspec.convert(fields, StrategyRecord)
