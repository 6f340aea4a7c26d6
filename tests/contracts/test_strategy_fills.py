"""What holds for the fills of strategies, and for what they are valued by, in every SQL database."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete
from tests import facts

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.fact_queries import FactQueries
from vnpy_core.data.journal import JournalRecord
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.repositories import FactRepository
from vnpy_core.data.strategy_fills import RecordedFill, StoredTerms, StrategyFills, SymbolStore
from vnpy_core.data.tables import metadata
from vnpy_core.errors import Unavailable
from vnpy_core.events import Event
from vnpy_core.models import Model

IDENTITY = 1


class JournalEnd:
    identity = IDENTITY


@pytest.fixture
async def database(shared_database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        for table in metadata.sorted_tables:
            await session.execute(delete(table))
    yield manager
    await manager.close()


class Told:
    """Facts with the journal's numbers, in SQL up to one of them, and all of them in the read model."""

    def __init__(self, database: DatabaseManager) -> None:
        self.database = database
        self.read_model = ReadModel()
        self.events: list[Event] = []
        facts_tables = FactQueries(database, "sql")
        self.fills = StrategyFills(facts_tables, self.read_model, JournalEnd(), ("CtaStrategy_", "Portfolio_"))

    def tell(self, *models: Model) -> None:
        for model in models:
            event = Event(model, seq=len(self.events) + 1, ts=facts.WHEN)
            self.events.append(event)
            self.read_model.apply([event])

    async def record(self, upto: int | None = None) -> None:
        repository = FactRepository(self.database, "sql")
        await repository.follow(IDENTITY, len(self.events))
        records = [JournalRecord(e.seq or 0, e.topic, e.ts, e.payload) for e in self.events[:upto]]
        await repository.upsert(records)

    async def read(self, **which: str) -> list[RecordedFill]:
        found: list[RecordedFill] = []
        await self.fills.read(found.append, **which)
        return found


@pytest.fixture
def told(database: DatabaseManager) -> Told:
    return Told(database)


def at(second: int) -> str:
    return f"2026-01-05T01:30:{second:02}.000000+00:00"


async def test_fills_of_strategies_come_by_their_moments_wherever_they_are(told: Told) -> None:
    told.tell(
        facts.order(1), facts.order(2, reference="desk"), facts.order(3, reference="Portfolio_x"),
        facts.trade(1, datetime=at(3)), facts.trade(2, vt_orderid="SIM.2"),
        facts.trade(3, vt_orderid="SIM.3", datetime=at(1)), facts.trade(4, datetime=at(2)),
    )  # fmt: skip
    await told.record(upto=6)
    assert [fill.vt_tradeid for fill in await told.read()] == ["SIM.T3", "SIM.T1", "SIM.T4"]
    await told.record()
    found = await told.read()
    assert [fill.vt_tradeid for fill in found] == ["SIM.T3", "SIM.T4", "SIM.T1"]
    assert [fill.reference for fill in found] == ["Portfolio_x", "CtaStrategy_demo", "CtaStrategy_demo"]
    assert found[0].ordered == facts.WHEN


async def test_what_is_read_from_sql_is_what_is_made_of_the_event(told: Told) -> None:
    told.tell(facts.order(1), facts.trade(1, price=3501.5), facts.trade(2, datetime=None))
    before = await told.read()
    await told.record()
    assert await told.read() == before
    assert before[1].moment == facts.WHEN


async def test_pages_cut_no_moment_and_lose_nothing(told: Told) -> None:
    told.tell(facts.order(1))
    # Of one moment each four: ids that sort otherwise than they came.
    ids = ["T9", "T10", "T8", "T11", "a", "B", "A", "b", "T2", "T1", "T4", "T3"]
    told.tell(*(facts.trade(each, vt_tradeid=each, datetime=at(place // 4)) for place, each in enumerate(ids)))
    await told.record()
    for size in (1, 3, 4, 5, 100):
        told.fills.page = size
        assert [fill.vt_tradeid for fill in await told.read()] == ids, size


async def test_one_symbol_and_a_beginning_can_be_asked_for(told: Told) -> None:
    told.tell(facts.order(1), *(facts.trade(n, datetime=at(n)) for n in range(1, 5)))
    told.tell(facts.trade(9, vt_symbol="IF2501.CFFEX", datetime=at(9)))
    await told.record(upto=3)
    assert [fill.vt_tradeid for fill in await told.read(vt_symbol="rb2501.SHFE", start=at(2))] == [
        "SIM.T2", "SIM.T3", "SIM.T4",
    ]  # fmt: skip


async def test_what_neither_has_is_said_to_be_missing(told: Told) -> None:
    told.tell(facts.order(1), facts.trade(1))
    told.read_model.trades.evicted_seq = 2
    with pytest.raises(Unavailable) as raised:
        await told.read()
    assert raised.value.error_code == "database_behind"
    await told.record()
    assert len(await told.read()) == 1


async def test_closes_and_terms_are_kept_and_never_go_back(database: DatabaseManager) -> None:
    store = SymbolStore(database)
    assert await store.read() == ({}, {})
    terms = {"rb2501.SHFE": StoredTerms(10.0, False), "BTCUSDT.GLOBAL": StoredTerms(1.0, True)}
    await store.write([("rb2501.SHFE", "2026-01-05", 3500.0), ("rb2501.SHFE", "2026-01-06", 3510.0)], terms, 100)
    await store.write([("rb2501.SHFE", "2026-01-06", 3511.0)], {}, 200)
    await store.write([("rb2501.SHFE", "2026-01-06", 3000.0)], {"rb2501.SHFE": StoredTerms(5.0, False)}, 50)
    closes, kept = await store.read()
    assert closes == {"rb2501.SHFE": {"2026-01-05": 3500.0, "2026-01-06": 3511.0}}
    assert kept == terms
