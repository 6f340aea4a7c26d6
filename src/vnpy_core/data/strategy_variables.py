"""SavedVariables: the states that strategies were saved in, the last of each and all that were kept."""

import logging
import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import RowMapping, and_, delete, func, select

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal_file import Latest
from vnpy_core.data.tables import strategy_variables
from vnpy_core.errors import Invalid, Unavailable
from vnpy_core.events import decode_fact
from vnpy_core.models import StrategyVariables
from vnpy_core.reports import SavedState

# In vn.py's data file beside the variables: the fills that are counted in them. No attribute can have this name.
FILLS_KEY = ".fills"
_NAMES = 100_000

S = TypeVar("S", bound=msgspec.Struct)

_log = logging.getLogger(__name__)


class LatestFacts(Protocol):
    """The journal, as far as it is asked."""

    async def latest(self, kind: str, newest: int) -> Sequence[Latest]: ...


class SavedVariables:
    """The journal has the last state of each strategy before anyone is shown what led to it; the table all of them, a
    moment later."""

    def __init__(self, database: DatabaseManager, journal: LatestFacts) -> None:
        self._database = database
        self._journal = journal

    async def latest(self) -> dict[str, StrategyVariables]:
        """Return the last of each strategy: the journal's, or the table's if the data folder is another one.

        Raises:
            Unavailable: the journal cannot be read. If the database cannot, the journal's are returned.
        """
        found: dict[str, StrategyVariables] = {}
        for each in await self._journal.latest(StrategyVariables.topic, _NAMES):
            fact = decode_fact(each.record.topic, each.record.payload)
            if isinstance(fact, StrategyVariables):
                found[fact.strategy_name] = fact
        try:
            stored = await self._stored()
        except Unavailable as error:
            _log.warning("The variables of strategies are those of the journal alone: %s", error.detail)
            stored = []
        for fact in stored:
            known = found.get(fact.strategy_name)
            if known is None or known.revision < fact.revision:
                found[fact.strategy_name] = fact
        return found

    async def history(
        self, strategy_name: str, cursor: str | None, limit: int
    ) -> tuple[list[SavedState], str | None]:
        """Return up to ``limit`` saved states behind ``cursor``, the newest first, and the cursor to go on with.

        Raises:
            Invalid: ``cursor`` is none of this list.
            Unavailable: the database cannot be reached.
        """
        table = strategy_variables.c
        query = select(table.revision, table.datetime, table.variables, table.removed).where(
            table.strategy_name == strategy_name
        )
        if cursor is not None:
            query = query.where(table.revision < _revision(cursor))
        async with self._database.query_session() as session:
            rows = (await session.execute(query.order_by(table.revision.desc()).limit(limit + 1))).mappings().all()
        states = [_converted(row, SavedState) for row in rows[:limit]]
        return states, f"variables-{states[-1].revision:x}" if len(rows) > limit else None

    async def prune(self, keep: int) -> int:
        """Delete all but the newest ``keep`` of each strategy, and return how many.

        Raises:
            Unavailable: the database cannot be reached.
        """
        table = strategy_variables.c
        counts = select(table.strategy_name).group_by(table.strategy_name).having(func.count() > keep)
        async with self._database.session() as session:
            removed = 0
            for name in (await session.execute(counts)).scalars().all():
                oldest = (
                    select(table.revision)
                    .where(table.strategy_name == name)
                    .order_by(table.revision.desc())
                    .limit(1)
                    .offset(keep - 1)
                )
                kept = (await session.execute(oldest)).scalar_one()
                gone = await session.execute(
                    delete(strategy_variables).where(table.strategy_name == name, table.revision < kept)
                )
                removed += gone.rowcount
        return removed

    async def _stored(self) -> list[StrategyVariables]:
        table = strategy_variables.c
        newest = (
            select(table.strategy_name, func.max(table.revision).label("revision"))
            .group_by(table.strategy_name)
            .subquery()
        )
        columns = [table[name] for name in StrategyVariables.__struct_fields__]
        query = select(*columns).join(
            newest, and_(table.strategy_name == newest.c.strategy_name, table.revision == newest.c.revision)
        )
        async with self._database.session(read_only=True) as session:
            rows = (await session.execute(query)).mappings().all()
        return [_converted(row, StrategyVariables) for row in rows]


def _converted(row: RowMapping, kind: type[S]) -> S:
    # Not dict(row): its keys can be a str's subclass, which msgspec refuses.
    return msgspec.convert({field: row[field] for field in kind.__struct_fields__}, kind)


def _revision(cursor: str) -> int:
    found = re.fullmatch(r"variables-([0-9a-f]{1,15})", cursor)
    if found is None:
        raise Invalid(f"{cursor!r} is no cursor of this list: take next_cursor of the page before.")
    return int(found[1], 16)
