"""TradedPositions: what each strategy has traded by the trades on record, and how much of its pos is beyond them."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Delete, and_, case, delete, func, insert, select

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.tables import orders, strategy_baselines, strategy_variables, trades
from vnpy_core.enums import Direction
from vnpy_core.models import Timestamp, now_timestamp

_DIGITS = 9


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """``beyond_trades``: what a strategy began with, or what somebody accepted that no recorded trade explains."""

    beyond_trades: float
    set_by: str
    set_at: Timestamp


class Recorded(msgspec.Struct, frozen=True):
    """``traded``: what a strategy has bought less what it has sold; ``pos``: as it was last saved, if it was."""

    traded: float = 0.0
    pos: float | None = None


class TradedPositions:
    """Reads the facts tables, which are a moment behind the journal, and of which one moment is read.

    Raises:
        Unavailable: the database cannot be reached.
    """

    def __init__(self, database: DatabaseManager, engine_name: str) -> None:
        self._database = database
        self._engine_name = engine_name
        self._prefix = f"{engine_name}_"  # vn.py writes who sent an order into its reference

    async def recorded(self) -> Mapping[str, Recorded]:
        """Return by strategy what is on record; one of which nothing is, is not in it."""
        signed = case((trades.c.direction == Direction.LONG.name, trades.c.volume), else_=-trades.c.volume)
        query = (
            select(orders.c.reference, func.sum(signed))
            .join(trades, trades.c.vt_orderid == orders.c.vt_orderid)
            .where(orders.c.reference.startswith(self._prefix, autoescape=True))
            .group_by(orders.c.reference)
        )
        saved = strategy_variables.c
        newest = (
            select(saved.strategy_name, func.max(saved.revision).label("revision"))
            .group_by(saved.strategy_name)
            .subquery()
        )
        last = select(saved.strategy_name, saved.variables).join(
            newest, and_(saved.strategy_name == newest.c.strategy_name, saved.revision == newest.c.revision)
        )
        async with self._database.session(read_only=True) as session:
            rows = (await session.execute(query)).all()
            kept = last.where(saved.removed.is_(False), saved.engine == self._engine_name)
            states = (await session.execute(kept)).all()
        found = {
            reference.removeprefix(self._prefix): Recorded(round(total, _DIGITS))
            for reference, total in rows
            if reference.startswith(self._prefix)  # LIKE of SQLite takes upper case for lower
        }
        for name, variables in states:
            if (pos := variables.get("pos")) is not None:
                found[name] = Recorded(found.get(name, Recorded()).traded, float(pos))
        return found

    async def baselines(self) -> Mapping[str, Baseline]:
        async with self._database.session(read_only=True) as session:
            rows = (await session.execute(select(strategy_baselines))).mappings().all()
        return {
            row["strategy_name"]: Baseline(
                beyond_trades=row["beyond_trades"], set_by=row["set_by"], set_at=row["set_at"]
            )
            for row in rows
        }

    async def set_baseline(self, strategy_name: str, beyond_trades: float, by: str) -> Baseline:
        made = Baseline(beyond_trades=round(beyond_trades, _DIGITS), set_by=by, set_at=now_timestamp())
        async with self._database.session() as session:
            await session.execute(_without(strategy_name))
            await session.execute(
                insert(strategy_baselines), {"strategy_name": strategy_name, **msgspec.structs.asdict(made)}
            )
        return made

    async def forget(self, strategy_name: str) -> None:
        async with self._database.session() as session:
            await session.execute(_without(strategy_name))


def _without(strategy_name: str) -> Delete:
    return delete(strategy_baselines).where(strategy_baselines.c.strategy_name == strategy_name)
