"""Requests by route: every path has few names, however many paths are made up."""

from tests.unit.routers.memory_service import Api, contract

from vnpy_core.models import Order
from vnpy_core.routers.http_meter import OTHER, HttpMeter


def sample(api: Api, name: str, **labels: str) -> float | None:
    return api.service.metrics.snapshot().get((f"vnpy_core_{name}", tuple(sorted(labels.items()))))


async def test_requests_are_counted_by_route_method_and_status(api: Api) -> None:
    for _ in range(3):
        await api.get("/trading/orders")  # the second and third are repeated answers, which no route sees
    for order_id in ("SIM.1", "SIM.2"):
        await api.get(f"/trading/orders/{order_id}", expect=404)
    for path in ("/nowhere", "/trading/nowhere", "/%00"):
        await api.http.get(path)
    await api.http.get("/trading/orders", headers={"Authorization": "Bearer nobody's"})
    orders, one = "/api/v1/trading/orders", "/api/v1/trading/orders/{order_id}"
    assert sample(api, "http_requests_total", method="GET", route=orders, status="200") == 3
    assert sample(api, "http_requests_total", method="GET", route=orders, status="401") == 1
    assert sample(api, "http_requests_total", method="GET", route=one, status="404") == 2
    assert sample(api, "http_requests_total", method="GET", route=OTHER, status="404") == 3
    assert sample(api, "http_request_duration_seconds_count", method="GET", route=orders) == 4


async def test_an_order_over_the_short_way_is_metered_and_so_is_its_journey(api: Api) -> None:
    body = {
        "symbol": "rb2501", "exchange": "SHFE", "direction": "LONG", "type": "LIMIT", "price": 3500, "volume": 1,
        "offset": "OPEN",
    }  # fmt: skip
    await api.service.tell(contract("rb2501.SHFE"))
    sent = await api.send("POST", "/trading/orders", body, expect=201)
    await api.send("POST", "/trading/orders", body | {"volume": 0.5}, expect=409)
    await api.service.pipeline.drain()
    route = "/api/v1/trading/orders"
    assert sample(api, "http_requests_total", method="POST", route=route, status="201") == 1
    assert sample(api, "http_requests_total", method="POST", route=route, status="409") == 1
    journeys = api.service.orders.journeys
    assert {stage: seconds.read().count for stage, seconds in journeys.seconds.items()} == {
        "journaled": 1, "handed_over": 1, "acknowledged": 1, "filled": 0,
    }  # fmt: skip
    order = api.service.read_model.orders.get(sent["vt_orderid"])
    assert order is not None
    assert isinstance(order.data, Order)
    assert journeys.states[order.data.status] == 1
    assert journeys.refusals.total() == 1


def test_a_method_that_nobody_has_heard_of_gets_no_series_of_its_own() -> None:
    meter = HttpMeter(["/a", "/a/{b}", "/a/{c}/d"])
    for method, path in (("BREW", "/a"), ("GET", "/a/x"), ("GET", "/a/x/d"), ("GET", "/a/x/d/e")):
        meter.series(method, path, 200).observe(0.1)
    assert set(meter.requests) == {
        (OTHER, "/a", "200"), ("GET", "/a/{b}", "200"), ("GET", "/a/{c}/d", "200"), ("GET", OTHER, "200"),
    }  # fmt: skip
