"""Saved states of strategies, what they traded and what they began with, in every SQL database."""

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from sqlalchemy import delete
from tests import facts

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.journal_file import JournalRecord, Latest
from vnpy_core.data.repositories import FactRepository
from vnpy_core.data.strategy_positions import Recorded, TradedPositions
from vnpy_core.data.strategy_variables import SavedVariables
from vnpy_core.data.tables import metadata
from vnpy_core.enums import Direction
from vnpy_core.errors import Invalid
from vnpy_core.models import Model, StrategyVariables

TS = "2026-01-05T01:30:00.500000+00:00"


@pytest.fixture
async def database(shared_database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        for table in metadata.sorted_tables:
            await session.execute(delete(table))
    yield manager
    await manager.close()


class Ended:
    """The end of a journal."""

    def __init__(self, *last: StrategyVariables) -> None:
        self._last = last

    async def latest(self, kind: str, newest: int) -> Sequence[Latest]:
        return [Latest(1, record(1, fact)) for fact in self._last if fact.topic == kind]


def record(seq: int, fact: Model) -> JournalRecord:
    return JournalRecord(seq, fact.topic, TS, msgspec.json.encode(fact))


def saved(name: str, revision: int, pos: float, **fields: object) -> StrategyVariables:
    made = StrategyVariables(
        strategy_name=name, engine="CtaStrategy", revision=revision, datetime=TS, variables={"pos": pos, "ma": 1.5},
        fills=[f"SIM.T{revision}@SIM.1"],
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


async def write(database: DatabaseManager, *given: Model) -> None:
    await FactRepository(database, "sql").upsert([record(seq, fact) for seq, fact in enumerate(given, 1)])


async def test_each_saved_state_is_kept_and_listed_from_the_newest(database: DatabaseManager) -> None:
    states = [saved("one", number, number) for number in range(1, 6)]
    await write(database, *states, saved("two", 9, 7))
    await write(database, *states)  # again changes nothing
    variables = SavedVariables(database, Ended())

    first, cursor = await variables.history("one", None, 3)
    rest, end = await variables.history("one", cursor, 3)
    assert [state.revision for state in (*first, *rest)] == [5, 4, 3, 2, 1]
    assert (end, first[0].variables, first[0].datetime) == (None, {"pos": 5, "ma": 1.5}, TS)
    with pytest.raises(Invalid, match="cursor"):
        await variables.history("one", "strategies-1", 3)

    assert await variables.prune(2) == 3
    assert [state.revision for state in (await variables.history("one", None, 10))[0]] == [5, 4]
    assert len((await variables.history("two", None, 10))[0]) == 1


async def test_the_last_state_is_the_journals_or_the_tables_if_that_is_newer(database: DatabaseManager) -> None:
    gone = saved("gone", 1, 1), saved("gone", 2, 0, removed=True)
    await write(database, saved("one", 4, 4), saved("two", 8, 8), *gone)
    variables = SavedVariables(database, Ended(saved("one", 5, 5), saved("two", 7, 7)))
    latest = await variables.latest()
    assert {name: each.variables["pos"] for name, each in latest.items()} == {"one": 5, "two": 8, "gone": 0}
    assert (latest["gone"].removed, latest["two"].fills) == (True, ["SIM.T8@SIM.1"])


async def test_what_a_strategy_traded_is_the_sum_of_the_trades_of_its_orders(database: DatabaseManager) -> None:
    def order(number: int, reference: str) -> Model:
        return msgspec.structs.replace(facts.order(number), reference=reference)

    def trade(number: int, direction: Direction, volume: float, of: int) -> Model:
        vt_orderid = facts.order(of).vt_orderid
        return msgspec.structs.replace(facts.trade(number, vt_orderid=vt_orderid), direction=direction, volume=volume)

    await write(
        database, order(1, "CtaStrategy_one"), order(2, "CtaStrategy_one"), order(3, "CtaStrategy_on_e"),
        order(4, "ctastrategy_one"), order(5, ""),
        trade(1, Direction.LONG, 3, 1), trade(2, Direction.SHORT, 0.5, 2), trade(3, Direction.LONG, 0.25, 2),
        trade(4, Direction.LONG, 9, 3), trade(5, Direction.LONG, 100, 4), trade(6, Direction.LONG, 1000, 5),
        saved("one", 1, 1), saved("one", 2, 2.75), saved("idle", 1, 3), saved("gone", 2, 0, removed=True),
    )  # fmt: skip
    positions = TradedPositions(database, "CtaStrategy")
    assert await positions.recorded() == {
        "one": Recorded(2.75, 2.75), "on_e": Recorded(9), "idle": Recorded(0, 3)
    }  # fmt: skip


async def test_what_a_strategy_began_with_is_kept_until_it_is_said_anew(database: DatabaseManager) -> None:
    positions = TradedPositions(database, "CtaStrategy")
    assert await positions.baselines() == {}
    await positions.set_baseline("one", 2, "first start")
    made = await positions.set_baseline("one", -1, "ann")
    assert await positions.baselines() == {"one": made}
    assert (made.beyond_trades, made.set_by) == (-1, "ann")
    await positions.forget("one")
    assert await positions.baselines() == {}
