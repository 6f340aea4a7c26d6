"""Past days over REST on real stores: what memory has let go of, across a restart, and histories page by page."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from tests import facts
from tests.contracts.history_stores import ADAPTERS
from tests.unit.routers.memory_service import AUTHORIZATION, Api, MemoryService
from vnpy_core.app import create_app
from vnpy_core.data.adapter import VnPyDataAdapter
from vnpy_core.data.cache.latest import LatestState
from vnpy_core.data.database import DatabaseManager
from vnpy_core.data.fact_queries import FactQueries
from vnpy_core.data.history.series import NO_TIME, to_micros
from vnpy_core.data.journal import Journal
from vnpy_core.data.past import PastFacts
from vnpy_core.data.read_model import ReadModel
from vnpy_core.data.recorder import SINK, Recorder
from vnpy_core.data.tables import orders, trades
from vnpy_core.enums import Exchange, Interval, OrderStatus
from vnpy_core.events import Event
from vnpy_core.models import Model
from vnpy_core.ports import BAR_COLUMNS, TICK_COLUMNS, HistoryStore, Series

KEPT = 50
COUNT = 180
START = datetime(2026, 1, 5, 1, tzinfo=UTC)


class Days:
    """A journal, its recorder and its read model, which keeps 50 final rows; and the routes over them."""

    def __init__(self, journal: Journal, database: DatabaseManager, read_model: ReadModel, recorder: Recorder) -> None:
        self.journal, self.database, self.read_model, self.recorder = journal, database, read_model, recorder
        service = MemoryService()
        service.read_model = read_model
        service.past = PastFacts(FactQueries(database, SINK), read_model, journal)
        transport = httpx.ASGITransport(create_app(service))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://core/api/v1", headers=AUTHORIZATION)
        self.api = Api(service, self.http)

    async def tell(self, *models: Model) -> None:
        events = [Event(model) for model in models]
        await self.journal.append(events)
        self.read_model.apply(events)
        self.recorder.notify()

    async def recorded(self) -> None:
        """Wait until the recorder has written everything."""
        async with asyncio.timeout(30):
            while self.recorder.position < self.journal.last_seq:  # noqa: ASYNC110 -- it has no event for it
                await asyncio.sleep(0.01)

    async def all(self, what: str, **query: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = await self.api.get(f"/trading/{what}", **query)
            rows += page[what]
            if page["next_cursor"] is None:
                return rows
            query["cursor"] = page["next_cursor"]


@asynccontextmanager
async def running(folder: Path, url: str) -> AsyncIterator[Days]:
    journal, database, read_model = Journal(folder / "journal.db"), DatabaseManager(url), ReadModel(KEPT)
    await journal.open()
    await database.open()
    recorder = Recorder(journal, database)
    await recorder.start()
    await read_model.restore(journal)
    days = Days(journal, database, read_model, recorder)
    try:
        yield days
    finally:
        await days.http.aclose()
        await recorder.stop()
        await database.close()
        await journal.close()


def happened(number: int) -> list[Model]:
    """Return an order, half of them in two states and some without a time, and its fill."""
    when = None if number % 7 == 0 else f"2026-01-{number // 30 + 1:02}T01:{number % 30:02}:00.000000+00:00"
    made = facts.order(number, datetime=when, client_order_id=f"mine-{number}")
    done = facts.order(number, OrderStatus.ALLTRADED, traded=5.0, datetime=when, client_order_id=f"mine-{number}")
    return [*([made] if number % 2 else []), done, facts.trade(number, vt_orderid=f"SIM.{number}", datetime=when)]


async def test_all_that_ever_was_is_found_page_by_page_also_after_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    everything = {"end": "2100-01-01T00:00:00Z"}
    expected = sorted(f"SIM.{number}" for number in range(COUNT))
    async with running(tmp_path, database_url) as days:
        for number in range(COUNT):
            await days.tell(*happened(number))
            if number % 40 == 0:  # so that it never falls behind by more than is in memory
                await days.recorded()
        assert len(days.read_model.orders) == KEPT
        for limit in (7, 1000):
            found = await days.all("orders", limit=limit, **everything)
            assert sorted(row["vt_orderid"] for row in found) == expected
    async with running(tmp_path, database_url) as days:
        assert len(days.read_model.orders) == KEPT
        await days.recorded()
        for what, table in (("orders", orders), ("trades", trades)):
            found = await days.all(what, limit=11, **everything)
            assert sorted(row["vt_orderid"] for row in found) == expected
            async with days.database.session(read_only=True) as session:
                stored = await session.execute(
                    select(table.c.vt_orderid).order_by(func.coalesce(table.c.datetime, table.c.ts), table.c.orderid)
                )
                assert await session.scalar(select(func.count()).select_from(table)) == COUNT
            assert {row["vt_orderid"] for row in found} == set(stored.scalars())
            times = [row["datetime"] for row in found if row["datetime"] is not None]
            assert times == sorted(times)
        day = await days.all(
            "orders", limit=5, start="2026-01-02T00:00:00Z", end="2026-01-02T23:59:59Z", status="ALLTRADED"
        )
        assert [row["orderid"] for row in day] == [str(number) for number in range(30, 60) if number % 7]
        assert (await days.api.get("/trading/orders/SIM.3"))["status"] == "ALLTRADED"
        assert [row["orderid"] for row in await days.all("orders", client_order_id="mine-4")] == ["4"]
        await days.api.get("/trading/orders/SIM.999", expect=404)


async def test_what_the_recorder_has_not_written_is_there_and_in_its_latest_state(
    database_url: str, tmp_path: Path
) -> None:
    async with running(tmp_path, database_url) as days:
        await days.tell(*happened(1), facts.order("open", client_order_id="o"))
        await days.recorded()
        await days.recorder.stop()
        await days.tell(facts.order("open", OrderStatus.CANCELLED, client_order_id="o"), *happened(3))
        found = await days.all("orders", limit=1, start="2025-01-01T00:00:00Z")
        assert {row["orderid"]: row["status"] for row in found} == {
            "1": "ALLTRADED", "3": "ALLTRADED", "open": "CANCELLED",
        }  # fmt: skip
        assert await days.all("orders", start="2025-01-01T00:00:00Z", active=True) == []


@pytest.fixture(params=ADAPTERS)
async def history(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    make: Callable[[pytest.FixtureRequest], AbstractContextManager[HistoryStore]] = ADAPTERS[request.param]
    service = MemoryService()
    with make(request) as store:
        store.save([bars(Interval.MINUTE, 60), bars(Interval.DAILY, 86_400), stored_ticks()])
        service.data = VnPyDataAdapter(store, LatestState(service.read_model))  # type: ignore[assignment]
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1", headers=AUTHORIZATION) as http:
            yield Api(service, http)
        await service.data.close()


def bars(interval: Interval, seconds: int) -> Series:
    times = to_micros(START) + np.arange(25) * seconds * 1_000_000
    return Series(
        "rb2501", Exchange.SHFE, interval, {"datetime": times, **{name: np.arange(25.0) for name in BAR_COLUMNS}}
    )


def stored_ticks() -> Series:
    times = to_micros(START) + np.arange(25) * 15_000_001
    values = {name: 1 + np.arange(25.0) for name in TICK_COLUMNS}
    return Series(
        "rb2501", Exchange.SHFE, Interval.TICK, {"datetime": times, "localtime": np.full(25, NO_TIME), **values}
    )


@pytest.mark.parametrize(
    ("path", "name", "query"),
    [
        ("bars", "bars", {}), ("bars", "bars", {"interval": "d"}), ("ticks", "ticks", {}),
        ("ticks/bars", "bars", {}), ("ticks/bars", "bars", {"interval": "1h"}),
    ],
)  # fmt: skip
async def test_a_history_s_pages_joined_are_the_whole(
    history: Api, path: str, name: str, query: dict[str, Any]
) -> None:
    query |= {"vt_symbol": "rb2501.SHFE", "start": "2026-01-05T09:00:00+08:00"}
    whole = await history.get(f"/data/{path}", **query)
    rows = whole[name]
    assert whole["next_cursor"] is None
    assert len(rows) == {"ticks/bars": 1 if "interval" in query else 7}.get(path, 25)
    for limit in (1, 2, len(rows), len(rows) + 1):
        joined: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await history.get(f"/data/{path}", limit=limit, **query, **cursor)
            joined += page[name]
            if page["next_cursor"] is None:
                break
            assert len(page[name]) == limit
            cursor = {"cursor": page["next_cursor"]}
        assert joined == rows
    last = {**query, "end": rows[-1]["datetime"], "limit": len(rows)}
    assert (await history.get(f"/data/{path}", **last))[name] == rows
    for start, end in (("2020-01-01", "2020-01-02"), ("2030-01-01", "2030-01-02"), ("2026-02-01", "2026-01-01")):
        span = {"start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z"}
        assert await history.get(f"/data/{path}", **(query | span)) == {name: [], "next_cursor": None}


async def test_the_overview_names_what_the_pages_have(history: Api) -> None:
    overview = (await history.get("/data/overview"))["overview"]
    assert [(line["interval"], line["count"]) for line in overview] == [("DAILY", 25), ("MINUTE", 25), ("TICK", 25)]
    for refused in ({"interval": "TICK"}, {"limit": 0}, {"limit": 10_001}, {"start": "2026-01-05T09:00:00"}):
        await history.get("/data/bars", expect=422, vt_symbol="rb2501.SHFE", **refused)
    await history.get("/data/ticks/bars", expect=422, vt_symbol="rb2501.SHFE", interval="d")
