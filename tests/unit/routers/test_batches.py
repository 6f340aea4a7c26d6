"""Batches of orders and of cancels: an answer for each, and one that fails holds up no other."""

from typing import Any

import pytest
from tests.unit.routers.memory_service import Api
from tests.unit.routers.test_idempotency import restarted
from tests.unit.routers.test_trading import ORDER

from vnpy_core.errors import OutcomeUnknown, Unavailable
from vnpy_core.models import KeyUse

PATH = "/trading/orders/batch"


def orders(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"orders": [ORDER | {"client_order_id": f"b-{n}"} | change for n, change in enumerate(changes)]}


async def test_each_order_has_an_answer_of_its_own(api: Api) -> None:
    answer = await api.send(
        "POST", PATH, orders({}, {"price": 0.5}, {"symbol": "xx"}, {"client_order_id": "b-0"}, {"gateway_name": None})
    )
    assert [(one["client_order_id"], one["status"]) for one in answer["results"]] == [
        ("b-0", 201), ("b-1", 409), ("b-2", 404), ("b-0", 409), ("b-4", 201)
    ]  # fmt: skip
    assert [one["problem"]["code"] for one in answer["results"] if one["problem"]] == [
        "price_tick", "unknown_contract", "duplicate_client_order_id"
    ]  # fmt: skip
    assert [one["result"]["vt_orderid"] for one in answer["results"] if one["result"]] == ["SIM.1", "SIM.2"]
    assert (answer["sent"], answer["refused"], answer["unknown"]) == (2, 3, 0)
    assert answer["results"][0]["result"]["order"]["status"] == "NOTTRADED"


async def test_a_batch_is_one_commit_before_and_one_after(api: Api) -> None:
    before = len(api.service.journal.batches)
    await api.send("POST", PATH, orders(*[{}] * 50))
    intents = [events for events in api.service.journal.batches[before:] if events[0].topic == "intent"]
    assert [len(events) for events in intents] == [50, 50]


async def test_what_is_not_known_of_one_is_said_of_that_one(api: Api) -> None:
    api.service.engine.failures = {2: OutcomeUnknown("The line broke."), 3: ValueError("oops")}
    answer = await api.send("POST", PATH, orders({}, {}, {}, {}))
    assert [one["status"] for one in answer["results"]] == [201, 504, 504, 201]
    assert (answer["sent"], answer["refused"], answer["unknown"]) == (2, 0, 2)
    listed = (await api.get("/trading/intents"))["intents"]
    assert [intent["client_order_id"] for intent in listed] == ["b-1", "b-2"]


async def test_only_if_none_was_sent_the_batch_is_unavailable(api: Api) -> None:
    api.service.engine.failure = Unavailable("SIM is not connected.", code="gateway_not_connected")
    assert (await api.send("POST", PATH, orders({}, {}), 503))["code"] == "gateway_not_connected"
    api.service.journal.full = True
    assert (await api.send("POST", PATH, orders({}, {}), 503))["code"] == "unavailable"
    api.service.journal.full = False
    api.service.engine.failure = None
    await api.service.pipeline.drain()
    assert (await api.send("POST", PATH, orders({}, {})))["sent"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"orders": []}, "orders"),
        ({"orders": [ORDER]}, "orders.0.client_order_id"),
        ({"orders": [ORDER | {"client_order_id": str(n)} for n in range(101)]}, "orders"),
        ({"orders": [ORDER | {"client_order_id": "1", "volume": 0}]}, "orders.0.volume"),
    ],
)
async def test_a_malformed_batch_is_refused_as_a_whole(api: Api, body: dict[str, Any], field: str) -> None:
    assert [error["field"] for error in (await api.send("POST", PATH, body, 422))["errors"]] == [field]
    assert api.service.engine.count == 0


async def test_a_repeated_batch_is_answered_the_same(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = orders({}, {"price": 0.5}, {})
    first, again = [await api.http.post(PATH, json=body, headers=headers) for _ in range(2)]
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await api.http.post(PATH, json=orders({}), headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"
    assert api.service.engine.count == 2
    async with restarted(api) as after:
        assert (await after.http.post(PATH, json=body, headers=headers)).content == first.content
    async with restarted(api, lambda data: not isinstance(data, KeyUse) or not data.is_final) as after:
        rebuilt = (await after.http.post(PATH, json=body, headers=headers)).json()
        assert [one["status"] for one in rebuilt["results"]] == [201, 409, 201]
        assert [one["result"] for one in rebuilt["results"]] == [one["result"] for one in first.json()["results"]]
        assert after.service.engine.count == 0


async def test_several_orders_are_cancelled(api: Api) -> None:
    await api.send("POST", PATH, orders({}, {}, {}))
    await api.send("DELETE", "/trading/orders/SIM.2")
    await api.service.pipeline.drain()
    answer = await api.send(
        "POST", "/trading/orders/cancel-batch", {"order_ids": ["1", "SIM.2", "9", "3", "3"], "gateway_name": "SIM"}
    )
    assert [(one["vt_orderid"], one["accepted"], one["code"]) for one in answer["results"]] == [
        ("SIM.1", True, None), ("SIM.2", False, "order_not_active"), ("SIM.9", False, "unknown_order"),
        ("SIM.3", True, None), ("SIM.3", True, None),
    ]  # fmt: skip
    assert (answer["accepted"], answer["refused"]) == (3, 2)
    await api.service.pipeline.drain()
    assert not (await api.get("/trading/orders", active="true", vt_symbol="rb2501.SHFE", reference=""))["orders"]
