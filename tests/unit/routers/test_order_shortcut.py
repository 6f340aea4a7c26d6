"""The shortcut for plain orders: it takes only what the route would take, and means the same by it."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.routers.memory_service import Api
from tests.unit.routers.test_trading import ORDER

from vnpy_core.errors import OrderRefused, Unavailable
from vnpy_core.routers.order_requests import OrderBody
from vnpy_core.routers.order_shortcut import plain_order

NASTY = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=4), st.lists(st.none()),
    st.sampled_from(
        ["LONG", "NET", "多", "Long", "OPEN", "", "SHFE", "LIMIT", "rb2501", "rb\n", "a b", "x" * 65, "y" * 129, "MOON"]
    ),
)  # fmt: skip
FIELDS = [*ORDER, "reference", "client_order_id", "prize"]


@given(st.dictionaries(st.sampled_from(FIELDS), NASTY, max_size=3), st.sets(st.sampled_from(FIELDS), max_size=1))
def test_what_it_takes_the_route_takes_and_means_the_same(changes: dict[str, Any], left_out: set[str]) -> None:
    body = msgspec.json.encode({k: v for k, v in (ORDER | changes).items() if k not in left_out})
    plain = plain_order(body)
    try:
        full = OrderBody.model_validate_json(body)
    except ValidationError:
        assert plain is None
        return
    if plain is not None:
        assert (plain.spec(), plain.gateway_name, plain.client_order_id) == (
            full.spec(), full.gateway_name, full.client_order_id
        )  # fmt: skip


def test_a_plain_order_is_taken() -> None:
    for change in ({}, {"client_order_id": "a.b:c-1"}, {"gateway_name": None}, {"price": -1.5, "reference": "中文"}):
        assert plain_order(msgspec.json.encode(ORDER | change)) is not None


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b'{"symbol": "\xff"}', b"1e999", b"[" * 3000])
def test_what_is_no_order_is_left_to_the_route(raw: bytes) -> None:
    assert plain_order(raw) is None


@pytest.mark.parametrize("number", [b"1e999", b"NaN", b"-Infinity"])
def test_numbers_that_are_none_are_left_to_the_route(number: bytes) -> None:
    assert plain_order(msgspec.json.encode(ORDER | {"price": 0}).replace(b'"price":0', b'"price":' + number)) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 201),
        ({"content-type": "application/json; charset=utf-8"}, 201),
        ({"content-type": "text/plain"}, 422),
        ({}, 422),
        ({"content-type": "application/json", "Idempotency-Key": "k-1"}, 201),
        ({"content-type": "application/json", "Idempotency-Key": "k 1"}, 422),
    ],
)
async def test_headers_mean_the_same_on_both_ways(api: Api, headers: dict[str, str], status: int) -> None:
    plain, wordy = ORDER, ORDER | {"direction": "多"}
    for number, order in enumerate((plain, wordy)):
        key = {"Idempotency-Key": f"{headers['Idempotency-Key']}{number}"} if "Idempotency-Key" in headers else {}
        answer = await api.http.post("/trading/orders", content=msgspec.json.encode(order), headers=headers | key)
        assert answer.status_code == status, answer.text
        assert answer.headers["x-request-id"]


async def test_a_body_in_pieces_is_an_order_too(api: Api) -> None:
    body = msgspec.json.encode(ORDER)

    async def pieces() -> Any:
        yield body[:20]
        yield body[20:]

    headers = {"content-type": "application/json", "content-length": str(len(body))}
    answer = await api.http.post("/trading/orders", content=pieces(), headers=headers)
    assert answer.status_code == 201
    assert api.service.engine.count == 1


async def test_errors_have_one_shape(api: Api) -> None:
    for order in (ORDER | {"price": 0.5}, ORDER | {"price": 0.5, "direction": "多"}):
        problem = await api.send("POST", "/trading/orders", order, 409)
        assert (problem["type"], problem["code"]) == ("urn:vnpy-core:problem:price_tick", "price_tick")


NEW = re.compile(r'"(?:vt_orderid|orderid|client_order_id|intent_id|request_id)":"[^"]*"|SIM\.[0-9]+|-short|-full')
CHANGES: list[dict[str, Any]] = [
    {}, {"client_order_id": "mine"}, {"price": 3500.5}, {"price": -1}, {"symbol": "none"}, {"gateway_name": "X"},
    {"type": "RFQ"}, {"offset": "NONE"}, {"offset": "CLOSEYESTERDAY"}, {"volume": 0.5}, {"reference": "中\u202e文"},
    {"gateway_name": None},
]  # fmt: skip
FAILURES = [None, OrderRefused("Halted.", code="trading_halted"), Unavailable("Held."), ZeroDivisionError("oops")]


async def told(api: Api, path: str, order: dict[str, Any], key: str | None) -> list[str]:
    """Return all that is told of an order, its answer and what is written down, but what is new each time."""
    headers = {"Idempotency-Key": key} if key is not None else {}
    answer = await api.http.post(path, json=order, headers=headers)
    await api.service.pipeline.drain()
    written = [event.data for event in api.service.journal.events if event.topic == "audit"][-1]
    shown = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    audit = [getattr(written, name) for name in ("actor", "credential", "address", "action", "status", "code")]
    whole = (answer.status_code, shown, answer.text, audit, written.detail)
    return [NEW.sub("", str(part)) for part in whole]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_both_ways_tell_the_same(api: Api, failure: Exception | None) -> None:
    """Of each order twice: the second time its ``client_order_id`` or its key has been used."""
    api.service.engine.failure = failure
    for number, change in enumerate(CHANGES):
        for keyed in (False, True):
            ways = []
            for way, query in (("short", ""), ("full", "?dry_run=false")):
                order = ORDER | change
                if "client_order_id" in order:
                    order["client_order_id"] = f"mine-{number}-{keyed}-{way}"
                key = f"key-{number}-{way}" if keyed else None
                ways.append([await told(api, f"/trading/orders{query}", order, key) for _ in range(2)])
            assert ways[0] == ways[1]
