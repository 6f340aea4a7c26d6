"""What holds for queries of orders and trades of any day, in every SQL database."""

import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete
from tests import facts
from tests.servers import Postgres

from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.fact_queries import Conditions, FactQueries, FactSnapshot, Place, StoredFact
from vnpy_core.data.journal import JournalRecord
from vnpy_core.data.repositories import FactRepository
from vnpy_core.data.tables import metadata
from vnpy_core.enums import Direction, Exchange, OrderStatus
from vnpy_core.models import Model, Order, Trade
from vnpy_core.trading.filters import OrderFilter, TradeFilter

EVERY = Conditions()


@pytest.fixture
async def database(shared_database_url: str) -> AsyncIterator[DatabaseManager]:
    manager = DatabaseManager(shared_database_url)
    await manager.open()
    async with manager.session() as session:
        for table in metadata.sorted_tables:
            await session.execute(delete(table))
    yield manager
    await manager.close()


def at(second: int, micros: int = 0) -> str:
    return f"2026-01-05T01:{second // 60:02}:{second % 60:02}.{micros:06}+00:00"


def record(seq: int, model: Model, ts: str = facts.WHEN) -> JournalRecord:
    return JournalRecord(seq, model.topic, ts, msgspec.json.encode(model))


async def write(database: DatabaseManager, *models: Model, first: int = 1, ts: str = facts.WHEN) -> None:
    await FactRepository(database, "sql").upsert([record(seq, model, ts) for seq, model in enumerate(models, first)])


async def pages(
    snapshot: FactSnapshot, kind: type[Model], limit: int, conditions: Conditions = EVERY, **span: Any
) -> list[StoredFact]:
    rows: list[StoredFact] = []
    while True:
        page = await snapshot.rows(kind, conditions, after=rows[-1].place if rows else None, limit=limit, **span)
        rows += page
        if len(page) < limit:
            return rows


def mixed(chance: random.Random, count: int) -> list[Order]:
    """Return orders of few moments, some of none, and of ids that sort differently in different languages."""
    letters = "aAbBzZ_-.0 9äÄ期货!~"
    made = {}
    for number in range(count):
        name = "".join(chance.choices(letters, k=3)).rstrip() + str(number)
        symbol, exchange = chance.choice([("rb2501", Exchange.SHFE), ("IF2501", Exchange.CFFEX)])
        made[name] = facts.order(
            name, chance.choice(list(OrderStatus)), datetime=chance.choice([None, at(1), at(2), at(2, 1)]),
            symbol=symbol, exchange=exchange, vt_symbol=f"{symbol}.{exchange}",
            direction=chance.choice(list(Direction)),
            reference=chance.choice(["CtaStrategy_demo", "CtaStrategy_a_demo", "CtaStrategy_Demo", "x", "a%_demo"]),
        )  # fmt: skip
    return list(made.values())


@pytest.mark.parametrize("seed", range(3))
async def test_pages_joined_are_all_rows_in_python_s_order(database: DatabaseManager, seed: int) -> None:
    chance = random.Random(seed)
    orders = mixed(chance, 60)
    await write(database, *orders, ts=at(1, 5))
    expected = sorted((Place(order.datetime or at(1, 5), (order.vt_orderid,)), order.vt_orderid) for order in orders)
    async with FactQueries(database, "sql").reading() as snapshot:
        for limit in (1, 7, 60, 100):
            found = await pages(snapshot, Order, limit)
            assert [fact.place for fact in found] == [place for place, _ in expected]
        part = await pages(snapshot, Order, 5, start=at(1, 1), end=at(2))
    assert [fact.place for fact in part] == [place for place, _ in expected if at(1, 1) <= place.moment <= at(2)]
    by_id = {order.vt_orderid: order for order in orders}
    assert [fact.data for fact in found] == [by_id[key] for _, key in expected]


async def test_pages_lose_and_repeat_nothing_while_rows_are_added_and_changed(database: DatabaseManager) -> None:
    chance = random.Random(7)
    orders = mixed(chance, 40)
    await write(database, *orders, ts=at(1, 5))
    found: list[str] = []
    last = None
    while True:
        async with FactQueries(database, "sql").reading() as snapshot:
            page = await snapshot.rows(Order, EVERY, after=last, limit=3)
        found += [fact.place.ids[0] for fact in page]
        if len(page) < 3:
            break
        last = page[-1].place
        changed = [msgspec.structs.replace(order, traded=1.0) for order in chance.sample(orders, 3)]
        new = [facts.order(f"new{len(found)}-{n}", datetime=chance.choice([at(0), at(2), at(3)])) for n in range(2)]
        await write(database, *changed, *new, first=1000 + len(found), ts=at(1, 5))
    assert len(found) == len(set(found))
    assert {order.vt_orderid for order in orders} <= set(found)


FILTERS = [
    {"vt_symbol": "rb2501.SHFE"}, {"symbol": "IF2501"}, {"exchange": Exchange.CFFEX}, {"gateway_name": "SIM"},
    {"gateway_name": "OTHER"}, {"status": OrderStatus.ALLTRADED}, {"direction": Direction.SHORT}, {"active": True},
    {"active": False}, {"reference": "x"}, {"strategy": "demo"}, {"strategy": "a_demo"}, {"strategy": "%_demo"},
    {"strategy": ""}, {"since": at(2)}, {"vt_symbol": "rb2501.SHFE", "active": True, "strategy": "demo"},
    {"client_order_id": "mine"}, {"client_order_id": "MINE"},
]  # fmt: skip


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
async def test_conditions_leave_out_nothing_that_is_meant(database: DatabaseManager, wanted: dict[str, Any]) -> None:
    orders = [*mixed(random.Random(3), 60), facts.order("one", client_order_id="mine")]
    await write(database, *orders)
    which = OrderFilter(**wanted)
    is_meant = which.predicate()
    assert is_meant is not None
    async with FactQueries(database, "sql").reading() as snapshot:
        found = [fact.data for fact in await pages(snapshot, Order, 10, which.conditions())]
    meant = {order.vt_orderid for order in orders if is_meant(order)}
    assert {fact.key for fact in found if is_meant(fact)} == meant
    assert len(found) <= len(meant) if "strategy" not in wanted and "since" not in wanted else len(found) < 61


async def test_trades_are_listed_by_both_ids_and_found_by_their_order(database: DatabaseManager) -> None:
    made = [
        facts.trade(number, vt_orderid=f"SIM.{order}", datetime=None)
        for number in ("9", "10", "a", "B") for order in (2, 10)
    ]  # fmt: skip
    await write(database, *made, ts=at(9))
    async with FactQueries(database, "sql").reading() as snapshot:
        found = await pages(snapshot, Trade, 3)
        of_one = await pages(snapshot, Trade, 3, TradeFilter(vt_orderid="SIM.2").conditions())
    expected = sorted((trade.vt_tradeid, trade.vt_orderid) for trade in made)
    assert [fact.place for fact in found] == [Place(at(9), ids) for ids in expected]
    assert [fact.place.ids for fact in of_one] == [ids for ids in expected if ids[1] == "SIM.2"]


async def test_one_is_found_by_its_id_alone(database: DatabaseManager) -> None:
    await write(database, facts.order("a"), facts.order("A"), facts.order("b", datetime=None))
    async with FactQueries(database, "sql").reading() as snapshot:
        assert await snapshot.get(Order, "SIM.A") == facts.order("A")
        assert await snapshot.get(Order, "SIM.b") == facts.order("b", datetime=None)
        for missing in ("SIM.c", "SIM.a ", "SIM.B", ""):
            assert await snapshot.get(Order, missing) is None


async def test_the_position_is_that_of_the_journal_that_is_asked_for(database: DatabaseManager) -> None:
    repository = FactRepository(database, "sql")
    queries = FactQueries(database, "sql")
    async with queries.reading() as snapshot:
        assert await snapshot.position(7) == 0
    await repository.follow(journal=7, last_seq=0)
    await repository.upsert([record(5, facts.order())])
    async with queries.reading() as snapshot:
        assert await snapshot.position(7) == 5
        assert await snapshot.position(8) == 0
    async with FactQueries(database, "another").reading() as snapshot:
        assert await snapshot.position(7) == 0


async def test_what_was_refused_is_named(database: DatabaseManager) -> None:
    repository = FactRepository(database, "sql")
    await repository.follow(journal=7, last_seq=0)
    await repository.upsert([record(1, facts.order())])
    await repository.bury(record(2, facts.order(2)), "too long")
    await repository.bury(record(3, facts.trade(2)), "too long")
    async with FactQueries(database, "sql").reading() as snapshot:
        assert await snapshot.position(7) == 3
        assert await snapshot.refused(7, Order) == {2}
        assert await snapshot.refused(7, Trade) == {3}
        assert await snapshot.refused(8, Order) == set()


async def test_the_first_and_last_moments_that_can_be_asked_for(database: DatabaseManager) -> None:
    await write(database, facts.order())
    async with FactQueries(database, "sql").reading() as snapshot:
        for first, last in (("0001", "9999"), ("0001", "2026"), ("2026", "9999")):
            start, end = f"{first}-01-01T00:00:00.000000+00:00", f"{last}-12-31T23:59:59.999999+00:00"
            assert len(await snapshot.rows(Order, EVERY, start=start, end=end, limit=5)) == 1


async def test_the_order_of_ids_is_not_that_of_postgres_s_language(postgres: Postgres) -> None:
    postgres.execute(
        "CREATE DATABASE in_english OWNER core TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
    )
    database = DatabaseManager(postgres.url_of("in_english"))
    await database.open()
    try:
        names = ["a", "B", "A", "b", "_", "ä", "1"]
        await write(database, *(facts.order(name) for name in names))
        async with FactQueries(database, "sql").reading() as snapshot:
            found = await pages(snapshot, Order, 2)
        assert [fact.place.ids[0] for fact in found] == sorted(f"SIM.{name}" for name in names)
    finally:
        await database.close()
        postgres.drop_database("/in_english")
