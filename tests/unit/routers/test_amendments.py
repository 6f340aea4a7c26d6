"""Amendments: cancel, wait for the venue, send the rest; never two in the market, and nothing sent that is not told."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from tests.unit.routers.memory_service import Api
from tests.unit.routers.test_idempotency import restarted
from tests.unit.routers.test_trading import ORDER

from vnpy_core.enums import OrderStatus
from vnpy_core.errors import OrderRefused, Unavailable
from vnpy_core.models import KeyUse, Order, OrderIntent

PATH = "/trading/orders/SIM.1"


@pytest.fixture
async def resting(api: Api) -> Api:
    await api.send("POST", "/trading/orders", ORDER | {"volume": 5, "reference": "mine"}, 201)
    return api


def becomes(api: Api, **changes: Any) -> None:
    """Have the venue answer a cancel with this state of the order."""

    def on_cancel(vt_orderid: str) -> None:
        event = api.service.read_model.orders.get(vt_orderid)
        assert event is not None
        api.service.pipeline.emit(msgspec.structs.replace(event.data, **changes))

    api.service.engine.on_cancel = on_cancel


async def test_the_rest_is_sent_anew_when_the_cancel_is_confirmed(resting: Api) -> None:
    becomes(resting, status=OrderStatus.CANCELLED, traded=2.0)
    amended = await resting.send("PATCH", PATH, {"price": 3501, "client_order_id": "new"})
    assert (amended["vt_orderid"], amended["replaces"], amended["client_order_id"]) == ("SIM.2", "SIM.1", "new")
    await resting.service.pipeline.drain()
    new, old = await resting.get("/trading/orders/SIM.2"), await resting.get(PATH)
    assert (new["price"], new["volume"], new["reference"], new["offset"]) == (3501, 3, "mine", "OPEN")
    assert (old["status"], old["traded"], old["replaced_by"]) == ("CANCELLED", 2, "SIM.2")


async def test_the_intent_is_on_disk_before_the_cancel(resting: Api) -> None:
    seen: list[OrderIntent] = []

    def on_cancel(vt_orderid: str) -> None:
        seen.extend(e.data for e in resting.service.journal.events if isinstance(e.data, OrderIntent))
        event = resting.service.read_model.orders.get(vt_orderid)
        assert event is not None
        resting.service.pipeline.emit(msgspec.structs.replace(event.data, status=OrderStatus.CANCELLED))

    resting.service.engine.on_cancel = on_cancel
    await resting.send("PATCH", PATH, {"volume": 4})
    assert (seen[-1].replaces, seen[-1].outcome, seen[-1].volume) == ("SIM.1", None, 4)


@pytest.mark.parametrize(
    ("state", "body", "code"),
    [
        ({"status": OrderStatus.ALLTRADED, "traded": 5.0}, {"price": 3501}, "filled_meanwhile"),
        ({"status": OrderStatus.CANCELLED, "traded": 3.0}, {"volume": 3}, "filled_meanwhile"),
        ({"status": OrderStatus.REJECTED}, {"price": 3501}, "cancelled_meanwhile"),
    ],
)
async def test_nothing_is_sent_for_what_was_filled_meanwhile(
    resting: Api, state: dict[str, Any], body: dict[str, Any], code: str
) -> None:
    becomes(resting, **state)
    problem = await resting.send("PATCH", PATH, body, 409)
    assert (problem["code"], problem["vt_orderid"]) == (code, "SIM.1")
    assert resting.service.engine.count == 1
    assert resting.service.orders.unknown == []


async def test_nothing_is_sent_if_the_cancel_is_not_confirmed(resting: Api) -> None:
    resting.service.engine.on_cancel = lambda vt_orderid: None
    problem = await resting.send("PATCH", PATH, {"price": 3501}, 504)
    assert problem["code"] == "cancel_not_confirmed"
    becomes(resting, status=OrderStatus.CANCELLED)
    await resting.send("DELETE", PATH)
    await resting.service.pipeline.drain()
    assert resting.service.engine.count == 1
    assert resting.service.orders.unknown == []


@pytest.mark.parametrize(
    ("body", "code"),
    [({"price": 3500.5}, "price_tick"), ({"volume": 1000}, None), ({"volume": 0.5}, "volume_below_minimum")],
)
async def test_what_may_not_be_sent_is_not_cancelled_for(resting: Api, body: dict[str, Any], code: str | None) -> None:
    if code is None:
        await resting.send("PATCH", PATH, body)
        return
    assert (await resting.send("PATCH", PATH, body, 409))["code"] == code
    assert resting.service.engine.cancelled == []


async def test_a_volume_that_is_traded_already_is_refused(resting: Api) -> None:
    event = resting.service.read_model.orders.get("SIM.1")
    assert event is not None
    await resting.service.tell(msgspec.structs.replace(event.data, status=OrderStatus.PARTTRADED, traded=3.0))
    assert (await resting.send("PATCH", PATH, {"volume": 3}, 409))["code"] == "filled_meanwhile"
    assert resting.service.engine.cancelled == []


async def test_who_cancels_meanwhile_wants_it_gone(resting: Api) -> None:
    asked = asyncio.Event()
    resting.service.engine.on_cancel = lambda vt_orderid: asked.set()
    amending = asyncio.create_task(resting.http.patch(PATH, json={"price": 3501}))
    await asked.wait()
    under_way = await resting.send("PATCH", PATH, {"price": 3502}, 409)
    assert under_way["code"] == "amendment_under_way"
    becomes(resting, status=OrderStatus.CANCELLED)
    await resting.send("DELETE", PATH)
    answer = await amending
    assert (answer.status_code, answer.json()["code"]) == (409, "cancelled_meanwhile")
    assert resting.service.engine.count == 1


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Unavailable("Gone.", code="gateway_not_connected"), "replacement_not_sent"),
     (OrderRefused("Not enough funds.", code="gateway_refused"), "gateway_refused")],
)  # fmt: skip
async def test_a_replacement_that_is_refused_says_that_the_old_order_is_gone(
    resting: Api, failure: Exception, code: str
) -> None:
    resting.service.engine.failure = failure
    problem = await resting.send("PATCH", PATH, {"price": 3501}, 409)
    assert problem["code"] == code
    assert "cancelled" in problem["detail"]
    assert resting.service.orders.unknown == []


async def test_only_active_orders_are_amended(api: Api) -> None:
    await api.send("PATCH", "/trading/orders/SIM.99", {"price": 3501}, 404)
    await api.send("POST", "/trading/orders", ORDER, 201)
    await api.send("DELETE", PATH)
    await api.service.pipeline.drain()
    assert (await api.send("PATCH", PATH, {"price": 3501}, 409))["code"] == "order_not_active"
    for body in ({}, {"price": None}, {"volume": 0}, {"prize": 1}):
        await api.send("PATCH", PATH, body, 422)


async def test_an_amendment_is_repeated_by_its_key(resting: Api) -> None:
    async def patch(api: Api) -> httpx.Response:
        return await api.http.patch(PATH, json={"price": 3501}, headers={"Idempotency-Key": "a-1"})

    first, again = await patch(resting), await patch(resting)
    assert (again.status_code, again.content) == (200, first.content)
    assert resting.service.engine.count == 2
    async with restarted(resting) as after:
        assert (await patch(after)).content == first.content

    def in_between(data: Any) -> bool:
        """As a crash leaves it after the cancel and before the new order: its intent has no outcome."""
        if isinstance(data, KeyUse):
            return not data.is_final
        if isinstance(data, Order):
            return data.vt_orderid == "SIM.1" and data.replaced_by is None
        return not isinstance(data, OrderIntent) or data.replaces is None or data.outcome is None

    async with restarted(resting, in_between) as after:
        assert (await patch(after)).status_code == 504
        (listed,) = (await after.get("/trading/intents"))["intents"]
        assert listed["replaces"] == "SIM.1"
        assert "SIM.1" in listed["reason"]
        assert after.service.engine.count == 0
