"""Orders and trades of before the journal began: they are found in SQL, page by page and one by one."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_tour import order_of

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
seed = 7
"""
ORDERS = "/api/v1/trading/orders"


def all_pages(service: ServiceProcess, what: str, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        page = service.get(f"/api/v1/trading/{what}", **query)
        rows += page[what]
        if page["next_cursor"] is None:
            return rows
        query["cursor"] = page["next_cursor"]


def stored(service: ServiceProcess, table: str) -> list[str]:
    """Return the orders' ids in the order of their times."""
    with closing(sqlite3.connect(service.data_dir / "vnpy-core.db")) as database:
        sql = f"SELECT vt_orderid FROM {table} ORDER BY coalesce(datetime, ts), vt_orderid"  # noqa: S608 -- our names
        return [row[0] for row in database.execute(sql)]


def test_what_was_before_the_journal_is_found_in_the_database(service: Start) -> None:
    running = service(CONFIG)
    contract = {"gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE"}
    eventually(lambda: running.get("/api/v1/trading/contracts", vt_symbol="rb2605.SHFE")["contracts"])
    placed = []
    for number in range(1, 13):
        body = order_of(contract, price=3000.0, volume=number) | {"client_order_id": f"mine-{number}"}
        placed.append(running.call("POST", ORDERS, 201, **body)["vt_orderid"])
    shown = running.get(ORDERS)["orders"]
    began = min(order["datetime"] for order in shown)
    assert all_pages(running, "orders", start=began, limit=5) == shown  # also what is not yet recorded

    running.call("POST", f"{ORDERS}/cancel-all")
    eventually(lambda: not running.get(ORDERS, active="true")["orders"], what="all orders are cancelled")
    shown = running.get(ORDERS)["orders"]
    assert running.stop() == 0
    assert stored(running, "orders") == sorted(placed)
    for file in running.data_dir.glob("journal.db*"):
        file.unlink()

    # Once connected, the exchange tells of today's orders again.
    running = service(CONFIG.replace("auto_connect = true", "auto_connect = false"))
    assert running.get(ORDERS)["orders"] == []
    found = all_pages(running, "orders", start=began, limit=5)
    assert found == shown
    assert [order["vt_orderid"] for order in found] == stored(running, "orders")
    assert running.get(f"{ORDERS}/{placed[3]}") == shown[3]
    assert running.get(ORDERS, client_order_id="mine-4")["orders"] == [shown[3]]
    assert all_pages(running, "orders", start=began, status="ALLTRADED") == []
    running.call("POST", "/api/v1/trading/gateways/SIM/connect")
    eventually(lambda: running.get("/api/v1/trading/contracts", vt_symbol="rb2605.SHFE")["contracts"])
    eventually(lambda: not running.get("/api/v1/trading/reconciliation")["reconciliations"][0]["holds"])
    new = running.call("POST", ORDERS, 201, **order_of(contract, price=3000.0, volume=1))["vt_orderid"]
    both = all_pages(running, "orders", start=began, limit=5)
    assert [order["vt_orderid"] for order in both] == [*placed, new]
    assert running.get("/api/v1/trading/trades", start=began)["trades"] == []
    assert running.stop() == 0
