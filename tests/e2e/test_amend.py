"""Amending orders of the real program: a new order for the rest, linked to the old one, in REST and in SQL."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_kill import lift_limits, stored
from tests.e2e.test_replay import table

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
"""
ORDER = {
    "gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE", "direction": "LONG", "offset": "OPEN",
    "type": "LIMIT", "price": 3300, "volume": 2,
}  # fmt: skip
ORDERS = "/api/v1/trading/orders"


def test_an_amended_order_is_one_order_in_the_market(service: Start, tmp_path: Path) -> None:
    lift_limits(tmp_path / "data")
    core = service(CONFIG)
    eventually(lambda: core.get("/api/v1/trading/contracts")["contracts"], 10, "contracts")
    first = core.call("POST", ORDERS, status=201, **ORDER)["vt_orderid"]
    second = core.call("PATCH", f"{ORDERS}/{first}", price=3301, volume=3)
    assert second["replaces"] == first
    third = core.call("PATCH", f"{ORDERS}/{second['vt_orderid']}", price=3302)
    assert core.call("PATCH", f"{ORDERS}/{first}", status=409, price=3303)["code"] == "order_not_active"
    chain = [first, second["vt_orderid"], third["vt_orderid"]]
    linked = eventually(
        lambda: (rows := [core.get(f"{ORDERS}/{one}") for one in chain]) and rows[1]["replaced_by"] and rows, 5
    )
    assert [row["replaces"] for row in linked] == [None, *chain[:2]]
    assert [row["replaced_by"] for row in linked] == [*chain[1:], None]
    assert [(row["status"], row["price"], row["volume"]) for row in linked] == [
        ("CANCELLED", 3300, 2), ("CANCELLED", 3301, 3), ("NOTTRADED", 3302, 3)
    ]  # fmt: skip
    core.kill()
    core = service()
    eventually(lambda: core.get(f"{ORDERS}/{chain[1]}")["replaced_by"] == chain[2], 10, "the links outlive a crash")
    assert core.get("/api/v1/trading/intents")["intents"] == []
    assert core.stop() == 0
    assert sorted(table(core, "select vt_orderid, replaces, replaced_by from orders")) == sorted(
        zip(chain, [None, *chain[:2]], [*chain[1:], None], strict=True)
    )
    venue = stored(core.data_dir / "sim_SIM.db", "select orderid, status from orders")
    assert len(venue) == 3
