"""The trading routes, over the real read model and order service."""

from typing import Any

import msgspec
import pytest
from tests.unit.routers.memory_service import Api, contract

from vnpy_core.enums import Direction, Exchange, OrderStatus
from vnpy_core.errors import OrderRefused, OutcomeUnknown
from vnpy_core.routers import examples

ORDER = {
    "gateway_name": "SIM", "symbol": "rb2501", "exchange": "SHFE", "direction": "LONG", "offset": "OPEN",
    "type": "LIMIT", "price": 3500, "volume": 2,
}  # fmt: skip


async def test_lists_are_wrapped_and_hold_what_is_known(api: Api) -> None:
    (gateway,) = (await api.get("/trading/gateways"))["gateways"]
    assert gateway == msgspec.to_builtins(examples.GATEWAY) | {"last_tick_age_s": None}
    for name, example in (
        ("orders", examples.ORDER), ("trades", examples.TRADE), ("positions", examples.POSITION),
        ("accounts", examples.ACCOUNT), ("ticks", examples.TICK),
    ):  # fmt: skip
        assert await api.get(f"/trading/{name}") == {name: [msgspec.to_builtins(example)], "next_cursor": None}
    contracts = (await api.get("/trading/contracts"))["contracts"]
    assert [one["vt_symbol"] for one in contracts] == ["rb2501.SHFE", "IF2501.CFFEX"]


async def test_a_list_is_read_page_by_page(api: Api) -> None:
    await api.service.tell(*(msgspec.structs.replace(examples.ORDER, vt_orderid=f"SIM.{n}") for n in range(5)))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for size in (2, 2, 2):
        page = await api.get("/trading/orders", limit=2, **cursor)
        seen += [order["vt_orderid"] for order in page["orders"]]
        assert len(page["orders"]) == size
        cursor = {"cursor": page["next_cursor"]}
    assert cursor == {"cursor": None}
    assert seen == [examples.ORDER.vt_orderid, *(f"SIM.{n}" for n in range(5))]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["1", "2", "3"]),
        ({"vt_symbol": "rb2501.SHFE"}, ["1", "2"]),
        ({"symbol": "IF2501", "exchange": "CFFEX"}, ["3"]),
        ({"gateway_name": "CTP"}, ["2"]),
        ({"status": "ALLTRADED"}, ["2"]),
        ({"status": "全部成交"}, ["2"]),
        ({"active": "true"}, ["1", "3"]),
        ({"active": "false"}, ["2"]),
        ({"direction": "空"}, ["3"]),
        ({"reference": "CtaStrategy_demo"}, ["1"]),
        ({"strategy": "demo"}, ["1"]),
        ({"since": "2026-01-05T09:30:01+08:00"}, ["2", "3"]),
        ({"since": "2026-01-05T01:30:02Z"}, ["3"]),
        ({"active": "true", "direction": "LONG"}, ["1"]),
        ({"strategy": "nobody"}, []),
    ],
)
async def test_orders_are_filtered(api: Api, filters: dict[str, str], found: list[str]) -> None:
    base = msgspec.structs.replace(
        examples.ORDER, reference="api", status=OrderStatus.NOTTRADED, datetime="2026-01-05T01:30:00.000000+00:00"
    )
    table = api.service.read_model.orders
    table.remove(examples.ORDER.key)
    await api.service.tell(
        msgspec.structs.replace(base, vt_orderid="1", reference="CtaStrategy_demo"),
        msgspec.structs.replace(
            base, vt_orderid="2", status=OrderStatus.ALLTRADED, gateway_name="CTP",
            datetime="2026-01-05T01:30:01.000000+00:00",
        ),
        msgspec.structs.replace(
            base, vt_orderid="3", symbol="IF2501", exchange=Exchange.CFFEX, vt_symbol="IF2501.CFFEX",
            direction=Direction.SHORT, datetime="2026-01-05T01:30:02.000000+00:00",
        ),
    )  # fmt: skip
    assert [order["vt_orderid"] for order in (await api.get("/trading/orders", **filters))["orders"]] == found


@pytest.mark.parametrize(
    ("name", "filters", "count"),
    [
        ("trades", {"vt_orderid": examples.TRADE.vt_orderid, "since": "2026-01-05T01:30:00Z"}, 1),
        ("trades", {"since": "2026-01-06T00:00:00Z"}, 0),
        ("trades", {"direction": "SHORT"}, 0),
        ("positions", {"symbol": "rb2501", "direction": "多"}, 1),
        ("positions", {"gateway_name": "CTP"}, 0),
        ("accounts", {"gateway_name": "SIM"}, 1),
        ("accounts", {"gateway_name": "CTP"}, 0),
        ("contracts", {"symbol": "rb"}, 1),
        ("contracts", {"product": "期货"}, 2),
        ("contracts", {"vt_symbol": "IF2501.CFFEX", "product": "OPTION"}, 0),
        ("ticks", {"vt_symbol": ["rb2501.SHFE", "IF2501.CFFEX"]}, 1),
        ("ticks", {"vt_symbol": "IF2501.CFFEX"}, 0),
        ("ticks", {"exchange": "SHFE"}, 1),
    ],
)
async def test_the_other_lists_are_filtered(api: Api, name: str, filters: dict[str, Any], count: int) -> None:
    assert len((await api.get(f"/trading/{name}", **filters))[name]) == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "trades-1"}, "cursor"),
        ({"since": "2026-01-05T09:30:00"}, "since"),
        ({"since": "0001-01-01T00:00:00+08:00"}, "since"),
        ({"status": "DONE"}, "status"),
        ({"vt_symbol": "rb2501"}, "vt_symbol"),
        ({"vt_symbol": "rb2501.MOON"}, "vt_symbol"),
        ({"gatway_name": "SIM"}, "gatway_name"),
    ],
)
async def test_a_malformed_query_is_refused_by_field(api: Api, query: dict[str, Any], field: str) -> None:
    problem = await api.get("/trading/orders", expect=422, **query)
    assert [error["field"] for error in problem["errors"]] == [field]


async def test_an_order_is_sent_and_answered_with_its_first_state(api: Api) -> None:
    sent = await api.send("POST", "/trading/orders", ORDER | {"client_order_id": "mine-1"}, 201)
    assert (sent["vt_orderid"], sent["orderid"], sent["client_order_id"]) == ("SIM.1", "1", "mine-1")
    assert sent["order"]["status"] == "NOTTRADED"
    assert [intent["outcome"] for intent in _intents(api)] == [None, "SENT"]
    assert (await api.get("/trading/orders/SIM.1"))["vt_orderid"] == "SIM.1"
    again = await api.send("POST", "/trading/orders", ORDER | {"client_order_id": "mine-1"}, 409)
    assert (again["code"], again["vt_orderid"]) == ("duplicate_client_order_id", "SIM.1")


def _intents(api: Api) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event.payload) for event in api.service.journal.events if event.topic == "intent"]


@pytest.mark.parametrize(
    "values",
    [
        {"direction": "多", "offset": "开", "type": "限价"},
        {"direction": "Long", "offset": "Open", "type": "Limit"},
        {"gateway_name": None},
    ],
)
async def test_values_of_vnpy_and_a_gateway_left_out_are_understood(api: Api, values: dict[str, Any]) -> None:
    sent = await api.send("POST", "/trading/orders", ORDER | values, 201)
    named = {"direction": "LONG", "offset": "OPEN", "type": "LIMIT", "gateway_name": "SIM"}
    assert sent["order"].items() >= named.items()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"volume": 0}, "volume"),
        ({"volume": "2"}, "volume"),
        ({"price": None}, "price"),
        ({"direction": "NET"}, "direction"),
        ({"exchange": "MOON"}, "exchange"),
        ({"symbol": ""}, "symbol"),
        ({"client_order_id": "a b"}, "client_order_id"),
        ({"prize": 1}, "prize"),
    ],
)
async def test_a_malformed_order_is_refused_by_field(api: Api, values: dict[str, Any], field: str) -> None:
    problem = await api.send("POST", "/trading/orders", ORDER | values, 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert api.service.engine.count == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_numbers_are_finite(api: Api, number: str) -> None:
    body = msgspec.json.encode(ORDER | {"price": 0}).replace(b'"price":0', b'"price":' + number.encode())
    response = await api.http.post("/trading/orders", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "price"


async def test_what_the_engine_says_is_passed_on(api: Api) -> None:
    api.service.engine.failure = OrderRefused("Not enough funds.", code="gateway_refused")
    refused = await api.send("POST", "/trading/orders", ORDER, 409)
    assert (refused["code"], refused["detail"]) == ("gateway_refused", "Not enough funds.")
    api.service.engine.failure = OutcomeUnknown("The line broke.")
    unknown = await api.send("POST", "/trading/orders", ORDER, 504)
    assert unknown["code"] == "outcome_unknown"
    (intent,) = (await api.get("/trading/intents", outcome="UNKNOWN"))["intents"]
    assert intent["intent_id"] == unknown["intent_id"]
    assert (intent["outcome"], intent["reason"]) == ("UNKNOWN", "The line broke.")
    assert {name: intent[name] for name in ORDER} == ORDER
    assert await api.get("/trading/intents") == {"intents": [intent], "next_cursor": None}
    await api.get("/trading/intents", expect=422, outcome="SENT")
    api.service.engine.failure = None
    missing = await api.send("POST", "/trading/orders", ORDER | {"symbol": "xx"}, 404)
    assert missing["code"] == "unknown_contract"
    api.service.journal.full = True
    assert (await api.send("POST", "/trading/orders", ORDER, 503))["code"] == "unavailable"
    api.service.journal.full = False
    await api.service.pipeline.drain()


async def test_a_gateway_left_out_must_be_the_only_one(api: Api) -> None:
    body = {key: value for key, value in ORDER.items() if key != "gateway_name"}
    missing = await api.send("POST", "/trading/orders", body | {"symbol": "xx"}, 404)
    assert missing["code"] == "unknown_contract"
    await api.service.tell(
        msgspec.structs.replace(examples.GATEWAY, gateway_name="CTP"), contract("rb2501.SHFE", gateway_name="CTP")
    )
    ambiguous = await api.send("POST", "/trading/orders", body, 422)
    assert ambiguous["errors"][0]["field"] == "gateway_name"
    assert "CTP" in ambiguous["detail"]


async def test_orders_are_found_and_cancelled_by_either_id(api: Api) -> None:
    for order_id, query in (("SIM.1", {}), ("2", {"gateway_name": "SIM"}), ("SIM.3", {"gateway_name": "SIM"})):
        await api.send("POST", "/trading/orders", ORDER, 201)
        assert (await api.get(f"/trading/orders/{order_id}", **query))["status"] == "NOTTRADED"
        assert (await api.send("DELETE", f"/trading/orders/{order_id}", **query))["accepted"] is True
        await api.service.pipeline.drain()
        assert (await api.get(f"/trading/orders/{order_id}", **query))["status"] == "CANCELLED"
    assert (await api.send("DELETE", "/trading/orders/SIM.1", expect=409))["code"] == "order_not_active"
    assert (await api.send("DELETE", "/trading/orders/SIM.99", expect=404))["code"] == "unknown_order"
    await api.get("/trading/orders/SIM.99", expect=404)


async def test_all_active_orders_or_some_are_cancelled(api: Api) -> None:
    await api.send("POST", "/trading/orders", ORDER, 201)
    await api.send("POST", "/trading/orders", ORDER | {"symbol": "IF2501", "exchange": "CFFEX"}, 201)
    some = await api.send("POST", "/trading/orders/cancel-all", {"vt_symbol": "IF2501.CFFEX"})
    assert [(result["vt_orderid"], result["accepted"]) for result in some["results"]] == [("SIM.2", True)]
    await api.service.pipeline.drain()
    rest = await api.send("POST", "/trading/orders/cancel-all")
    assert (rest["accepted"], rest["refused"]) == (2, 0)
    misspelt = await api.send("POST", "/trading/orders/cancel-all", {"vt_symbl": "IF2501.CFFEX"}, 422)
    assert misspelt["errors"][0]["field"] == "vt_symbl"


async def test_gateways_are_connected_and_disconnected(api: Api) -> None:
    connecting = await api.send("POST", "/trading/gateways/SIM/connect")
    assert connecting["state"] == "CONNECTING"
    assert api.service.gateways.setting is None
    await api.send("POST", "/trading/gateways/SIM/connect", {"用户名": "u", "密码": "p"})
    assert api.service.gateways.setting == {"用户名": "u", "密码": "p"}
    assert (await api.send("POST", "/trading/gateways/SIM/disconnect"))["state"] == "DISCONNECTED"
    await api.send("POST", "/trading/gateways/GONE/connect", expect=404)


async def test_a_gateway_is_listed_with_the_age_of_its_last_tick(api: Api) -> None:
    async def age() -> float | None:
        (row,) = (await api.get("/trading/gateways"))["gateways"]
        assert (row["gateway_name"], row["state"]) == ("SIM", "CONNECTED")
        found: float | None = row["last_tick_age_s"]
        return found

    api.service.pipeline.emit(examples.GATEWAY)
    await api.service.pipeline.drain()
    assert await age() is None
    api.service.life.feeds.ages["SIM"] = 0.25
    assert await age() == 0.25
    api.service.life.feeds.ages["SIM"] = 3.0
    assert await age() == 3.0


async def test_drifts_are_listed_and_accepted_once(api: Api) -> None:
    (found,) = (await api.get("/trading/drift"))["drifts"]
    assert (found["vt_symbol"], found["state"], found["drift"]) == ("rb2501.SHFE", "DRIFTED", 1.0)
    accepted = await api.send("POST", "/trading/drift/SIM/rb2501.SHFE/accept")
    assert accepted["state"] == "AGREES"
    again = await api.send("POST", "/trading/drift/SIM/rb2501.SHFE/accept", expect=409)
    assert again["code"] == "not_drifted"
    await api.send("POST", "/trading/drift/SIM/hc2501.SHFE/accept", expect=404)


async def test_symbols_are_subscribed_to_and_no_longer(api: Api) -> None:
    body = {"vt_symbols": ["rb2501.SHFE", "IF2501.CFFEX"]}
    expected = [{"vt_symbol": symbol, "gateway_name": "SIM"} for symbol in body["vt_symbols"]]
    assert (await api.send("POST", "/trading/subscriptions", body))["subscriptions"] == expected
    assert (await api.send("DELETE", "/trading/subscriptions", body))["subscriptions"] == expected
    missing = await api.send("POST", "/trading/subscriptions", {"vt_symbols": ["xx.SHFE"]}, 404)
    assert missing["code"] == "unknown_contract"
    malformed = await api.send("POST", "/trading/subscriptions", {"vt_symbols": ["rb2501"]}, 422)
    assert malformed["errors"] == [
        {"field": "vt_symbols.0", "message": "must be symbol.EXCHANGE, such as rb2501.SHFE"}
    ]
