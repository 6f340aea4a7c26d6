"""Orders and trades of past days over REST: ranges, pages, single orders, and a database that is down."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from tests import facts
from tests.unit.routers.memory_service import AUTHORIZATION, Api, MemoryService

from vnpy_core.app import create_app
from vnpy_core.enums import OrderStatus
from vnpy_core.errors import Unavailable

DOWN = Unavailable("The database mysql://db/facts is not available: gone.")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A service that keeps three final rows, and has had six orders and trades, one a day; SQL lacks the last two."""
    service = MemoryService(keep_final=3)
    for day in range(1, 7):
        when = f"2026-01-0{day}T01:30:00.000000+00:00"
        status = OrderStatus.ALLTRADED if day < 6 else OrderStatus.NOTTRADED
        reference = "CtaStrategy_demo" if day % 2 else "api"
        await service.tell(
            facts.order(day, status, datetime=when, reference=reference, client_order_id=f"mine-{day}"),
            facts.trade(day, vt_orderid=f"SIM.{day}", datetime=when),
        )
        if day == 4:
            service.facts.record(service.journal.events)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://core/api/v1", headers=AUTHORIZATION) as http:
        yield Api(service, http)
    await service.orders.close()
    await service.pipeline.close()
    await service.hub.close()


async def numbers(api: Api, what: str = "orders", **query: Any) -> list[str]:
    return [row["vt_orderid"][4:] for row in (await api.get(f"/trading/{what}", **query))[what]]


@pytest.mark.parametrize("what", ["orders", "trades"])
async def test_a_range_has_past_days_and_this_moment(api: Api, what: str) -> None:
    assert "1" not in await numbers(api, what)
    assert await numbers(api, what, start="2026-01-01T00:00:00Z") == ["1", "2", "3", "4", "5", "6"]
    assert await numbers(api, what, end="2026-01-02T09:30:00+08:00") == ["1", "2"]
    assert await numbers(api, what, start="2026-01-02T01:30:00Z", end="2026-01-05T01:30:00Z") == ["2", "3", "4", "5"]
    assert await numbers(api, what, start="2027-01-01T00:00:00Z") == []


@pytest.mark.parametrize("what", ["orders", "trades"])
async def test_the_pages_of_a_range_are_joined_by_their_cursors(api: Api, what: str) -> None:
    query: dict[str, Any] = {"start": "2026-01-02T00:00:00Z", "limit": 2}
    first = await api.get(f"/trading/{what}", **query)
    second = await api.get(f"/trading/{what}", cursor=first["next_cursor"], **query)
    # The cursor alone says that it goes on in the past.
    third = await api.get(f"/trading/{what}", cursor=second["next_cursor"], limit=2)
    found = [row["vt_orderid"] for page in (first, second, third) for row in page[what]]
    assert found == [f"SIM.{day}" for day in range(2, 7)]
    assert third["next_cursor"] is None


async def test_rows_of_past_days_are_those_that_were_live(api: Api) -> None:
    response = await api.http.get("/trading/orders", params={"start": "2026-01-01T00:00:00Z"})
    shown = {event.data.key: event.payload for event in api.service.journal.events if event.topic == "order.updated"}
    assert response.content == b'{"orders":[%b],"next_cursor":null}' % b",".join(shown.values())


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"strategy": "demo"}, ["1", "3", "5"]),
        ({"reference": "api"}, ["2", "4", "6"]),
        ({"status": "NOTTRADED"}, ["6"]),
        ({"active": "false", "reference": "api"}, ["2", "4"]),
        ({"vt_symbol": "IF2501.CFFEX"}, []),
        ({"gateway_name": "SIM", "since": "2026-01-04T00:00:00Z"}, ["4", "5", "6"]),
        ({"client_order_id": "mine-3"}, ["3"]),
    ],
)
async def test_every_filter_holds_for_past_days_too(api: Api, wanted: dict[str, str], found: list[str]) -> None:
    assert await numbers(api, start="2026-01-01T00:00:00Z", **wanted) == found


async def test_the_fills_of_a_past_order_are_found(api: Api) -> None:
    assert await numbers(api, "trades", vt_orderid="SIM.2", end="2030-01-01T00:00:00Z") == ["2"]


@pytest.mark.parametrize("day", [1, 5, 6])
async def test_an_order_is_found_by_either_id_wherever_it_is(api: Api, day: int) -> None:
    assert (await api.get(f"/trading/orders/SIM.{day}"))["client_order_id"] == f"mine-{day}"
    assert (await api.get(f"/trading/orders/{day}", gateway_name="SIM"))["orderid"] == str(day)
    assert await numbers(api, client_order_id=f"mine-{day}") == [str(day)]


async def test_an_order_that_never_was_is_not_found(api: Api) -> None:
    await api.get("/trading/orders/SIM.9", expect=404)
    assert await numbers(api, client_order_id="mine-9") == []


@pytest.mark.parametrize("query", [{"start": "2026-01-01T00:00:00"}, {"end": "yesterday"}, {"start": ""}])
async def test_a_moment_without_an_offset_is_refused(api: Api, query: dict[str, str]) -> None:
    for what in ("orders", "trades"):
        problem = await api.get(f"/trading/{what}", expect=422, **query)
        assert problem["errors"][0]["field"] == next(iter(query))


async def test_without_the_database_the_live_lists_go_on_and_the_past_says_what_is_down(api: Api) -> None:
    api.service.facts.error = DOWN
    assert await numbers(api) == ["3", "4", "5", "6"]
    assert await numbers(api, client_order_id="mine-6") == ["6"]
    assert (await api.get("/trading/orders/SIM.5"))["orderid"] == "5"
    for path, query in (
        ("orders", {"start": "2026-01-01T00:00:00Z"}), ("trades", {"end": "2026-01-01T00:00:00Z"}),
        ("orders", {"client_order_id": "mine-1"}), ("orders/SIM.1", {}),
    ):  # fmt: skip
        problem = await api.get(f"/trading/{path}", expect=503, **query)
        assert "mysql://db/facts" in problem["detail"]


async def test_a_database_that_is_too_far_behind_is_told(api: Api) -> None:
    for day in range(7, 13):
        await api.service.tell(facts.order(day, OrderStatus.CANCELLED))
    problem = await api.get("/trading/orders", expect=503, start="2026-01-01T00:00:00Z")
    assert problem["code"] == "database_behind"
    api.service.facts.record(api.service.journal.events)
    assert len(await numbers(api, start="2026-01-01T00:00:00Z")) == 12


async def test_the_page_of_a_range_is_not_repeated_when_sql_has_changed(api: Api) -> None:
    query = {"end": "2026-01-01T12:00:00Z"}
    assert await numbers(api, **query) == ["1"]
    older = facts.order(0, OrderStatus.CANCELLED, datetime="2025-12-31T01:30:00.000000+00:00")
    place = msgspec.structs.replace(
        next(iter(api.service.facts.stored.values())).place, moment=older.datetime, ids=("SIM.0",)
    )
    stored = msgspec.structs.replace(next(iter(api.service.facts.stored.values())), place=place, data=older)
    api.service.facts.stored[type(older), older.key] = stored
    assert await numbers(api, **query) == ["0", "1"]
